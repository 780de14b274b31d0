"""How the answers of several bundles become one: an average, or a linear map that was learnt on held-out text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from tapereader.bundle.calibration import FloatArray, output_width
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import BundleError

CombinationKind = Literal["mean", "weighted", "stacked"]
COMBINATION_KINDS: tuple[CombinationKind, ...] = ("mean", "weighted", "stacked")
#: A probability is not taken for smaller than this, or greater than its complement: its logit stays finite.
_LEAST = 1e-9


@dataclass(frozen=True, kw_only=True)
class Combination:
    """What stands between the members' calibrated answers and the one answer.

    ``mean`` and ``weighted`` average probabilities (values, for regression) and not logits, so that a member that is
    sure and wrong cannot overrule all others. ``stacked`` maps the members' logits linearly:
    ``matrix @ [logits of member 1, logits of member 2, ...] + bias``.

    Parameters
    ----------
    kind : one of ``COMBINATION_KINDS``
    weights : one for each of M members, summing to 1; empty for stacked
    matrix : W rows of M * W numbers; empty unless stacked
    bias : W numbers; empty unless stacked

    Raises
    ------
    BundleError
        If the numbers do not fit the kind or each other.

    References
    ----------
    Breiman (1996), Stacked Regressions, Machine Learning 24; Dietterich (2000), Ensemble Methods, sec. 2.
    """

    kind: CombinationKind
    weights: tuple[float, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    bias: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in COMBINATION_KINDS:
            raise BundleError(
                f"`kind` of a combination must be one of {', '.join(COMBINATION_KINDS)}; got {self.kind!r}."
            )
        if self.kind == "stacked":
            widths = {len(row) for row in self.matrix}
            whole = len(widths) == 1 and len(self.matrix) == len(self.bias) and not self.weights
            numbers = [*self.bias, *(value for row in self.matrix for value in row)]
            if not whole or not all(map(math.isfinite, numbers)):
                raise BundleError(
                    "A stacked combination must have finite `matrix` and `bias` of as many rows, and no `weights`."
                )
        elif (
            not self.weights or self.matrix or self.bias or min(self.weights) < 0 or abs(sum(self.weights) - 1.0) > 1e-9
        ):
            raise BundleError(
                f"The `weights` of a combination must be 0 or more and sum to 1; got {list(self.weights)!r}."
            )

    @property
    def n_members(self) -> int:
        """How many bundles it combines."""
        return len(self.weights) if self.kind != "stacked" else len(self.matrix[0]) // len(self.matrix)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "kind": self.kind, "weights": list(self.weights), "matrix": [list(row) for row in self.matrix],
            "bias": list(self.bias),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        BundleError
            If a field is missing, unknown or no number.
        """
        try:
            if set(values) != {"kind", "weights", "matrix", "bias"}:
                raise TypeError(f"its fields are {sorted(values)}")
            read: dict[str, Any] = {
                "weights": tuple(map(float, values["weights"])),
                "matrix": tuple(tuple(map(float, row)) for row in values["matrix"]),
                "bias": tuple(map(float, values["bias"])),
            }
        except (TypeError, ValueError) as error:
            raise BundleError(f"A combination must hold `kind`, `weights`, `matrix` and `bias`; {error}.") from error
        return cls(kind=values["kind"], **read)


def combine(contract: LabelContract, outputs: Sequence[FloatArray], combination: Combination) -> FloatArray:
    """Return the raw outputs of an ensemble, which :func:`tapereader.bundle.decode` turns into probabilities.

    Parameters
    ----------
    contract : of every member
    outputs : of each of M members: calibrated probabilities (N, C), or values (N,) for regression
    combination : for M members

    Returns
    -------
    array (N, W), W = ``output_width(contract)``

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> sure, unsure = np.array([[0.1, 0.9]]), np.array([[0.5, 0.5]])
    >>> np.exp(combine(two, [sure, unsure], Combination(kind="mean", weights=(0.5, 0.5)))).round(2).tolist()
    [[0.3, 0.7]]
    """
    if combination.kind == "stacked":
        features = np.hstack([encode_outputs(contract, member) for member in outputs])
        return np.asarray(features @ np.asarray(combination.matrix).T + np.asarray(combination.bias))
    pairs = zip(combination.weights, outputs, strict=True)
    average = sum(weight * np.asarray(member, dtype=np.float64) for weight, member in pairs)
    return encode_outputs(contract, np.asarray(average))


def encode_outputs(contract: LabelContract, outputs: FloatArray) -> FloatArray:
    """Return raw outputs (N, W) that decode, at temperature 1, to these probabilities or values."""
    if contract.kind == "regression":
        return np.asarray(outputs, dtype=np.float64)[:, None]
    if contract.kind == "multi-label":
        return _logit(outputs)
    if contract.kind == "ordinal":
        above = 1.0 - np.cumsum(outputs, axis=1)[:, : output_width(contract)]
        return _logit(above)
    return np.asarray(np.log(np.maximum(outputs, _LEAST)))


def _logit(probabilities: FloatArray) -> FloatArray:
    inside = np.clip(probabilities, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
