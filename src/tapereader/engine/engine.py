"""A bundle in, predictions out: fast, repeatable, without a deep-learning library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np

from tapereader.bundle.calibration import FloatArray, decode, output_width
from tapereader.bundle.combination import combine
from tapereader.bundle.conformal import abstentions, answers, prediction_intervals, prediction_sets
from tapereader.bundle.contract import UNPARSED
from tapereader.bundle.folder import ONNX, Bundle
from tapereader.core.errors import BundleError, DataError
from tapereader.core.records import Prediction
from tapereader.engine.backends import default_backend, network_path, open_backend, thread_count
from tapereader.engine.batching import merge_chunks, token_batches
from tapereader.engine.choosing import AUTO, BackendChoice, choose_backend
from tapereader.engine.texts import refuse_faults, text_faults, text_hash

#: Tokens in a batch at most: beyond, the activations of a small encoder leave the cache.
_BUDGET = 1024
#: Documents and characters whose chunks are held at once: memory does not grow with the texts in a call.
_WINDOW_TEXTS, _WINDOW_CHARACTERS = 1024, 2_000_000


class Engine:
    """Answers of one bundle for any number of texts, in the order they were given.

    The same text gets the same answer alone, in any batch and on any later day: batches differ by at most 1e-5 in a
    probability, for sums of floats depend on their order.

    Parameters
    ----------
    bundle : a loaded bundle, or its folder
    backend : one of ``BACKEND_NAMES``; ``auto`` for the fastest of them that answers right here, which is measured once
        and kept beside the bundle; or None for what the bundle was judged with where it was made: the network in eight
        bits on ONNX Runtime where it ships one and this processor can, else the one in float
    threads : processor threads, or None for all this process may use
    check : compare file hashes (where a folder is given) and ask the sanity sentences first

    Attributes
    ----------
    bundle : what answers
    backend : name of what computes
    choice : how ``auto`` came to it, or None where the backend was named

    Raises
    ------
    BundleError
        If the bundle is damaged, has no exported network, or does not answer its sanity sentences as it once did.
    UnknownNameError, MissingExtraError
        If the backend is unknown or not installed.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        *,
        backend: str | None = None,
        threads: int | None = None,
        check: bool = True,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle, verify=check)
        self.choice: BackendChoice | None = None
        if backend is None:
            backend = default_backend(self.bundle)
        elif backend == AUTO:
            self.choice = choose_backend(
                self.bundle,
                lambda name: Engine(self.bundle, backend=name, threads=threads, check=False),
                threads=thread_count(threads),
            )
            backend = self.choice.backend
        self.backend = backend
        self._members = tuple(
            Engine(member, backend=backend, threads=threads, check=check) for member in self.bundle.members
        )
        if not self._members:
            self._open(backend, threads)
        if check:
            self._check_sanity()

    def _open(self, backend: str, threads: int | None) -> None:
        if not self.bundle.onnx_path.is_file():
            way = (
                "It answers in words: ask it with `tapereader predict`, which needs the extra `train`."
                if self.bundle.contract.kind == "generation"
                else "Restore the file, or train it again."
            )
            raise BundleError(f"The engine reads {ONNX}; bundle {self.bundle.id!r} has none. {way}")
        self._tokenizer = self.bundle.tokenizer()
        self._backend = open_backend(backend, network_path(self.bundle, backend), threads=threads)

    @property
    def rounding(self) -> float:
        """How far a probability may lie from the fp32 answer, because the backend computes in lower precision."""
        return max(member.rounding for member in self._members) if self._members else self._backend.rounding

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> FloatArray:
        """Return raw outputs (N, W), the chunks of a long text pooled.

        Raises
        ------
        DataError
            If a text is missing or empty, or pairs do not fit the bundle.
        """
        return self._run(texts, pairs, embedded=False)

    def embeddings(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> FloatArray:
        """Return embeddings (N, D), the chunks of a long text pooled.

        Raises
        ------
        DataError
            If a text is missing or empty, or pairs do not fit the bundle.
        """
        return self._run(texts, pairs, embedded=True)

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> FloatArray:
        """Return calibrated probabilities (N, C), or values (N,) for regression.

        Raises
        ------
        DataError
            If a text is missing or empty, or pairs do not fit the bundle.
        """
        return decode(self.bundle.contract, self.logits(texts, pairs), self.bundle.calibration)

    def intervals(self, values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return low and high (N,) around regression values, or None where no coverage is promised."""
        return prediction_intervals(self.bundle.contract, values, self.bundle.calibration)

    @overload
    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: Literal[False] = False
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool
    ) -> list[Prediction | None]: ...

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool = False
    ) -> list[Prediction] | list[Prediction | None]:
        """Return one prediction a text.

        Parameters
        ----------
        texts : N texts
        pairs : N second texts, exactly where the bundle asks about one
        skip_empty : give None for a missing or empty text, or pair, and answer the others

        Raises
        ------
        DataError
            If a text is missing or empty (unless skipped), or pairs do not fit the bundle.
        """
        if not skip_empty:
            return self._predict(texts, pairs)
        self._check_pairs(texts, pairs)
        faults = text_faults(texts, pairs)
        keep = [position for position, fault in enumerate(faults) if fault is None]
        found = iter(self._predict([texts[i] for i in keep], None if pairs is None else [pairs[i] for i in keep]))
        return [next(found) if fault is None else None for fault in faults]

    def stream(
        self, batches: Iterable[tuple[Sequence[str], Sequence[str] | None]], *, skip_empty: bool = False
    ) -> Iterator[list[Prediction | None]]:
        """Yield the predictions of each batch of texts and pairs as it comes; holds one batch at a time."""
        for texts, pairs in batches:
            yield self.predict(texts, pairs, skip_empty=skip_empty)

    def _predict(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Prediction]:
        contract, calibration = self.bundle.contract, self.bundle.calibration
        if len(texts) == 0:
            self._check_pairs(texts, pairs)
            return []
        outputs = self.outputs(texts, pairs)
        seconds: Sequence[str | None] = [None] * len(texts) if pairs is None else pairs
        hashes = [text_hash(text, pair) for text, pair in zip(texts, seconds, strict=True)]
        if contract.kind == "regression":
            return [
                Prediction(text_hash=name, bundle_id=self.bundle.id, label="", probabilities=(), value=float(value))
                for name, value in zip(hashes, outputs, strict=True)
            ]
        sets = prediction_sets(contract, outputs, calibration)
        abstained = abstentions(contract, outputs, calibration)
        return [
            Prediction(
                text_hash=name,
                bundle_id=self.bundle.id,
                label=label,
                probabilities=tuple(map(float, row)),
                prediction_set=inside,
                abstained=bool(silent),
            )
            for name, label, row, inside, silent in zip(
                hashes, self._labels(outputs), outputs, sets, abstained, strict=True
            )
        ]

    def _labels(self, outputs: FloatArray) -> list[str]:
        contract = self.bundle.contract
        found = answers(contract, outputs, threshold=self.bundle.calibration.threshold)
        if contract.kind == "multi-label":
            return ["|".join(name for name, on in zip(contract.names, row, strict=True) if on) for row in found]
        return [contract.names[int(position)] if position >= 0 else UNPARSED for position in found]

    def _run(self, texts: Sequence[str], pairs: Sequence[str] | None, *, embedded: bool) -> FloatArray:
        """Return embeddings, or logits: only what is asked for is gathered and pooled."""
        self._check_pairs(texts, pairs)
        refuse_faults(text_faults(texts, pairs))
        if len(texts) == 0:
            raise DataError("There must be at least one text to score; got none.")
        if self._members:
            return self._run_members(texts, pairs, embedded=embedded)
        windows = [
            self._run_window(texts[part], None if pairs is None else pairs[part], embedded=embedded)
            for part in _windows(texts)
        ]
        return windows[0] if len(windows) == 1 else np.concatenate(windows)

    def _run_members(self, texts: Sequence[str], pairs: Sequence[str] | None, *, embedded: bool) -> FloatArray:
        """Return the members' embeddings side by side, each of length 1, or what their answers make together."""
        if embedded:
            found = [member.embeddings(texts, pairs) for member in self._members]
            return np.hstack([vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in found])
        assert self.bundle.combination is not None  # noqa: S101  (a bundle with members has one)
        outputs = [member.outputs(texts, pairs) for member in self._members]
        return combine(self.bundle.contract, outputs, self.bundle.combination)

    def _run_window(self, texts: Sequence[str], pairs: Sequence[str] | None, *, embedded: bool) -> FloatArray:
        chunks = self._tokenizer.encode(list(texts), None if pairs is None else list(pairs))
        rows: FloatArray | None = None
        for batch in token_batches(chunks, budget=_BUDGET, pad_id=self.bundle.pad_id):
            logits, vectors = self._backend.run(batch)
            found = vectors if embedded else logits
            if rows is None:
                self._check_width(logits.shape)
                rows = np.empty((len(chunks), found.shape[1]))
            rows[batch.positions] = found
        assert rows is not None  # noqa: S101  (every text has at least one chunk)
        return merge_chunks(rows, chunks, n_documents=len(texts))

    def _check_width(self, shape: tuple[int, ...]) -> None:
        wanted = output_width(self.bundle.contract)
        if len(shape) != 2 or shape[1] != wanted:
            raise BundleError(
                f"The network of bundle {self.bundle.id!r} must give {wanted} logits for the labels "
                f"{list(self.bundle.contract.names)}; got an output of shape {shape}. The two do not belong together."
            )

    def _check_pairs(self, texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str) or isinstance(pairs, str):
            raise DataError("Texts must come as a list, one text an entry; got a single string.")
        if self.bundle.has_pair and pairs is None:
            raise DataError(
                f"Bundle {self.bundle.id!r} asks about a second text, a named company; got none. Give `pairs` "
                "(`--about`, or `--pair` for a file)."
            )
        if not self.bundle.has_pair and pairs is not None:
            raise DataError(
                f"Bundle {self.bundle.id!r} takes texts alone; got `pairs` (`--about`, `--pair`) too. Leave them out."
            )
        if pairs is not None and len(pairs) != len(texts):
            raise DataError(f"There must be one pair for each text; got {len(texts)} texts and {len(pairs)} pairs.")

    def _check_sanity(self) -> None:
        facts = self.bundle.facts
        if not facts.sanity:
            return
        found = self.outputs(
            [sentence.text for sentence in facts.sanity],
            [sentence.pair or "" for sentence in facts.sanity] if facts.has_pair else None,
        ).reshape(len(facts.sanity), -1)
        for sentence, row in zip(facts.sanity, found, strict=True):
            gap = float(np.abs(row - np.asarray(sentence.outputs)).max())
            if not gap <= facts.outputs_tolerance + self.rounding:
                names = self.bundle.contract.names
                raise BundleError(
                    f"Bundle {self.bundle.id!r} must answer {sentence.text[:80]!r} with "
                    f"{_named(names, sentence.outputs)}; got {_named(names, row)}. Network, labels and calibration do "
                    "not belong together: restore the original files."
                )


def _windows(texts: Sequence[str]) -> Iterator[slice]:
    start = size = 0
    for position, text in enumerate(texts):
        if position > start and (position - start >= _WINDOW_TEXTS or size + len(text) > _WINDOW_CHARACTERS):
            yield slice(start, position)
            start, size = position, 0
        size += len(text)
    yield slice(start, len(texts))


def _named(names: tuple[str, ...], values: Iterable[float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(names, values, strict=True))
