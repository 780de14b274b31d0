"""What the arrays of a metric must be, refused at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapereader.core.errors import DataError
from tapereader.metrics.summed import FloatArray, IntArray


def _same(left: NDArray[Any], right: NDArray[Any], *, ndim: int) -> None:
    if left.shape != right.shape or left.ndim != ndim:
        axes = "(N,)" if ndim == 1 else "(N, C)"
        raise DataError(f"Targets and answers must be arrays {axes} of one shape; got {left.shape} and {right.shape}.")
    if left.size == 0:
        raise DataError("Targets and answers must have at least one row; got none.")


def check_labels(
    targets: ArrayLike, predicted: ArrayLike, *, n_classes: int | None = None, all_read: bool = False
) -> tuple[IntArray, IntArray]:
    """Return targets and answers as positions of labels, refusing what is not one.

    An answer may be -1, for one that could not be read, unless ``all_read``.
    """
    arrays = []
    for what, values, least in (("targets", targets, 0), ("predicted", predicted, 0 if all_read else -1)):
        array = np.asarray(values)
        if array.size and not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.bool_)):
            raise DataError(f"`{what}` must be whole numbers, the positions of labels; got dtype {array.dtype}.")
        labels = array.astype(np.int64)
        most = labels.max(initial=0) if n_classes is None else n_classes - 1
        wrong = np.flatnonzero((labels < least) | (labels > most))
        if len(wrong):
            at = int(wrong[0])
            top = "" if n_classes is None else f" and at most {n_classes - 1}"
            raise DataError(f"`{what}` must be at least {least}{top}; got {labels.ravel()[at]} at position {at}.")
        arrays.append(labels)
    _same(arrays[0], arrays[1], ndim=1)
    return arrays[0], arrays[1]


def check_sets(targets: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return targets and answers as arrays (N, C) of 0 and 1, refusing anything else."""
    truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _same(truth, answer, ndim=2)
    for what, array in (("targets", truth), ("predicted", answer)):
        wrong = np.argwhere((array != 0) & (array != 1))
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            raise DataError(f"`{what}` of sets of labels must be 0 or 1; got {float(array[at])} at position {at}.")
    return truth, answer


def check_values(targets: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return targets and answers as finite float arrays (N,), refusing anything else."""
    truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _same(truth, answer, ndim=1)
    for what, array in (("targets", truth), ("predicted", answer)):
        wrong = np.flatnonzero(~np.isfinite(array))
        if len(wrong):
            raise DataError(f"`{what}` must be finite numbers; got {array[wrong[0]]} at position {int(wrong[0])}.")
    return truth, answer


def check_probabilities(probabilities: ArrayLike) -> FloatArray:
    """Return an array (N, C) of probabilities, refusing what is outside [0, 1]."""
    stated = np.asarray(probabilities, dtype=np.float64)
    if stated.ndim != 2 or stated.size == 0:
        raise DataError(f"Probabilities must be an array (N, C) with at least one row; got shape {stated.shape}.")
    wrong = np.argwhere(~((stated >= 0) & (stated <= 1 + 1e-9)))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise DataError(f"Probabilities must be between 0 and 1; got {stated[at]} at position {at}.")
    return stated


def check_scores(scores: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return scores and what came true, refusing truths other than 0 and 1."""
    values, came_true = check_values(scores, truth)
    wrong = np.flatnonzero((came_true != 0) & (came_true != 1))
    if len(wrong):
        raise DataError(f"What came true must be 0 or 1; got {came_true[wrong[0]]} at position {int(wrong[0])}.")
    return values, came_true


def check_confidence(confidence: ArrayLike, right: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return confidences in [0, 1] and what came true."""
    stated, came_true = check_scores(confidence, right)
    check_probabilities(stated[:, None])
    return stated, came_true
