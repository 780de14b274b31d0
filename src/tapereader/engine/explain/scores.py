"""What an explanation explains: one number a label, on a scale on which words add up."""

from __future__ import annotations

import numpy as np

from tapereader.bundle.calibration import Calibration, FloatArray, decode
from tapereader.bundle.conformal import answers
from tapereader.bundle.contract import LabelContract

#: A probability is not taken for smaller than this, or greater than its complement: its log-odds stay finite.
_LEAST = 1e-9


def label_scores(contract: LabelContract, logits: FloatArray, calibration: Calibration) -> FloatArray:
    """Return the logit of every label's calibrated probability: ``ln(p / (1 - p))``; the value for regression.

    The raw output of a softmax is known only up to a number added to all labels, so a word could raise a label's raw
    output and make the label less likely. The logit of its probability has no such freedom: it is the raw output minus
    what the other labels hold against it. Multi-label: the raw output over the temperature.

    Parameters
    ----------
    contract : label contract
    logits : array (N, W)
    calibration : of the bundle

    Returns
    -------
    array (N, C)

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> label_scores(two, np.array([[1.0, 4.0]]), Calibration()).tolist()
    [[-3.0, 3.0]]
    """
    logits = np.asarray(logits, dtype=np.float64)
    if contract.kind == "regression":
        return decode(contract, logits, calibration)[:, None]
    if contract.kind == "multi-label":
        return np.asarray(logits / calibration.temperature)
    if contract.kind == "ordinal":
        inside = np.clip(decode(contract, logits, calibration), _LEAST, 1.0 - _LEAST)
        return np.asarray(np.log(inside) - np.log1p(-inside))
    scaled = logits / calibration.temperature
    own = np.eye(scaled.shape[1], dtype=np.bool_)
    others = np.where(own, -np.inf, scaled[:, None, :])
    return np.asarray(scaled - np.logaddexp.reduce(others, axis=2))


def full_weight(contract: LabelContract, weights: FloatArray, calibration: Calibration) -> float:
    """Return the weight that is shown as strongly as any: the text's greatest, but at least one logit.

    A text in which no word weighs much would else look like one in which a word decides. Regression: at least a quarter
    of a standard deviation of the target.

    Parameters
    ----------
    contract : label contract
    weights : array (W,) of the words of one text
    calibration : of the bundle

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> full_weight(two, np.array([0.2, -3.0]), Calibration()), full_weight(two, np.array([0.2]), Calibration())
    (3.0, 1.0)
    """
    least = 0.25 * calibration.target_scale if contract.kind == "regression" else 1.0
    return max(float(np.abs(weights).max()), least)


def asked_columns(
    contract: LabelContract, outputs: FloatArray, calibration: Calibration, label: str | None
) -> list[tuple[int, ...]]:
    """Return which labels of each text are to be explained.

    Parameters
    ----------
    contract : label contract
    outputs : array (N, C) of probabilities, or (N,) of values
    calibration : of the bundle
    label : the one to explain, or None for what the bundle answers: its label, or each of its labels; the most
        probable one where it gives none

    Raises
    ------
    ConfigError
        If the contract has no such label.
    """
    if label is not None:
        return [(contract.index(label),)] * len(outputs)
    if contract.kind == "regression":
        return [(0,)] * len(outputs)
    found = answers(contract, outputs, threshold=calibration.threshold)
    if contract.kind != "multi-label":
        return [(int(position),) for position in found]
    given = [tuple(map(int, np.flatnonzero(row))) for row in found]
    return [columns or (int(row.argmax()),) for columns, row in zip(given, outputs, strict=True)]
