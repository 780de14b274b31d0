"""How sure a score is: bootstrap intervals by group, paired differences, McNemar's test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tapereader.core.errors import ConfigError, DataError
from tapereader.metrics.summed import FloatArray

#: Weights of one block of resamples held in memory at a time: 4 million numbers are 32 MB.
_BLOCK = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A score with its confidence interval.

    Parameters
    ----------
    value : the score on all rows; NaN where it is undefined
    low, high : ends of the interval
    level : confidence in (0, 1)
    """

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How much one set of answers scores above another on the same rows.

    Parameters
    ----------
    difference : score of ours minus score of theirs
    low, high : ends of its interval
    p_value : two-sided, for no difference
    level : confidence in (0, 1)
    """

    difference: float
    low: float
    high: float
    p_value: float
    level: float


def cluster_bootstrap(
    statistic: Callable[..., float],
    *arrays: NDArray[Any],
    groups: ArrayLike | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic, resampling whole groups of rows.

    Rows that belong together (copies of one story, one document's sentences) are drawn together: drawing them apart
    would count one piece of evidence many times and make the interval too narrow. For a metric of
    ``metrics.summed``, :func:`resampled_sums` gives the same resamples at a fraction of the time.

    Parameters
    ----------
    statistic : function of the arrays' rows to one number
    arrays : arrays with N rows each
    groups : N group names, or None where every row stands alone
    n_resamples : draws
    level : confidence in (0, 1)
    seed : of the draws

    Raises
    ------
    DataError
        If the arrays are empty or have different numbers of rows.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13; Cameron et al. (2008), Review of Economics
    and Statistics 90(3), for whole clusters.

    Examples
    --------
    >>> found = cluster_bootstrap(np.mean, np.arange(100.0), n_resamples=200)
    >>> found.low < found.value < found.high
    True
    """
    n = _rows(*arrays)
    values = [
        float(statistic(*(array[rows] for array in arrays)))
        for rows in _resampled_rows(n, groups, n_resamples=n_resamples, seed=seed)
    ]
    return interval_of(float(statistic(*arrays)), np.asarray(values), level=level)


def resampled_sums(
    columns: FloatArray, *, groups: ArrayLike | None = None, n_resamples: int = 1000, seed: int = 0
) -> FloatArray:
    """Return the column sums of every resample of whole groups, as one matrix product.

    Parameters
    ----------
    columns : array (N, K)
    groups : N group names, or None where every row stands alone
    n_resamples : R draws
    seed : of the draws; equal seeds give equal draws for equal groups

    Returns
    -------
    array (R, K)
    """
    codes, n_groups = _codes(_rows(columns), groups)
    by_group = np.zeros((n_groups, columns.shape[1]))
    np.add.at(by_group, codes, columns)
    blocks = [weights @ by_group for weights in _weights(n_groups, n_resamples=n_resamples, seed=seed)]
    return np.asarray(np.vstack(blocks), dtype=np.float64)


def interval_of(
    value: float, resampled: FloatArray, *, level: float, method: Literal["percentile", "basic"] = "percentile"
) -> Interval:
    """Return the interval of a score from its resampled values; undefined ones (NaN) are left out.

    ``basic`` mirrors the resampled values around the score. It is the right one for a quantity that resampling
    inflates, such as a calibration error.

    Parameters
    ----------
    value : score on all rows
    resampled : array (R,)
    level : confidence in (0, 1)
    method : ``percentile`` or ``basic``
    """
    if not 0 < level < 1:
        raise ConfigError(f"`level` must be between 0 and 1, such as 0.95; got {level!r}.")
    defined = resampled[np.isfinite(resampled)]
    if len(defined) == 0:
        return Interval(value=value, low=float("nan"), high=float("nan"), level=level)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    if method == "basic":
        low, high = 2 * value - high, 2 * value - low
    return Interval(value=value, low=float(low), high=float(high), level=level)


def difference_of(ours: float, theirs: float, resampled: FloatArray, *, level: float) -> PairedDifference:
    """Return the paired difference from resampled differences.

    The p value is twice the smaller share of resamples on either side of zero, one added to both counts, so that it is
    never 0 and at most 1.

    Parameters
    ----------
    ours, theirs : scores on all rows
    resampled : array (R,) of differences, both scores taken on the same draw
    level : confidence in (0, 1)
    """
    defined = resampled[np.isfinite(resampled)]
    found = interval_of(ours - theirs, defined, level=level)
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    p_value = min(1.0, 2 * (smaller + 1) / (len(defined) + 1))
    return PairedDifference(difference=found.value, low=found.low, high=found.high, p_value=p_value, level=level)


def paired_bootstrap_difference(
    statistic: Callable[..., float],
    targets: NDArray[Any],
    ours: NDArray[Any],
    theirs: NDArray[Any],
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Difference of a statistic between two sets of answers, drawn on the same rows.

    Pairing removes what both find hard, so that a small but steady lead shows. Parameters as in
    :func:`cluster_bootstrap`; ``statistic`` takes targets and answers.

    References
    ----------
    Berg-Kirkpatrick et al. (2012), An Empirical Investigation of Statistical Significance in NLP, EMNLP.

    Examples
    --------
    >>> truth = np.arange(50) % 2
    >>> share = lambda t, p: float(np.mean(t == p))
    >>> found = paired_bootstrap_difference(share, truth, truth, 1 - truth, n_resamples=99)
    >>> found.difference, found.p_value
    (1.0, 0.02)
    """
    n = _rows(targets, ours, theirs)
    values = [
        float(statistic(targets[rows], ours[rows])) - float(statistic(targets[rows], theirs[rows]))
        for rows in _resampled_rows(n, groups, n_resamples=n_resamples, seed=seed)
    ]
    return difference_of(
        float(statistic(targets, ours)), float(statistic(targets, theirs)), np.asarray(values), level=level
    )


def mcnemar(ours_right: ArrayLike, theirs_right: ArrayLike) -> float:
    """Two-sided exact p value that two sets of answers are right equally often.

    Only rows that exactly one of them has right speak; 1.0 where there is none. Rows count as independent: with groups
    of copies, prefer the paired bootstrap.

    Parameters
    ----------
    ours_right, theirs_right : bool arrays (N,)

    References
    ----------
    McNemar (1947), Psychometrika 12(2); the exact binomial form.

    Examples
    --------
    Five rows only ours has right, none only theirs: 2 x (1/2)^5.

    >>> mcnemar([True] * 6, [False] * 5 + [True])
    0.0625
    """
    ours, theirs = np.asarray(ours_right, dtype=bool), np.asarray(theirs_right, dtype=bool)
    _rows(ours, theirs)
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    if only_ours + only_theirs == 0:
        return 1.0
    return float(stats.binomtest(only_ours, only_ours + only_theirs).pvalue)


def _rows(*arrays: NDArray[Any]) -> int:
    lengths = [len(array) for array in arrays]
    if not lengths or len(set(lengths)) != 1:
        raise DataError(f"Arrays to be resampled together must have the same rows; got {lengths} rows.")
    if lengths[0] == 0:
        raise DataError("Arrays to be resampled must have at least one row; got none.")
    return lengths[0]


def _codes(n: int, groups: ArrayLike | None) -> tuple[NDArray[np.int64], int]:
    if groups is None:
        return np.arange(n, dtype=np.int64), n
    names = np.asarray(groups)
    if names.shape != (n,):
        raise DataError(f"`groups` must have one entry a row, {n}; got shape {names.shape}.")
    found, codes = np.unique(names, return_inverse=True)
    return np.asarray(codes, dtype=np.int64), len(found)


def _weights(n_groups: int, *, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    if n_resamples < 1:
        raise ConfigError(f"`n_resamples` must be at least 1; got {n_resamples!r}.")
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // n_groups)
    for start in range(0, n_resamples, step):
        count = min(step, n_resamples - start)
        drawn = rng.integers(0, n_groups, size=(count, n_groups))
        drawn += np.arange(count)[:, None] * n_groups
        yield np.bincount(drawn.ravel(), minlength=count * n_groups).reshape(count, n_groups).astype(np.float64)


def _resampled_rows(n: int, groups: ArrayLike | None, *, n_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    codes, n_groups = _codes(n, groups)
    for weights in _weights(n_groups, n_resamples=n_resamples, seed=seed):
        for row in weights.astype(np.int64):
            yield np.repeat(np.arange(n), row[codes])
