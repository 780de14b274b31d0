"""Scores of stated probabilities: how near the truth, how honest, how well they rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from tapereader.core.errors import DataError
from tapereader.metrics import summed
from tapereader.metrics.forecasts.checks import (
    check_confidence,
    check_labels,
    check_probabilities,
    check_scores,
    check_sets,
)
from tapereader.metrics.summed import FloatArray


def brier(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared distance between stated probabilities and what came true.

    One label a row: Brier's own definition, summed over the classes, 0 to 2 (half of it is the binary score of some
    libraries). Sets of labels: the mean over labels, 0 to 1.

    Parameters
    ----------
    targets : int array (N,), or array (N, C) of 0 and 1
    probabilities : array (N, C)

    Raises
    ------
    DataError
        If shapes do not fit or a probability is outside [0, 1].

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1), eq. 2.

    Examples
    --------
    >>> brier([0], [[0.5, 0.5]])
    0.5
    """
    return float(brier_rows(targets, probabilities).mean())


def brier_rows(targets: ArrayLike, probabilities: ArrayLike) -> FloatArray:
    """Return the Brier score of every row, whose mean is :func:`brier`.

    Parameters and errors as in :func:`brier`.

    Returns
    -------
    array (N,)
    """
    stated = check_probabilities(probabilities)
    goals = np.asarray(targets)
    if goals.ndim == 2:
        truth, _ = check_sets(goals, (stated >= 0.5).astype(np.float64))
        return np.asarray(((stated - truth) ** 2).mean(axis=1), dtype=np.float64)
    labels, _ = check_labels(goals, stated.argmax(axis=1), n_classes=stated.shape[1])
    truth = (labels[:, None] == np.arange(stated.shape[1])[None, :]).astype(np.float64)
    return np.asarray(((stated - truth) ** 2).sum(axis=1), dtype=np.float64)


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> float:
    """Mean gap between stated confidence and the share that came true, over bins of equal mass.

    Bins hold equally many rows, not equally wide ranges, so that no bin rests on a handful; equal confidences share a
    bin. For one label a row, ``confidence`` is the greatest probability and ``right`` whether that label is true; for
    sets of labels, every probability of every label with whether it is true.

    Parameters
    ----------
    confidence : array (N,) in [0, 1]
    right : array (N,) of 0 and 1
    n_bins : bins asked for

    Raises
    ------
    DataError
        If the arrays are empty, of different lengths or outside their ranges.

    References
    ----------
    Naeini et al. (2015), AAAI; Nguyen and O'Connor (2015), EMNLP, for bins of equal mass.

    Examples
    --------
    Four answers at 75 %, three of them right.

    >>> expected_calibration_error([0.75] * 4, [1, 1, 1, 0])
    0.0
    """
    stated, came_true = check_confidence(confidence, right)
    return summed.bin_sums(stated, came_true, n_bins=n_bins).value("ece")


def reliability(confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 10) -> list[dict[str, float]]:
    """Return the points of a reliability diagram: mean confidence, share right and rows of each bin of equal mass.

    Parameters and errors as in :func:`expected_calibration_error`.
    """
    stated, came_true = check_confidence(confidence, right)
    bins = summed.equal_mass_bins(stated, n_bins=n_bins)
    out = []
    for b in range(int(bins.max()) + 1):
        inside = bins == b
        out.append(
            {
                "confidence": float(stated[inside].mean()),
                "accuracy": float(came_true[inside].mean()),
                "n": int(inside.sum()),
            }
        )
    return out


def auc(targets: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a true row scores above a false one, ties counting half.

    Parameters
    ----------
    targets : array (N,) of 0 and 1
    scores : array (N,)

    Raises
    ------
    DataError
        If only one of the two classes occurs.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143(1): the Mann-Whitney form.

    Examples
    --------
    >>> auc([0, 1, 1], [0.1, 0.1, 0.9])
    0.75
    """
    values, truth = check_scores(scores, targets)
    n_true = float(truth.sum())
    n_false = len(truth) - n_true
    if n_true == 0 or n_false == 0:
        raise DataError(f"`targets` of an AUC must hold both 0 and 1; got only {int(truth[0])}.")
    ranks = stats.rankdata(values)
    return float((ranks[truth == 1].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))
