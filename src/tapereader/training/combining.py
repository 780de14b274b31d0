"""Learn, on held-out text, how the answers of several models become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.combination import Combination, CombinationKind, combine, encode_outputs
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError

_FOLDS = 5
#: Strength of the pull of a stacked map towards 0. Its inputs are log-odds of a few units, its rows a few hundred.
_PENALTY = 1.0


def fit_combination(
    contract: LabelContract,
    outputs: Sequence[FloatArray],
    targets: NDArray[np.int64] | FloatArray,
    *,
    kind: CombinationKind,
) -> Combination:
    """Fit a combination on rows that no member learnt from.

    ``weighted`` minimises the negative log-likelihood (squared error for regression) over weights that are 0 or more
    and sum to 1. ``stacked`` is a logistic regression (ridge for regression) on all members' log-odds.

    Parameters
    ----------
    contract : of every member
    outputs : of each of M members: probabilities (N, C), or values (N,)
    targets : int (N,), 0 and 1 (N, C) for multi-label, or values (N,)
    kind : ``mean`` learns nothing

    Raises
    ------
    DataError
        If a label is on every row or on none, which a stacked map cannot learn from.
    """
    if kind == "mean":
        return Combination(kind="mean", weights=_normal(np.ones(len(outputs))))
    if kind == "weighted":
        return Combination(kind="weighted", weights=_fit_weights(contract, outputs, targets))
    return _fit_stacked(contract, np.hstack([encode_outputs(contract, one) for one in outputs]), targets)


def combine_out_of_fold(
    contract: LabelContract,
    outputs: Sequence[FloatArray],
    targets: NDArray[np.int64] | FloatArray,
    *,
    kind: CombinationKind,
    groups: NDArray[np.int64],
) -> FloatArray:
    """Return raw outputs (N, W) in which no row was combined by numbers that were fitted on it or on its group.

    What is calibrated on the rows the combination was fitted on would be too sure of itself.

    Parameters
    ----------
    contract, outputs, targets, kind : as :func:`fit_combination` takes them
    groups : int array (N,)

    Raises
    ------
    DataError
        If there are too few groups, or a label is missing from a fold's other rows.
    """
    if kind == "mean":
        return combine(contract, outputs, fit_combination(contract, outputs, targets, kind=kind))
    if len(np.unique(groups)) < _FOLDS:
        raise DataError(
            f"A combination that is fitted needs at least {_FOLDS} groups of held-out rows; got "
            f"{len(np.unique(groups))}. Take the mean."
        )
    found: FloatArray | None = None
    for fit, answer in GroupKFold(_FOLDS).split(targets, groups=groups):
        fitted = fit_combination(contract, [one[fit] for one in outputs], targets[fit], kind=kind)
        part = combine(contract, [one[answer] for one in outputs], fitted)
        if found is None:
            found = np.empty((len(targets), part.shape[1]))
        found[answer] = part
    assert found is not None  # noqa: S101  (there are folds)
    return found


def _normal(weights: FloatArray) -> tuple[float, ...]:
    return tuple((weights / weights.sum()).tolist())


def _fit_weights(
    contract: LabelContract, outputs: Sequence[FloatArray], targets: NDArray[np.int64] | FloatArray
) -> tuple[float, ...]:
    stacked = np.stack(outputs)

    def loss(free: FloatArray) -> float:
        weights = np.exp(free - free.max())
        average = np.tensordot(weights / weights.sum(), stacked, axes=1)
        if contract.kind == "regression":
            return float(np.mean((average - targets) ** 2))
        safe = np.clip(average, 1e-9, 1.0 - 1e-9)
        if contract.kind == "multi-label":
            return float(-np.mean(targets * np.log(safe) + (1 - targets) * np.log1p(-safe)))
        return float(-np.mean(np.log(safe[np.arange(len(safe)), np.asarray(targets, dtype=np.int64)])))

    # Weights only count by their ratios: each free number has a slight pull to 0, so that there is one minimum.
    best = minimize(lambda free: loss(free) + 1e-4 * float(free @ free), np.zeros(len(outputs)), method="L-BFGS-B")
    return _normal(np.exp(best.x - best.x.max()))


def _fit_stacked(contract: LabelContract, features: FloatArray, targets: NDArray[np.int64] | FloatArray) -> Combination:
    if contract.kind == "regression":
        ridge = Ridge(alpha=_PENALTY).fit(features, targets)
        return _stacked(ridge.coef_[None], np.atleast_1d(ridge.intercept_))
    if contract.kind in ("multi-label", "ordinal"):
        # One question a column: is the label there; is the answer above this one.
        columns = (
            np.asarray(targets, dtype=np.int64)
            if contract.kind == "multi-label"
            else (np.asarray(targets)[:, None] > np.arange(len(contract.names) - 1)).astype(np.int64)
        )
        rows = [_binary(features, columns[:, place], contract.names[place]) for place in range(columns.shape[1])]
        return _stacked(np.vstack([row[0] for row in rows]), np.array([row[1] for row in rows]))
    missing = [name for place, name in enumerate(contract.names) if not (targets == place).any()]
    if missing:
        raise DataError(f"A stacked combination needs every label among the held-out rows; {missing!r} is not there.")
    if len(contract.names) == 2:
        row, bias = _binary(features, np.asarray(targets, dtype=np.int64), contract.names[1])
        return _stacked(np.vstack([-row / 2, row / 2]), np.array([-bias / 2, bias / 2]))
    fitted: Any = LogisticRegression(C=1.0 / _PENALTY, max_iter=2000).fit(features, targets)
    return _stacked(fitted.coef_, fitted.intercept_)


def _binary(features: FloatArray, targets: NDArray[np.int64], name: str) -> tuple[FloatArray, float]:
    if len(np.unique(targets)) < 2:
        raise DataError(f"A stacked combination needs held-out rows with and without {name!r}. Take the mean.")
    fitted: Any = LogisticRegression(C=1.0 / _PENALTY, max_iter=2000).fit(features, targets)
    return fitted.coef_[0], float(fitted.intercept_[0])


def _stacked(matrix: FloatArray, bias: FloatArray) -> Combination:
    return Combination(
        kind="stacked", matrix=tuple(tuple(map(float, row)) for row in matrix), bias=tuple(map(float, bias))
    )
