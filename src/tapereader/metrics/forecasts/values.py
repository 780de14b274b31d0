"""Scores of forecast numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from tapereader.core.errors import DataError
from tapereader.metrics import summed
from tapereader.metrics.forecasts.checks import check_values


def r2(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the targets' variance explained; 0 is what their mean gets, NaN if they are constant.

    Parameters
    ----------
    targets, predicted : arrays (N,) of finite numbers

    Raises
    ------
    DataError
        If the arrays are empty, of different lengths, or hold a NaN.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    0.0
    """
    return _value_score("r2", targets, predicted)


def mae(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the targets' unit. Parameters and errors as in :func:`r2`."""
    return _value_score("mae", targets, predicted)


def rmse(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, in the targets' unit. Parameters and errors as in :func:`r2`."""
    return _value_score("rmse", targets, predicted)


def pearson(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Linear correlation; NaN where either side is constant. Parameters and errors as in :func:`r2`."""
    return _value_score("pearson", targets, predicted)


def spearman(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Rank correlation, ties sharing their mean rank; NaN where either side is constant.

    Parameters and errors as in :func:`r2`.

    Examples
    --------
    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    truth, answer = check_values(targets, predicted)
    return summed.value_sums(stats.rankdata(truth), stats.rankdata(answer)).value("pearson")


def weighted_cosine(targets: ArrayLike, predicted: ArrayLike, *, answered: ArrayLike | None = None) -> float:
    """Cosine between scores and truth, times the share of rows answered: the official score of SemEval-2017 task 5.

    Parameters
    ----------
    targets, predicted : arrays (N,)
    answered : bool array (N,), or None where every row was answered

    References
    ----------
    Cortis et al. (2017), SemEval-2017 Task 5, sec. 5, eqs. 1 and 2.

    Examples
    --------
    >>> weighted_cosine([0.5, -0.5], [0.5, -0.5], answered=[True, False])
    0.5
    """
    truth, answer = check_values(targets, predicted)
    kept = np.ones(len(truth), dtype=bool) if answered is None else np.asarray(answered, dtype=bool)
    if kept.shape != truth.shape:
        raise DataError(f"`answered` must have one entry a row, {len(truth)}; got shape {kept.shape}.")
    if not kept.any():
        return 0.0
    return summed.value_sums(truth[kept], answer[kept]).value("cosine") * float(kept.mean())


def _value_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    return summed.value_sums(*check_values(targets, predicted)).value(name)
