"""From calibrated outputs to what may be said: the answer, how sure it is, prediction sets, abstention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.calibration import Calibration, FloatArray
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError


def answers(
    contract: LabelContract, outputs: FloatArray, *, threshold: float | FloatArray = 0.5
) -> NDArray[np.int64] | FloatArray:
    """Return the answer of every row, in the form of the targets.

    Parameters
    ----------
    contract : label contract
    outputs : array (N, C) of probabilities, or (N,) of values for regression
    threshold : multi-label only: a label is given where its probability reaches this; or (N, 1), one a row

    Returns
    -------
    int array (N,) of contract positions, the first of the most probable; float array (N, C) of 0 and 1 for
    multi-label; the values themselves for regression. A generating model's row of zeros names no label: -1.

    Raises
    ------
    DataError
        If the outputs do not have the contract's shape or hold a NaN.

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> answers(two, np.array([[0.2, 0.8], [0.5, 0.5]])).tolist()
    [1, 0]
    """
    outputs = check_outputs(contract, outputs)
    if contract.kind == "regression":
        return outputs
    if contract.kind == "multi-label":
        return np.asarray(outputs >= threshold, dtype=np.float64)
    best = np.asarray(outputs.argmax(axis=1), dtype=np.int64)
    if contract.kind == "generation":
        best[outputs.sum(axis=1) == 0] = -1
    return best


def confidence(contract: LabelContract, outputs: FloatArray, *, threshold: float = 0.5) -> FloatArray:
    """Return how probable the model holds its own answer to be.

    One label a row: the greatest probability. Multi-label: the probability of the least sure of the C decisions, each
    the label's own where it is given and one minus it where it is not. Regression has none: all ones.

    Parameters
    ----------
    contract : label contract
    outputs : array (N, C) of probabilities, or (N,) of values for regression
    threshold : multi-label only, as in :func:`answers`

    Returns
    -------
    array (N,) in [0, 1]

    Examples
    --------
    >>> flags = LabelContract(kind="multi-label", names=("fraud", "default"))
    >>> confidence(flags, np.array([[0.9, 0.3]])).tolist()
    [0.7]
    """
    outputs = check_outputs(contract, outputs)
    if contract.kind == "regression":
        return np.ones(len(outputs))
    if contract.kind == "multi-label":
        sides = np.where(outputs >= threshold, outputs, 1.0 - outputs)
        return np.asarray(sides.min(axis=1), dtype=np.float64)
    return np.asarray(outputs.max(axis=1), dtype=np.float64)


def abstentions(contract: LabelContract, outputs: FloatArray, calibration: Calibration) -> NDArray[np.bool_]:
    """Return which rows the model's stated rule leaves to a person.

    Parameters
    ----------
    contract : label contract
    outputs : array (N, C) of probabilities, or (N,) of values for regression, which never abstains
    calibration : with ``abstain_below``, or None there for never

    Returns
    -------
    bool array (N,)
    """
    sure = confidence(contract, outputs, threshold=calibration.threshold)
    if calibration.abstain_below is None or contract.kind == "regression":
        return np.zeros(len(sure), dtype=np.bool_)
    return np.asarray(sure < calibration.abstain_below, dtype=np.bool_)


def prediction_sets(contract: LabelContract, outputs: FloatArray, calibration: Calibration) -> list[tuple[str, ...]]:
    """Return the labels that the promised coverage cannot exclude, for every row, in contract order.

    One label a row: labels whose probability is at least one minus the fitted quantile, and always the answer itself,
    so that no set is empty. Ordinal: everything between the lowest and the highest of those. Multi-label: a set that
    contains *all* true labels of a row with the promised probability. Adding labels only raises the coverage.

    Parameters
    ----------
    contract : label contract; not regression, see :func:`prediction_intervals`
    outputs : array (N, C) of calibrated probabilities
    calibration : with ``conformal_quantile``; where it is None every set is empty, for nothing is promised

    Returns
    -------
    list of N tuples of label names

    References
    ----------
    Sadinle, Lei and Wasserman (2019), JASA 114(525), for sets by least ambiguity; Angelopoulos and Bates (2023),
    Foundations and Trends in Machine Learning 16(4), ch. 1.

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> fitted = Calibration(coverage=0.9, conformal_quantile=0.7, n=100)
    >>> prediction_sets(two, np.array([[0.35, 0.65], [0.1, 0.9]]), fitted)
    [('down', 'up'), ('up',)]
    """
    outputs = check_outputs(contract, outputs)
    if calibration.conformal_quantile is None or contract.kind in ("regression", "generation"):
        return [()] * len(outputs)
    inside = (1.0 - outputs) <= calibration.conformal_quantile
    if contract.kind == "multi-label":
        inside |= outputs >= calibration.threshold
    else:
        inside[np.arange(len(outputs)), outputs.argmax(axis=1)] = True
    if contract.kind == "ordinal":
        inside = np.maximum.accumulate(inside, axis=1) & np.maximum.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return [tuple(name for name, kept in zip(contract.names, row, strict=True) if kept) for row in inside]


def prediction_intervals(
    contract: LabelContract, outputs: FloatArray, calibration: Calibration
) -> tuple[FloatArray, FloatArray] | None:
    """Return the interval that holds the true value with the promised probability, for every row.

    Parameters
    ----------
    contract : regression contract; its bounds cut the intervals
    outputs : array (N,) of values
    calibration : with ``conformal_quantile``, the half-width

    Returns
    -------
    low, high : arrays (N,), or None where nothing is promised

    References
    ----------
    Lei et al. (2018), JASA 113(523), sec. 2: split conformal with absolute residuals.
    """
    outputs = check_outputs(contract, outputs)
    if contract.kind != "regression" or calibration.conformal_quantile is None:
        return None
    low = outputs - calibration.conformal_quantile
    high = outputs + calibration.conformal_quantile
    return np.clip(low, contract.low, contract.high), np.clip(high, contract.low, contract.high)


def check_outputs(contract: LabelContract, outputs: FloatArray) -> FloatArray:
    """Return the outputs as float64, refusing those that do not fit the contract.

    Raises
    ------
    DataError
        If the shape is not the contract's, or a value is not finite.
    """
    array = np.asarray(outputs, dtype=np.float64)
    right = array.ndim == 1 if contract.kind == "regression" else array.shape[1:] == (len(contract.names),)
    if not right:
        wanted = "(N,)" if contract.kind == "regression" else f"(N, {len(contract.names)})"
        raise DataError(f"Outputs of a {contract.kind} model must be an array {wanted}; got shape {array.shape}.")
    finite = np.isfinite(array)
    if not finite.all():
        wrong = np.argwhere(~finite)
        raise DataError(f"Outputs must be finite; got {array[tuple(wrong[0])]} in row {int(wrong[0][0]) + 1}.")
    return array
