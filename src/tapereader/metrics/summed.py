"""Metrics that are a formula over sums of rows, so that one formula serves the score and its thousand resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapereader.core.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Formula = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class SummedScores:
    """Rows turned into columns whose sums are all that a set of metrics needs.

    Macro-F1 of a resample needs three counts a class, not the rows. Summing the columns once a group and weighting
    the groups makes a cluster bootstrap one matrix product, exact to the bit of rounding.

    Parameters
    ----------
    columns : array (N, K)
    formulas : metric name to a function of sums, shape (..., K) to (...); NaN where the metric is undefined
    """

    columns: FloatArray
    formulas: Mapping[str, Formula]

    def value(self, name: str) -> float:
        """Return one metric over all rows; NaN where it is undefined."""
        return float(self.formulas[name](self.columns.sum(axis=0)))


def label_sums(targets: IntArray, predicted: IntArray, *, n_classes: int) -> SummedScores:
    """Return the metrics of one label a row: accuracy, F1 in three averages, Matthews.

    Parameters
    ----------
    targets : array (N,) of classes 0..C-1
    predicted : array (N,) of classes; -1 is an answer that could not be read, and always wrong
    n_classes : C
    """
    truth = _one_hot(targets, n_classes)
    answer = _one_hot(predicted, n_classes)
    columns = np.hstack([truth * answer, truth, answer, np.ones((len(truth), 1))])
    return SummedScores(columns, _count_formulas(n_classes) | {"accuracy": _accuracy, "matthews": _matthews})


def set_sums(targets: FloatArray, predicted: FloatArray) -> SummedScores:
    """Return the metrics of a set of labels a row: F1 in four averages, exact match.

    A row without any true label that is answered with none is right: it counts 1 in ``samples_f1``.

    Parameters
    ----------
    targets, predicted : arrays (N, C) of 0 and 1
    """
    both = (targets * predicted).sum(axis=1)
    sizes = targets.sum(axis=1) + predicted.sum(axis=1)
    samples = np.where(sizes == 0, 1.0, 2.0 * both / np.maximum(sizes, 1.0))
    exact = (targets == predicted).all(axis=1)
    columns = np.hstack(
        [targets * predicted, targets, predicted, np.ones((len(targets), 1)), samples[:, None], exact[:, None]]
    )
    formulas: dict[str, Formula] = dict(_count_formulas(targets.shape[1]))
    formulas["samples_f1"] = lambda sums: _ratio(sums[..., -2], sums[..., -3])
    formulas["exact_match"] = lambda sums: _ratio(sums[..., -1], sums[..., -3])
    return SummedScores(columns, formulas)


def rank_sums(targets: IntArray, predicted: IntArray, *, n_classes: int) -> SummedScores:
    """Return the metrics of ordered labels: quadratic kappa and the mean absolute distance in ranks.

    Parameters
    ----------
    targets, predicted : arrays (N,) of ranks 0..C-1
    n_classes : C
    """
    distance = np.abs(targets - predicted).astype(np.float64)
    columns = np.hstack(
        [
            _one_hot(targets, n_classes),
            _one_hot(predicted, n_classes),
            np.ones((len(targets), 1)),
            distance[:, None],
            distance[:, None] ** 2,
        ]
    )
    ranks = np.arange(n_classes)
    cost = (ranks[:, None] - ranks[None, :]).astype(np.float64) ** 2

    def kappa(sums: FloatArray) -> FloatArray:
        truth, answer = sums[..., :n_classes], sums[..., n_classes : 2 * n_classes]
        by_chance = ((truth @ cost) * answer).sum(axis=-1)
        return 1.0 - _ratio(sums[..., -1] * sums[..., -3], by_chance)

    return SummedScores(
        columns, {"quadratic_kappa": kappa, "rank_mae": lambda sums: _ratio(sums[..., -2], sums[..., -3])}
    )


def value_sums(targets: FloatArray, predicted: FloatArray) -> SummedScores:
    """Return the metrics of one number a row: R2, MAE, RMSE, Pearson correlation, cosine.

    Parameters
    ----------
    targets, predicted : arrays (N,)
    """
    # Centred first: sums of squares far from zero would lose the digits that a variance is made of.
    y, f = targets - targets.mean(), predicted - predicted.mean()
    error = targets - predicted
    columns = np.column_stack(
        [
            np.ones(len(y)),
            y,
            f,
            y * y,
            f * f,
            y * f,
            np.abs(error),
            error**2,
            targets**2,
            predicted**2,
            targets * predicted,
        ]
    )

    def pearson(sums: FloatArray) -> FloatArray:
        n = sums[..., 0]
        cross = sums[..., 5] - sums[..., 1] * sums[..., 2] / n
        spread_f = np.maximum(sums[..., 4] - sums[..., 2] ** 2 / n, 0.0)
        return _ratio(cross, np.sqrt(_spread(sums) * spread_f))

    return SummedScores(
        columns,
        {
            "r2": lambda sums: 1.0 - _ratio(sums[..., 7], _spread(sums)),
            "mae": lambda sums: _ratio(sums[..., 6], sums[..., 0]),
            "rmse": lambda sums: np.sqrt(_ratio(sums[..., 7], sums[..., 0])),
            "pearson": pearson,
            "cosine": lambda sums: _ratio(sums[..., 10], np.sqrt(sums[..., 8] * sums[..., 9])),
        },
    )


def mean_sums(name: str, rows: FloatArray) -> SummedScores:
    """Return a metric that is the mean of a number a row, such as the Brier score.

    Parameters
    ----------
    name : of the metric
    rows : array (N,)
    """
    columns = np.column_stack([rows, np.ones(len(rows))])
    return SummedScores(columns, {name: lambda sums: _ratio(sums[..., 0], sums[..., 1])})


def bin_sums(confidence: FloatArray, right: FloatArray, *, n_bins: int, n_rows: int | None = None) -> SummedScores:
    """Return the expected calibration error over bins of equal mass, fixed by these rows.

    Parameters
    ----------
    confidence : array (M,), the stated probabilities
    right : array (M,) of 0 and 1, whether each came true
    n_bins : bins asked for; equal confidences share a bin, so there may be fewer
    n_rows : N rows that the M statements belong to, row by row (several labels a row); None for N = M
    """
    bins = equal_mass_bins(confidence, n_bins=n_bins)
    n = len(bins) if n_rows is None else n_rows
    width = int(bins.max()) + 1
    gaps = np.zeros((n, width))
    np.add.at(gaps, (np.repeat(np.arange(n), len(bins) // n), bins), confidence - right)
    columns = np.hstack([gaps, np.full((n, 1), len(bins) / n)])
    return SummedScores(columns, {"ece": lambda sums: _ratio(np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1])})


def equal_mass_bins(values: FloatArray, *, n_bins: int) -> IntArray:
    """Return the bin of every value, bins holding about equally many; equal values share a bin.

    Parameters
    ----------
    values : array (N,)
    n_bins : bins asked for

    Returns
    -------
    int array (N,), bins numbered from 0 without gaps
    """
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))
    found = np.searchsorted(edges, values, side="left")
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


def stack(scores: list[SummedScores]) -> SummedScores:
    """Put several sets of metrics side by side, so that they share one resampling.

    Raises
    ------
    DataError
        If they have different numbers of rows.
    """
    rows = {len(score.columns) for score in scores}
    if len(rows) != 1:
        raise DataError(f"Scores to be put together must have the same rows; got {sorted(rows)} rows.")
    formulas: dict[str, Formula] = {}
    start = 0
    for score in scores:
        part = slice(start, start + score.columns.shape[1])
        start = part.stop
        for name, formula in score.formulas.items():
            formulas[name] = _on_part(formula, part)
    return SummedScores(np.hstack([score.columns for score in scores]), formulas)


def _on_part(formula: Formula, part: slice) -> Formula:
    return lambda sums: formula(sums[..., part])


def _one_hot(labels: IntArray, n_classes: int) -> FloatArray:
    return np.asarray(labels[:, None] == np.arange(n_classes)[None, :], dtype=np.float64)


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    top, bottom = np.broadcast_arrays(np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0), dtype=np.float64)


def _spread(sums: FloatArray) -> FloatArray:
    spread = sums[..., 3] - sums[..., 1] ** 2 / sums[..., 0]
    # What is left of a constant by rounding is no variance.
    return np.asarray(np.where(spread > 1e-12 * np.maximum(sums[..., 8], 1e-300), spread, 0.0), dtype=np.float64)


def _count_formulas(n_classes: int) -> dict[str, Formula]:
    def counts(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return sums[..., :n_classes], sums[..., n_classes : 2 * n_classes], sums[..., 2 * n_classes : 3 * n_classes]

    def macro(sums: FloatArray) -> FloatArray:
        hits, truth, answer = counts(sums)
        occurs = (truth + answer) > 0
        each = 2.0 * hits / np.where(occurs, truth + answer, 1.0)
        return _ratio(each.sum(axis=-1), occurs.sum(axis=-1))

    def weighted(sums: FloatArray) -> FloatArray:
        hits, truth, answer = counts(sums)
        each = 2.0 * hits / np.maximum(truth + answer, 1.0)
        return _ratio((each * truth).sum(axis=-1), truth.sum(axis=-1))

    def micro(sums: FloatArray) -> FloatArray:
        hits, truth, answer = counts(sums)
        return _ratio(2.0 * hits.sum(axis=-1), truth.sum(axis=-1) + answer.sum(axis=-1))

    return {"macro_f1": macro, "weighted_f1": weighted, "micro_f1": micro}


def _accuracy(sums: FloatArray) -> FloatArray:
    n_classes = (sums.shape[-1] - 1) // 3
    return _ratio(sums[..., :n_classes].sum(axis=-1), sums[..., -1])


def _matthews(sums: FloatArray) -> FloatArray:
    n_classes = (sums.shape[-1] - 1) // 3
    n = sums[..., -1]
    truth, answer = sums[..., n_classes : 2 * n_classes], sums[..., 2 * n_classes : 3 * n_classes]
    hits = sums[..., :n_classes].sum(axis=-1)
    # Unreadable answers are a class of their own that nothing is true of.
    unread = n - answer.sum(axis=-1)
    cross = hits * n - (truth * answer).sum(axis=-1)
    spread_answer = n**2 - (answer**2).sum(axis=-1) - unread**2
    spread = np.sqrt(np.maximum((n**2 - (truth**2).sum(axis=-1)) * spread_answer, 0.0))
    return np.asarray(np.where(spread > 0, cross / np.where(spread > 0, spread, 1.0), 0.0), dtype=np.float64)
