"""``explain``: a bundle and texts in; what each word weighs, how far to believe that, and the nearest texts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle
from tapereader.core.errors import BundleError, ConfigError, DataError, missing_extra
from tapereader.engine import Engine, text_faults
from tapereader.engine.explain import (
    Faithfulness,
    FaithfulnessSummary,
    Neighbour,
    Word,
    asked_columns,
    full_weight,
    gather,
    label_scores,
    measure_faithfulness,
    nearest,
    occlude,
    piece_runs,
    split_words,
    summarise_faithfulness,
)
from tapereader.recipes.data import FileOptions
from tapereader.recipes.own_rows import open_own_rows
from tapereader.sources.text import stream_texts

if TYPE_CHECKING:
    from tapereader.training.attribution import IntegratedGradients

Method = Literal["integrated-gradients", "occlusion"]
#: What integrated gradients are made from, beyond the package's own.
_LEARNING_LIBRARIES = frozenset({"torch", "transformers", "peft", "safetensors"})
#: Texts in one call: an explanation is for people, and asks its bundle hundreds of times.
MOST_TEXTS = 1000


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """How much of the answer integrated gradients account for.

    Parameters
    ----------
    baseline_score : score of the text with padding in the place of its words
    gap : absolute difference between the sum of all weights and what the score gained over the baseline's
    gap_share : the same as a share of that gain (of 0.1 where it is smaller)
    steps : points of the path
    complete : whether the share is as small as was asked
    """

    baseline_score: float
    gap: float
    gap_share: float
    steps: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a bundle gave one text one label its probability.

    Parameters
    ----------
    row : of the input, counted from 1
    text, pair : what was asked
    answer : the bundle's own answer; empty for regression
    label : what is explained: a label's name, or the target's for regression
    probability : of the label; None for regression
    value : the answer, for regression; else None
    score : what the weights add up to: the logit of the label's probability, or the value
    words, weights : the text's words, and what each adds to the score
    full_weight : the weight that is shown as strongly as any
    completeness : of integrated gradients; None for occlusion
    faithfulness : against random orders of the words; None where it was not asked for, or the text has one word
    neighbours : nearest labelled texts the bundle learnt from, nearest first; empty where not asked for
    """

    row: int
    text: str
    pair: str | None
    answer: str
    label: str
    probability: float | None
    value: float | None
    score: float
    words: tuple[Word, ...]
    weights: tuple[float, ...]
    full_weight: float
    completeness: Completeness | None
    faithfulness: Faithfulness | None
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, kw_only=True)
class ExplainResult:
    """What was explained, and how.

    Parameters
    ----------
    bundle_id, task, kind, language, labels : of the bundle
    method : how the weights were found
    note : why another method than gradients was taken, or empty
    faithfulness : mean over the texts, with intervals; None where no text was judged
    against : the data set whose training part neighbours were looked for in, and its rows; None where not asked for
    explanations : one for each text and label
    errors : rows that are no text, with the reason
    """

    bundle_id: str
    task: str
    kind: str
    language: str
    labels: tuple[str, ...]
    method: Method
    note: str
    faithfulness: FaithfulnessSummary | None
    against: dict[str, Any] | None
    explanations: tuple[Explanation, ...]
    errors: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; each word with its weight."""
        found = asdict(self)
        for one in found["explanations"]:
            weights = one.pop("weights")
            one["words"] = [word | {"weight": weight} for word, weight in zip(one["words"], weights, strict=True)]
        return found


def explain(
    bundle: Bundle | Path | str,
    *,
    texts: Sequence[str] | None = None,
    pairs: Sequence[str] | None = None,
    input: Path | str | IO[Any] | None = None,  # noqa: A002 (the public word for it)
    text_column: str | None = None,
    pair_column: str | None = None,
    encoding: str | None = None,
    limit: int | None = None,
    method: Method | Literal["auto"] = "auto",
    label: str | None = None,
    terms: Sequence[str] = (),
    chinese: Literal["character", "piece"] = "character",
    faithfulness: bool = True,
    n_random: int = 20,
    neighbours: int = 0,
    against: str | None = None,
    most_gap: float = 0.02,
    most_steps: int = 512,
    backend: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    data_root: Path | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> ExplainResult:
    """Say what each word of each text weighs in a bundle's answer.

    Parameters
    ----------
    bundle : a loaded bundle, or its folder
    texts, pairs : the texts themselves, and their second texts where the bundle asks about one
    input : instead of texts: a file, ``-`` for standard input (one text a line), or an open stream
    text_column, pair_column, encoding : how to read it, as in ``predict``
    limit : explain the first rows only
    method : ``integrated-gradients`` needs the extra ``train``; ``occlusion`` does not; ``auto`` takes gradients where
        they can be had, and says so where not
    label : which label to explain; None takes what the bundle answers
    terms : what counts as one word wherever it stands
    chinese : words of Chinese are single ideographs, or the pieces that the model reads
    faithfulness : compare with random orders of the words, which asks the bundle hundreds of times a text
    n_random : how many such orders; fewer than 20 say little
    neighbours : labelled texts to show beside each
    against : the data set or file the bundle was trained on, where neighbours are looked for; None takes the name the
        bundle states
    most_gap, most_steps : integrated gradients double their steps until their sum is complete to this share, or at most
        to this number
    backend, threads : as :class:`tapereader.engine.Engine` takes them
    seed : of random orders and intervals
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``
    report : told what is being done, how much of it is done, and of how much

    Raises
    ------
    ConfigError
        If what was asked for does not go together.
    DataError
        If the input cannot be read, or there is nothing to explain.
    BundleError
        If the bundle is damaged, answers in words, or cannot be read for gradients where those were asked for.
    MissingExtraError
        If gradients were asked for and cannot be computed here.
    """
    if (texts is None) == (input is None):
        raise ConfigError("Give either `texts` or `input`, and not both.")
    if n_random < 20:
        raise ConfigError(f"`n_random` must be at least 20 orders to compare with; got {n_random!r}.")
    if neighbours < 0 or (against is not None and neighbours == 0):
        raise ConfigError(f"`neighbours` must be at least 1 to be looked for in `against`; got {neighbours!r}.")
    engine = Engine(bundle, backend=backend, threads=threads)
    loaded = engine.bundle
    if label is not None:
        loaded.contract.index(label)
    told = report or (lambda _what, _done, _of: None)
    if texts is not None:
        rows = _given(texts, pairs)
    else:
        assert input is not None  # noqa: S101 (one of the two is there, see above)
        pair = (pair_column or "pair") if loaded.has_pair else pair_column
        rows = _read(input, text_column, pair, encoding, limit)
    rows = rows[:limit]
    if len(rows) > MOST_TEXTS:
        raise ConfigError(
            f"At most {MOST_TEXTS:,} texts are explained in one call; got more. Give fewer, or a `limit`."
        )
    paired = bool(rows) and rows[0].pair is not None
    faults = text_faults([row.text for row in rows], [row.pair for row in rows] if paired else None)
    fit = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
    if not fit:
        raise DataError(f"There must be at least one text to explain; got {len(rows)} rows, none with words in it.")
    seconds = [str(row.pair) for row in fit] if paired else None
    shown = [row.text for row in fit]

    gradients, note = _gradients(loaded, method, most_gap, most_steps, threads)
    logits = engine.logits(shown, seconds)
    outputs, scores = engine.outputs(shown, seconds), label_scores(loaded.contract, logits, loaded.calibration)
    columns = asked_columns(loaded.contract, outputs, loaded.calibration, label)
    known: list[tuple[Neighbour, ...]] = [()] * len(fit)
    where = None
    if neighbours:
        told("Looking for neighbours", 0, 0)
        own = open_own_rows(loaded, against, options=_options(loaded), data_root=data_root)
        learnt = own.labelled.take(own.split.train)
        known = nearest(engine, shown, seconds, learnt, count=neighbours)
        where = {"dataset": own.labelled.card.name, "part": "train", "rows": len(learnt)}

    found: list[Explanation] = []
    for number, (row, prediction) in enumerate(zip(fit, engine.predict(shown, seconds), strict=True)):
        told("Explaining", number, len(fit))
        words = split_words(row.text, terms=terms, runs=_pieces(engine, row) if chinese == "piece" else ())
        for column, weights, complete in _weigh(engine, gradients, row, words, columns[number], scores[number]):
            judged = None
            if faithfulness:
                judged = measure_faithfulness(
                    engine, row.text, row.pair, words, weights, column, n_random=n_random, seed=seed
                )
            numeric = loaded.contract.kind == "regression"
            found.append(
                Explanation(
                    row=row.row, text=row.text, pair=row.pair, answer=prediction.label,
                    label=loaded.contract.names[column],
                    probability=None if numeric else float(outputs[number, column]),
                    value=float(outputs[number]) if numeric else None, score=float(scores[number, column]),
                    words=words, weights=tuple(map(float, weights)),
                    full_weight=full_weight(loaded.contract, weights, loaded.calibration), completeness=complete,
                    faithfulness=judged, neighbours=known[number],
                )
            )  # fmt: skip
    told("Explaining", len(fit), len(fit))
    judgements = [(one.faithfulness, one.row) for one in found if one.faithfulness is not None]
    return ExplainResult(
        bundle_id=loaded.id, task=loaded.task, kind=loaded.contract.kind, language=loaded.language,
        labels=loaded.contract.names, method="occlusion" if gradients is None else "integrated-gradients", note=note,
        faithfulness=summarise_faithfulness(
            [judgement for judgement, _ in judgements], texts=[row for _, row in judgements], seed=seed
        ),
        against=where, explanations=tuple(found),
        errors=tuple({"row": row.row, "error": fault} for row, fault in zip(rows, faults, strict=True) if fault),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Row:
    row: int
    text: str
    pair: str | None


def _given(texts: Sequence[str], pairs: Sequence[str] | None) -> list[_Row]:
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"There must be one pair for each text; got {len(texts)} texts and {len(pairs)} pairs.")
    seconds: Sequence[str | None] = [None] * len(texts) if pairs is None else pairs
    return [_Row(row=n, text=text, pair=pair) for n, (text, pair) in enumerate(zip(texts, seconds, strict=True), 1)]


def _read(
    source: Path | str | IO[Any], text: str | None, pair: str | None, encoding: str | None, limit: int | None
) -> list[_Row]:
    rows: list[_Row] = []
    for frame in stream_texts(source, text=text, pair=pair, encoding=encoding):
        seconds = frame["pair"].tolist() if "pair" in frame.columns else [None] * len(frame)
        rows += [
            _Row(row=int(number), text=one, pair=other)
            for number, one, other in zip(frame["row"].tolist(), frame["text"].tolist(), seconds, strict=True)
        ]
        if len(rows) > MOST_TEXTS or (limit is not None and len(rows) >= limit):
            break
    return rows


def _gradients(
    bundle: Bundle, method: Method | Literal["auto"], most_gap: float, most_steps: int, threads: int | None
) -> tuple[IntegratedGradients | None, str]:
    """Return what computes gradients, or None and the reason why ``auto`` goes on without."""
    if method == "occlusion":
        return None, ""
    try:
        from tapereader.training.attribution import IntegratedGradients

        return IntegratedGradients(bundle, most_gap=most_gap, most_steps=most_steps, threads=threads), ""
    except ModuleNotFoundError as error:
        if error.name not in _LEARNING_LIBRARIES:
            raise
        if method == "auto":
            return None, "Explained by occlusion: integrated gradients need the extra `train`, which is not installed."
        raise missing_extra("train", needed_for="The method of integrated gradients") from error
    except BundleError as error:
        if method == "auto":
            return None, f"Explained by occlusion. {error}"
        raise


def _weigh(
    engine: Engine,
    gradients: IntegratedGradients | None,
    row: _Row,
    words: tuple[Word, ...],
    columns: tuple[int, ...],
    scores: NDArray[np.float64],
) -> Iterator[tuple[int, NDArray[np.float64], Completeness | None]]:
    """Yield each asked label's column, what the words weigh for it, and how complete that is."""
    if gradients is None:
        weights = occlude(engine, row.text, row.pair, words)
        for column in columns:
            yield column, weights[:, column], None
        return
    for column in columns:
        found = gradients.attribute(row.text, row.pair, column, expected=float(scores[column]))
        complete = Completeness(
            baseline_score=found.baseline_score, gap=found.gap, gap_share=found.gap_share, steps=found.steps,
            complete=found.complete,
        )  # fmt: skip
        yield column, gather(words, found.spans, found.values), complete


def _pieces(engine: Engine, row: _Row) -> list[tuple[int, int]]:
    if engine.bundle.members:
        raise ConfigError(
            "`chinese` must be 'character' for an ensemble, whose members may each read other pieces; got 'piece'. "
            "Name what belongs together as `terms`."
        )
    located = engine.bundle.tokenizer().locate(row.text, row.pair)
    return piece_runs(row.text, [span for piece in located for span in piece.spans])


def _options(bundle: Bundle) -> FileOptions:
    """Return how the file a bundle was made from was read, as the bundle states it."""
    columns = dict(bundle.manifest.get("config", {}).get("columns") or {})
    if columns.get("labels") is not None:
        columns["labels"] = tuple(columns["labels"])
    return FileOptions(**columns)
