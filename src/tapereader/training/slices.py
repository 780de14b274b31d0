"""Where a model errs: scores of parts of the rows, and its surest mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.conformal import answers
from tapereader.bundle.contract import UNPARSED, LabelContract
from tapereader.core.errors import DataError
from tapereader.dataset.parts import split_groups
from tapereader.sources.labelled import LabelledText
from tapereader.training.evaluation import evaluate_outputs

Targets = NDArray[Any]
#: A part with fewer rows says nothing and is left out.
_LEAST_ROWS = 20
#: Values of a column that are shown, the commonest first.
_MOST_VALUES = 8
_NUMBER = re.compile(r"\d|[零一二三四五六七八九十百千万亿两]+(?:成|倍|%|个百分点)")
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|neither|nor|without|cannot|hardly|\w+n['’]t)\b|不|没|未|无|非|否认|并非", re.IGNORECASE
)
_COLUMNS = ("source", "ticker", "agreement")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The headline score of one part of the rows.

    Parameters
    ----------
    by : what the rows were parted by: ``length``, ``numbers``, ``negation``, ``period`` or a column's name
    value : which part
    n : rows in it
    metric : the headline metric
    score, low, high : with its 95 % interval; None where it is undefined on these rows
    """

    by: str
    value: str
    n: int
    metric: str
    score: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One row the model got wrong, and how sure it was.

    Parameters
    ----------
    row : position in the source, counted from 1
    text, pair : what it read
    truth, answer : labels (joined by ``|`` for sets), or numbers
    badness : probability of the wrong answer less that of the truth; for sets, the surest wrong decision; for numbers,
        the absolute error
    """

    row: int
    text: str
    pair: str | None
    truth: str
    answer: str
    badness: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def score_slices(
    labelled: LabelledText,
    targets: Targets,
    outputs: FloatArray,
    contract: LabelContract,
    *,
    groups: NDArray[np.int64] | None = None,
    threshold: float = 0.5,
    seed: int = 0,
) -> list[Slice]:
    """Score parts of the rows: by length, numbers, negation, period and what columns there are.

    Length is in thirds of characters; a number is a digit or a Chinese share or multiple; negation is a word that
    turns the meaning; the period is the year of ``known_at``; ``source``, ``ticker`` and ``agreement`` are taken where
    the set has them, their eight commonest values. Parts below 20 rows are left out.

    Parameters
    ----------
    labelled : the N rows that were answered
    targets : as the contract's targets are
    outputs : array (N, C) of probabilities, or (N,) of values
    contract : label contract
    groups : int array (N,) of rows that are resampled together; None takes the set's own ``group`` column, or single
        rows where it has none
    threshold : multi-label only
    seed : of the intervals

    Raises
    ------
    DataError
        If rows, targets and outputs do not fit each other.
    """
    _check(labelled, outputs)
    together = groups
    if together is None and "group" in labelled.frame.columns:
        # A row without a value stands alone.
        together = split_groups(labelled, np.arange(len(labelled)))
    found = []
    for by, value, rows in _parts(labelled):
        if rows.sum() < _LEAST_ROWS:
            continue
        scored = evaluate_outputs(
            contract,
            targets[rows],
            outputs[rows],
            groups=None if together is None else together[rows],
            seed=seed,
            threshold=threshold,
        )
        score = scored.metrics[scored.headline]
        found.append(
            Slice(
                by=by,
                value=value,
                n=int(rows.sum()),
                metric=scored.headline,
                score=score["value"],
                low=score["low"],
                high=score["high"],
            )
        )
    return found


def worst_mistakes(
    labelled: LabelledText,
    targets: Targets,
    outputs: FloatArray,
    contract: LabelContract,
    *,
    k: int = 20,
    threshold: float = 0.5,
) -> list[Mistake]:
    """Return the rows that were wrong with the most confidence, the worst first.

    They are either the model's blind spots or wrong labels: both are worth reading.

    Parameters
    ----------
    labelled, targets, outputs, contract, threshold : as in :func:`score_slices`
    k : most rows returned

    Raises
    ------
    DataError
        If rows, targets and outputs do not fit each other.
    """
    _check(labelled, outputs)
    given = answers(contract, outputs, threshold=threshold)
    badness = _badness(contract, targets, outputs, given, threshold=threshold)
    order = np.argsort(-badness, kind="stable")[:k]
    rows, texts, pairs = labelled.frame["row"].tolist(), labelled.texts, labelled.pairs
    return [
        Mistake(
            row=int(rows[at]),
            text=texts[at],
            pair=None if pairs is None else pairs[at],
            truth=_named(contract, targets[at]),
            answer=_named(contract, given[at]),
            badness=float(badness[at]),
        )
        for at in order
        if badness[at] > 0
    ]


def _check(labelled: LabelledText, outputs: FloatArray) -> None:
    if len(labelled) != len(outputs):
        raise DataError(f"Outputs must have one row for each of {len(labelled)} texts; got {len(outputs)}.")


def _parts(labelled: LabelledText) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    texts, frame = labelled.texts, labelled.frame
    lengths = np.asarray([len(text) for text in texts])
    low, high = np.quantile(lengths, [1 / 3, 2 / 3])
    yield "length", f"up to {low:.0f} characters", lengths <= low
    yield "length", f"{low:.0f} to {high:.0f} characters", (lengths > low) & (lengths <= high)
    yield "length", f"above {high:.0f} characters", lengths > high
    for by, pattern, yes, no in (
        ("numbers", _NUMBER, "with a number", "without a number"),
        ("negation", _NEGATION, "with a negation", "without a negation"),
    ):
        has = np.asarray([bool(pattern.search(text)) for text in texts])
        yield by, yes, has
        yield by, no, ~has
    if "known_at" in frame.columns:
        years = pd.to_datetime(frame["known_at"], utc=True).dt.year
        for year in sorted(years.dropna().unique()):
            yield "period", str(int(year)), np.asarray(years == year)
    for column in _COLUMNS:
        if column in frame.columns:
            values = frame[column].astype(str)
            for value in values[frame[column].notna()].value_counts().index[:_MOST_VALUES]:
                yield column, str(value), np.asarray(values == value)


def _badness(
    contract: LabelContract, targets: Targets, outputs: FloatArray, given: Targets, *, threshold: float
) -> FloatArray:
    if contract.kind == "regression":
        return np.asarray(np.abs(outputs - targets), dtype=np.float64)
    if contract.kind == "multi-label":
        away = np.where(given == targets, 0.0, np.abs(outputs - threshold) + 1e-12)
        return np.asarray(away.max(axis=1), dtype=np.float64)
    rows = np.arange(len(outputs))
    gap = outputs[rows, given] - outputs[rows, targets]
    # An unreadable answer has no probability; it is wrong with whatever the truth was denied.
    gap = np.where(given < 0, 1.0, gap)
    return np.asarray(np.where(given == targets, 0.0, gap + 1e-12), dtype=np.float64)


def _named(contract: LabelContract, value: Any) -> str:
    if contract.kind == "regression":
        return f"{float(value):.3f}"
    if contract.kind == "multi-label":
        return "|".join(name for name, on in zip(contract.names, value, strict=True) if on) or "none"
    return contract.names[int(value)] if int(value) >= 0 else UNPARSED
