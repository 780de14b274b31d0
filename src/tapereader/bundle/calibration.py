"""From a network's raw outputs to calibrated answers: the one place where logits are decoded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import BundleError

FloatArray = NDArray[np.float64]
#: Just outside the shares from 0 to 1, whose ends a threshold may take.
_BELOW_0, _ABOVE_1 = float(np.nextafter(0.0, -1.0)), float(np.nextafter(1.0, 2.0))
#: Open ends of what each number may be.
_RANGES = (
    ("temperature", 0.0, np.inf),
    ("coverage", 0.0, 1.0),
    ("conformal_quantile", -np.inf, np.inf),
    ("abstain_below", _BELOW_0, _ABOVE_1),
    ("threshold", _BELOW_0, _ABOVE_1),
    ("target_scale", 0.0, np.inf),
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was learnt, on held-out text, about how far to trust the outputs.

    Parameters
    ----------
    temperature : logits are divided by it before they become probabilities; 1 changes nothing
    coverage : promised share of prediction sets (or intervals) that contain the truth, for a row drawn from a new group
        of rows that resemble each other, or None where there is none
    conformal_quantile : threshold of the split-conformal score; for regression the half-width of the interval
    abstain_below : the model abstains where its greatest probability is lower, or None for never
    threshold : multi-label only: a label is given where its probability reaches this
    target_mean, target_scale : regression only: the network learns ``(y - mean) / scale``
    n : held-out examples it was fitted on; 0 means not calibrated
    """

    temperature: float = 1.0
    coverage: float | None = None
    conformal_quantile: float | None = None
    abstain_below: float | None = None
    threshold: float = 0.5
    target_mean: float = 0.0
    target_scale: float = 1.0
    n: int = 0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            optional = value is None and name in ("coverage", "conformal_quantile", "abstain_below")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not optional and not (number and low < value < high):
                wanted = "a finite number" if low == -np.inf else "above 0" if high == np.inf else "between 0 and 1"
                raise BundleError(f"`{name}` must be {wanted}; got {value!r}.")
        numbers = isinstance(self.target_mean, int | float) and isinstance(self.n, int)
        if not (numbers and np.isfinite(self.target_mean) and self.n >= 0):
            raise BundleError(
                f"`target_mean` and `n` of a calibration must be a number and a count; got {self.target_mean!r} and "
                f"{self.n!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        BundleError
            If a field is unknown.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) - known:
            raise BundleError(f"A calibration must hold only {sorted(known)}; got {values!r}.")
        return cls(**values)


def output_width(contract: LabelContract) -> int:
    """Return how many raw outputs a network gives for a contract.

    An ordinal contract of C names has C - 1 cumulative logits; every other kind has one output a name.
    """
    return len(contract.names) - 1 if contract.kind == "ordinal" else len(contract.names)


def decode(contract: LabelContract, logits: FloatArray, calibration: Calibration) -> FloatArray:
    """Turn raw outputs into calibrated probabilities, or into values for regression.

    Single-label: softmax. Multi-label: one sigmoid a label. Ordinal: the cumulative-link model, where logit ``k`` says
    how likely the label is above ``names[k]``; the cumulative probabilities are made non-increasing first, so that no
    class gets a negative probability. Regression: back on the target's own scale.

    Parameters
    ----------
    contract : label contract
    logits : array (N, W), W = ``output_width(contract)``
    calibration : fitted, or ``Calibration()``

    Returns
    -------
    array (N, C) of probabilities; array (N,) of values for regression

    References
    ----------
    Guo et al. (2017), On Calibration of Modern Neural Networks, ICML, sec. 4.2; McCullagh (1980), JRSS B 42(2).

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> decode(two, np.zeros((1, 2)), Calibration()).tolist()
    [[0.5, 0.5]]
    """
    logits = np.asarray(logits, dtype=np.float64)
    if contract.kind == "regression":
        return np.asarray(logits[:, 0] * calibration.target_scale + calibration.target_mean)
    scaled = logits / calibration.temperature
    if contract.kind == "multi-label":
        return _sigmoid(scaled)
    if contract.kind == "ordinal":
        above = np.minimum.accumulate(_sigmoid(scaled), axis=1)
        padded = np.hstack([np.ones((len(above), 1)), above, np.zeros((len(above), 1))])
        return np.asarray(padded[:, :-1] - padded[:, 1:])
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float64)
