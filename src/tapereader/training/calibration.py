"""Learn, on held-out text, how far to trust a model: temperature, prediction sets, abstention."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from tapereader.bundle.calibration import Calibration, FloatArray, decode, output_width
from tapereader.bundle.conformal import answers, confidence
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import ConfigError, DataError
from tapereader.metrics import macro_f1

#: A shared threshold of a multi-label model is only chosen where there is enough to choose on.
_LEAST_FOR_THRESHOLD = 100


def fit_calibration(
    contract: LabelContract,
    logits: FloatArray,
    targets: NDArray[np.int64] | FloatArray,
    *,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
    coverage: float = 0.9,
    abstain_at: float | None = None,
    target_mean: float = 0.0,
    target_scale: float = 1.0,
) -> Calibration:
    """Fit what turns raw outputs into trustworthy answers, on rows that no weight was learnt from.

    The temperature minimises the negative log-likelihood, with a prior worth one example that keeps it near 1 (held-out
    rows that are all right would otherwise call for a temperature of 0). Prediction sets are split conformal: the
    quantile of rank ``ceil((m + 1) * coverage)`` among the held-out scores, which promises coverage for exchangeable
    scores whatever the model. Rows of one group resemble each other and new text comes in new groups, so rows are not
    exchangeable and groups are: one row of each of the ``m`` groups, drawn at random, gives a score, and the promise is
    for a row drawn from a new group. Where ``m`` is too small for it (below 9 groups for 0.9) there is none:
    ``coverage`` is None. Temperature, threshold and abstention use every row.

    Coverage is approximate in two ways that no formula here mends. The temperature, one number, is fitted on the same
    rows; its effect is far below the noise of ``m`` scores. And where these rows also stopped the training or chose a
    recipe, the model fits them better than it will fit new ones, and the sets are somewhat too small.

    Parameters
    ----------
    contract : label contract
    logits : array (N, W) of raw outputs
    targets : int array (N,) of contract positions; array (N, C) of 0 and 1 for multi-label; array (N,) of values on
        the target's own scale for regression
    groups : int array (N,), one number for rows that are no evidence apart, or None where every row stands alone
    seed : of the row drawn from each group
    coverage : promised share of prediction sets that contain the truth, in (0, 1)
    abstain_at : accuracy wanted among the answers that are kept, in (0, 1), or None for answering always
    target_mean, target_scale : regression only: the network learnt ``(y - mean) / scale``

    Returns
    -------
    Calibration
        With ``abstain_below`` None although ``abstain_at`` was given, where no threshold reaches it.

    Raises
    ------
    ConfigError
        If ``coverage`` or ``abstain_at`` is outside (0, 1).
    DataError
        If logits, targets and groups do not fit each other or the contract, or there is no row.

    References
    ----------
    Guo et al. (2017), ICML, sec. 4.2; Angelopoulos and Bates (2023), Foundations and Trends in Machine Learning 16(4);
    Dunn, Wasserman and Ramdas (2023), Journal of the American Statistical Association 118(544) (one row of each group).
    """
    for name, share in (("coverage", coverage), ("abstain_at", abstain_at)):
        if share is not None and not 0 < share < 1:
            raise ConfigError(f"`{name}` must be a share between 0 and 1, such as 0.9; got {share!r}.")
    logits, goals = _checked(contract, logits, targets)
    drawn = _one_of_each(groups, len(goals), seed)
    plain = Calibration(target_mean=target_mean, target_scale=target_scale)
    if contract.kind == "regression":
        residuals = np.abs(goals - decode(contract, logits, plain))
        quantile = conformal_quantile(residuals[drawn], coverage=coverage)
        return Calibration(
            coverage=None if quantile is None else coverage,
            conformal_quantile=quantile,
            target_mean=target_mean,
            target_scale=target_scale,
            n=len(goals),
        )
    temperature = fit_temperature(contract, logits, goals)
    outputs = decode(contract, logits, Calibration(temperature=temperature))
    threshold = _fit_threshold(outputs, goals) if contract.kind == "multi-label" else 0.5
    quantile = conformal_quantile(_scores(contract, outputs, goals)[drawn], coverage=coverage)
    abstain_below = None
    if abstain_at is not None:
        given = answers(contract, outputs, threshold=threshold)
        right = (given == goals).all(axis=1) if contract.kind == "multi-label" else given == goals
        sure = confidence(contract, outputs, threshold=threshold)
        abstain_below = abstention_threshold(sure, right, accuracy=abstain_at)
    return Calibration(
        temperature=temperature,
        coverage=None if quantile is None else coverage,
        conformal_quantile=quantile,
        abstain_below=abstain_below,
        threshold=threshold,
        n=len(goals),
    )


def fit_temperature(contract: LabelContract, logits: FloatArray, targets: NDArray[np.int64] | FloatArray) -> float:
    """Return the temperature that makes the held-out targets most likely, between 0.05 and 20.

    Parameters
    ----------
    contract : label contract; not regression
    logits : array (N, W)
    targets : int array (N,), or array (N, C) of 0 and 1 for multi-label
    """
    n = len(logits)

    def loss(log_temperature: float) -> float:
        stated = decode(contract, logits, Calibration(temperature=math.exp(log_temperature)))
        return _negative_log_likelihood(stated, targets) + log_temperature**2 / (2 * n)

    bounds = (math.log(0.05), math.log(20.0))
    # The likelihood has one minimum, but an ordinal model's crossing logits can add shallow ones: start from a grid.
    grid = np.linspace(*bounds, 25)
    best = int(np.argmin([loss(point) for point in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return float(math.exp(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-4}).x))


def conformal_quantile(scores: FloatArray, *, coverage: float) -> float | None:
    """Return the score that a new exchangeable row stays at or below with the promised probability.

    Parameters
    ----------
    scores : array (N,) of held-out scores, greater for stranger
    coverage : promised probability

    Returns
    -------
    float, the ``ceil((n + 1) * coverage)``-th smallest score; None where there are too few to promise anything

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, ch. 2.

    Examples
    --------
    >>> conformal_quantile(np.arange(9.0), coverage=0.9), conformal_quantile(np.arange(8.0), coverage=0.9)
    (8.0, None)
    """
    # The tolerance keeps (9 + 1) * 0.9 at rank 9 where floating point would say 9.000000000000002.
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    if rank > len(scores):
        return None
    return float(np.sort(scores)[rank - 1])


def abstention_threshold(sure: FloatArray, right: NDArray[np.bool_], *, accuracy: float) -> float | None:
    """Return the lowest confidence at which the kept answers reach an accuracy.

    One wrong answer is added to those kept, so that a lucky handful of held-out rows does not pass for certainty.

    Parameters
    ----------
    sure : array (N,), confidence of each answer
    right : bool array (N,)
    accuracy : wanted among the answers kept, in (0, 1)

    Returns
    -------
    float, or None where no threshold reaches it

    Examples
    --------
    >>> sure = np.linspace(0.5, 0.99, 50)
    >>> abstention_threshold(sure, sure > 0.7, accuracy=0.95)
    0.71
    """
    order = np.argsort(-sure, kind="stable")
    kept = np.arange(1, len(sure) + 1)
    wrong = np.cumsum(~right[order])
    reaches = (wrong + 1) / (kept + 1) <= 1 - accuracy + 1e-12
    # Rows of one confidence are kept or left together.
    last_of_its_kind = np.append(sure[order][1:] != sure[order][:-1], True)
    found = np.flatnonzero(reaches & last_of_its_kind)
    return float(sure[order][found[-1]]) if len(found) else None


def _one_of_each(groups: NDArray[np.int64] | None, n: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of one row of each group, each row of a group as likely as the others."""
    if groups is None:
        return np.arange(n)
    if np.shape(groups) != (n,):
        raise DataError(f"`groups` must hold one group for each of {n} held-out rows; got shape {np.shape(groups)}.")
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[np.unique(np.asarray(groups)[order], return_index=True)[1]])


def _scores(contract: LabelContract, outputs: FloatArray, targets: NDArray[np.int64] | FloatArray) -> FloatArray:
    if contract.kind == "multi-label":
        # A set misses a row if it misses any true label: the row's score is that of its least probable one.
        return np.asarray(1.0 - np.where(targets == 1, outputs, 1.0).min(axis=1), dtype=np.float64)
    return np.asarray(1.0 - outputs[np.arange(len(outputs)), targets.astype(np.int64)], dtype=np.float64)


def _negative_log_likelihood(stated: FloatArray, targets: NDArray[np.int64] | FloatArray) -> float:
    stated = np.clip(stated, 1e-12, 1.0)
    if targets.ndim == 2:
        other = np.clip(1.0 - stated, 1e-12, 1.0)
        return float(-(targets * np.log(stated) + (1 - targets) * np.log(other)).mean())
    return float(-np.log(stated[np.arange(len(stated)), targets.astype(np.int64)]).mean())


def _fit_threshold(outputs: FloatArray, targets: NDArray[np.int64] | FloatArray) -> float:
    if len(outputs) < _LEAST_FOR_THRESHOLD or not targets.any():
        return 0.5
    grid = np.round(np.arange(0.05, 0.96, 0.05), 2)
    reached = np.asarray([macro_f1(targets, (outputs >= t).astype(np.float64)) for t in grid])
    best = np.flatnonzero(reached >= np.nanmax(reached) - 1e-12)
    return float(grid[best[np.argmin(np.abs(grid[best] - 0.5))]])


def _checked(
    contract: LabelContract, logits: FloatArray, targets: NDArray[np.int64] | FloatArray
) -> tuple[FloatArray, NDArray[np.int64] | FloatArray]:
    raw, goals = np.asarray(logits, dtype=np.float64), np.asarray(targets)
    width = output_width(contract)
    if raw.ndim != 2 or raw.shape[1] != width or len(raw) == 0:
        raise DataError(f"Held-out logits must be an array (N, {width}) with at least one row; got shape {raw.shape}.")
    wanted = (len(raw), len(contract.names)) if contract.kind == "multi-label" else (len(raw),)
    if goals.shape != wanted:
        raise DataError(f"Held-out targets must have the shape {wanted}; got {goals.shape}.")
    if not np.isfinite(raw).all() or not np.isfinite(goals).all():
        raise DataError("Held-out logits and targets must be finite; got a NaN or an infinity.")
    if contract.kind in ("regression", "multi-label"):
        return raw, goals.astype(np.float64)
    if goals.min() < 0 or goals.max() >= len(contract.names):
        raise DataError(
            f"Held-out targets must be positions 0 to {len(contract.names) - 1}; got {goals.min()} to {goals.max()}."
        )
    return raw, goals.astype(np.int64)
