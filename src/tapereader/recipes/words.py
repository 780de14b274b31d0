"""Bundles that answer in words, asked in the form in which the engine answers; needs the extra ``train``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import UNPARSED, Bundle, LabelContract
from tapereader.core.errors import BundleError, missing_extra
from tapereader.core.records import Prediction
from tapereader.engine.texts import refuse_faults, text_faults, text_hash

#: Beside the weights: what the model is asked.
INSTRUCTION = "instruction.json"


def said_outputs(contract: LabelContract, said: list[str]) -> NDArray[np.float64]:
    """Return answers as outputs (N, C): 1 for the label said, a row of 0 for ``unparsed``."""
    out = np.zeros((len(said), len(contract.names)))
    for row, label in enumerate(said):
        if label != UNPARSED:
            out[row, contract.index(label)] = 1.0
    return out


def cut_note(n_cut: int, n: int, max_length: int) -> str:
    """Return what must be said of texts whose middle is not read; empty where there are none.

    Examples
    --------
    >>> cut_note(0, 5, 128)
    ''
    """
    if not n_cut:
        return ""
    return (
        f"{n_cut:,} of {n:,} texts are longer, with their question, than the {max_length} tokens of "
        "`finetune.max_length`: the middle of each is not read."
    )


class WordsEngine:
    """Ask a generating bundle, in the form in which :class:`tapereader.engine.Engine` answers.

    The probability of the label said is 1, of the others 0; of an answer that cannot be read all are 0 and the label
    is ``unparsed``.

    Parameters
    ----------
    bundle : a loaded bundle of kind ``generation``

    Attributes
    ----------
    bundle : what answers
    backend : name of what computes
    n_cut : texts answered so far of which the middle was not read, because they are too long

    Raises
    ------
    MissingExtraError
        If the extra ``train`` is not installed.
    BundleError
        If the bundle does not say what is to be asked.
    """

    backend = "transformers"

    def __init__(self, bundle: Bundle) -> None:
        try:
            from tapereader.training.generation import open_generating
        except ModuleNotFoundError as error:
            raise missing_extra("train", needed_for="A bundle that answers in words") from error
        self.bundle = bundle
        self.n_cut = 0
        path = bundle.path / "model" / INSTRUCTION
        if not path.is_file():
            raise BundleError(f"A bundle that answers in words must hold model/{INSTRUCTION}; {bundle.id!r} has none.")
        asked = json.loads(path.read_text(encoding="utf-8"))
        self._model = open_generating(
            bundle.path / "model", bundle.contract, question=asked["question"], max_length=bundle.max_length
        )

    def intervals(self, values: NDArray[np.float64]) -> None:  # the engine's signature
        """Return None: words have no intervals."""

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool = False
    ) -> list[Prediction | None]:
        """Return one prediction a text; None for an empty one where that is allowed.

        Raises
        ------
        DataError
            If a text is missing or empty and not skipped.
        """
        faults = text_faults(texts, pairs)
        if not skip_empty:
            refuse_faults(faults)
        said = iter(self._said([text for text, fault in zip(texts, faults, strict=True) if fault is None]))
        return [
            None if fault is not None else self._prediction(text, next(said))
            for text, fault in zip(texts, faults, strict=True)
        ]

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return array (N, C): 1 for the label said, and a row of 0 for ``unparsed``.

        Raises
        ------
        DataError
            If a text is missing or empty.
        """
        refuse_faults(text_faults(texts, pairs))
        return said_outputs(self.bundle.contract, self._said(list(texts)))

    def _said(self, texts: list[str]) -> list[str]:
        self.n_cut += self._model.count_cut(texts)
        return self._model.answer(texts) if texts else []

    def _prediction(self, text: str, label: str) -> Prediction:
        return Prediction(
            text_hash=text_hash(text, None), bundle_id=self.bundle.id, label=label,
            probabilities=tuple(float(name == label) for name in self.bundle.contract.names),
        )  # fmt: skip
