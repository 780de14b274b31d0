"""Scores of a model's answers with intervals, and whether one model beats another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tapereader import metrics
from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.conformal import answers, check_outputs, confidence
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import ConfigError, DataError
from tapereader.metrics import SummedScores

Targets = NDArray[Any]
_HEADLINES = {
    "single-label": "macro_f1",
    "generation": "macro_f1",
    "multi-label": "macro_f1",
    "ordinal": "quadratic_kappa",
    "regression": "r2",
}
#: Metrics of which less is better.
LOWER_IS_BETTER = frozenset({"brier", "ece", "mae", "rmse", "rank_mae", "unparsed"})
_N_RESAMPLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model scored on some rows: plain numbers that go into JSON, cards and pages.

    Parameters
    ----------
    kind : of the label contract
    n, n_groups : rows, and groups of rows that were resampled whole
    headline : name of the metric that decides
    metrics : metric name to ``value``, ``low`` and ``high``; None where a metric is undefined on these rows
    level, seed, n_resamples : of the intervals
    per_class : for each label ``name, precision, recall, f1, support, predicted``; empty for regression
    confusion : C x C counts, true label down, answer across; None for multi-label and regression
    reliability : ``confidence, accuracy, n`` of ten bins of equal mass; empty for regression
    coverage : of prediction sets: ``value, low, high, promised`` and ``mean_size`` (labels, or width); None without
    abstention : ``rate``, ``n_kept`` and the metrics of what was kept: ``kept``, beside ``all``; None without
    """

    kind: str
    n: int
    n_groups: int
    headline: str
    metrics: Mapping[str, Mapping[str, float | None]]
    level: float
    seed: int
    n_resamples: int
    per_class: tuple[Mapping[str, Any], ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    reliability: tuple[Mapping[str, float], ...] = ()
    coverage: Mapping[str, float | None] | None = None
    abstention: Mapping[str, Any] | None = None

    def value(self, metric: str | None = None) -> float:
        """Return one score, the headline's by default; NaN where it is undefined."""
        found = self.metrics[metric or self.headline]["value"]
        return float("nan") if found is None else found

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["metrics"] = {name: dict(score) for name, score in self.metrics.items()}
        values["per_class"] = [dict(row) for row in self.per_class]
        values["reliability"] = [dict(point) for point in self.reliability]
        values["confusion"] = None if self.confusion is None else [list(row) for row in self.confusion]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        DataError
            If a field is missing or unknown.
        """
        read = dict(values)
        try:
            confusion = read["confusion"]
            read["confusion"] = None if confusion is None else tuple(tuple(row) for row in confusion)
            read["per_class"] = tuple(read["per_class"])
            read["reliability"] = tuple(read["reliability"])
            return cls(**read)
        except (KeyError, TypeError) as error:
            raise DataError(f"An evaluation must hold exactly the fields of its version; {error}.") from error


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models' answers on the same rows.

    Parameters
    ----------
    metric : compared
    ours, theirs : scores
    difference : ours minus theirs, with the ends of its paired interval ``low`` and ``high``
    p_value : two-sided, of no difference, by paired bootstrap of groups
    mcnemar_p : exact p value that both are right equally often; None for multi-label and regression
    better : ``ours``, ``theirs`` or ``unclear`` where the interval holds 0
    n, n_groups, level, seed, n_resamples : of the resampling
    """

    metric: str
    ours: float
    theirs: float
    difference: float
    low: float
    high: float
    p_value: float
    mcnemar_p: float | None
    better: str
    n: int
    n_groups: int
    level: float
    seed: int
    n_resamples: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def headline_metric(contract: LabelContract) -> str:
    """Return the metric that decides for a kind of question.

    Macro-F1 for labels, so that a rare class counts as much as a common one; quadratic kappa for ordered labels; R2
    for numbers.
    """
    return _HEADLINES[contract.kind]


def evaluate_outputs(
    contract: LabelContract,
    targets: Targets,
    outputs: FloatArray,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    prediction_sets: Sequence[tuple[str, ...]] | tuple[FloatArray, FloatArray] | None = None,
    promised: float | None = None,
    abstained: ArrayLike | None = None,
    threshold: float | FloatArray = 0.5,
) -> Evaluation:
    """Score calibrated outputs against the truth, with 95 % intervals from 1,000 resamples of whole groups.

    Parameters
    ----------
    contract : label contract
    targets : int array (N,) of contract positions; array (N, C) of 0 and 1 for multi-label; array (N,) for regression
    outputs : array (N, C) of probabilities, or (N,) of values
    groups : N names of groups that are resampled whole, or None where rows stand alone
    seed : of the resampling
    prediction_sets : N tuples of label names, or arrays low and high (N,) for regression; None for not calibrated
    promised : the coverage that the sets promise
    abstained : bool array (N,), rows left to a person, or None
    threshold : multi-label only: a label is given where its probability reaches this; or (N, 1), one a row

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If arrays do not fit each other or the contract.
    """
    goals, stated = _checked(contract, targets, outputs)
    scores = _scores(contract, goals, stated, threshold=threshold)
    resampled = metrics.resampled_sums(scores.columns, groups=groups, n_resamples=_N_RESAMPLES, seed=seed)
    found = {name: _score(scores, name, resampled) for name in scores.formulas}
    if contract.kind == "regression":
        ranks = metrics.cluster_bootstrap(
            metrics.spearman, goals, stated, groups=groups, n_resamples=_N_RESAMPLES, level=_LEVEL, seed=seed
        )
        found["spearman"] = _plain(ranks.value, ranks.low, ranks.high)
    given = answers(contract, stated, threshold=threshold)
    return Evaluation(
        kind=contract.kind,
        n=len(goals),
        n_groups=_n_groups(len(goals), groups),
        headline=headline_metric(contract),
        metrics=found,
        level=_LEVEL,
        seed=seed,
        n_resamples=_N_RESAMPLES,
        per_class=_per_class(contract, goals, given),
        confusion=_confusion(contract, goals, given),
        reliability=_reliability(contract, goals, stated, given),
        coverage=_coverage(contract, goals, prediction_sets, promised=promised, groups=groups, seed=seed),
        abstention=_abstention(contract, goals, stated, abstained, threshold=threshold),
    )


def compare(
    contract: LabelContract,
    targets: Targets,
    ours: FloatArray,
    theirs: FloatArray,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    metric: str | None = None,
    thresholds: tuple[float | FloatArray, float | FloatArray] = (0.5, 0.5),
) -> Comparison:
    """Compare two models on the same rows by a paired bootstrap of whole groups.

    Parameters
    ----------
    contract : label contract
    targets : as in :func:`evaluate_outputs`
    ours, theirs : outputs of the two models
    groups : N names of groups, or None
    seed : of the resampling
    metric : compared, or None for the headline; any of :func:`evaluate_outputs` but ``spearman``
    thresholds : multi-label only: ours and theirs

    Raises
    ------
    ConfigError
        If the metric is not one of this kind of question.
    DataError
        If arrays do not fit each other or the contract.
    """
    name = metric or headline_metric(contract)
    goals, mine = _checked(contract, targets, ours)
    _, yours = _checked(contract, targets, theirs)
    scores = [
        _scores(contract, goals, stated, threshold=threshold)
        for stated, threshold in zip((mine, yours), thresholds, strict=True)
    ]
    if name not in scores[0].formulas:
        known = ", ".join(scores[0].formulas)
        raise ConfigError(f"`metric` of a {contract.kind} comparison must be one of {known}; got {name!r}.")
    width = scores[0].columns.shape[1]
    sums = metrics.resampled_sums(
        np.hstack([scores[0].columns, scores[1].columns]), groups=groups, n_resamples=_N_RESAMPLES, seed=seed
    )
    drawn = scores[0].formulas[name](sums[:, :width]) - scores[1].formulas[name](sums[:, width:])
    found = metrics.difference_of(scores[0].value(name), scores[1].value(name), drawn, level=_LEVEL)
    better = "unclear"
    if found.low > 0 or found.high < 0:
        better = "ours" if (found.low > 0) != (name in LOWER_IS_BETTER) else "theirs"
    return Comparison(
        metric=name,
        ours=scores[0].value(name),
        theirs=scores[1].value(name),
        difference=found.difference,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        mcnemar_p=None
        if contract.kind in ("multi-label", "regression")
        else metrics.mcnemar(answers(contract, mine) == goals, answers(contract, yours) == goals),
        better=better,
        n=len(goals),
        n_groups=_n_groups(len(goals), groups),
        level=_LEVEL,
        seed=seed,
        n_resamples=_N_RESAMPLES,
    )


def _checked(contract: LabelContract, targets: Targets, outputs: FloatArray) -> tuple[Targets, FloatArray]:
    stated = check_outputs(contract, outputs)
    goals = np.asarray(targets)
    wanted = stated.shape if contract.kind == "multi-label" else (len(stated),)
    if goals.shape != wanted:
        raise DataError(f"Targets must have the shape {wanted} of their outputs; got {goals.shape}.")
    if len(goals) == 0:
        raise DataError("There must be at least one row to evaluate; got none.")
    whole = contract.kind in ("single-label", "ordinal", "generation")
    return goals if whole else goals.astype(np.float64), stated


def _scores(
    contract: LabelContract, targets: Targets, outputs: FloatArray, *, threshold: float | FloatArray
) -> SummedScores:
    if contract.kind == "regression":
        return metrics.value_sums(targets, outputs)
    c = len(contract.names)
    given = answers(contract, outputs, threshold=threshold)
    calibration = [metrics.mean_sums("brier", metrics.brier_rows(targets, outputs))]
    if contract.kind == "multi-label":
        calibration.append(metrics.bin_sums(outputs.ravel(), targets.ravel(), n_bins=15, n_rows=len(outputs)))
        return metrics.stack([metrics.set_sums(targets, np.asarray(given, dtype=np.float64)), *calibration])
    labels, chosen = np.asarray(targets, dtype=np.int64), np.asarray(given, dtype=np.int64)
    right = (labels == chosen).astype(np.float64)
    calibration.append(metrics.bin_sums(confidence(contract, outputs), right, n_bins=15))
    parts = [metrics.label_sums(labels, chosen, n_classes=c)]
    if contract.kind == "ordinal":
        parts.append(metrics.rank_sums(labels, chosen, n_classes=c))
    if contract.kind == "generation":
        parts.append(metrics.mean_sums("unparsed", (chosen < 0).astype(np.float64)))
    return metrics.stack([*parts, *calibration])


def _score(scores: SummedScores, name: str, resampled: FloatArray) -> dict[str, float | None]:
    # Resampling repeats rows, which inflates a calibration error: its interval is mirrored, and ends at 0.
    method: Literal["basic", "percentile"] = "basic" if name == "ece" else "percentile"
    drawn = scores.formulas[name](resampled)
    found = metrics.interval_of(scores.value(name), drawn, level=_LEVEL, method=method)
    low, high = (max(found.low, 0.0), max(found.high, found.value)) if name == "ece" else (found.low, found.high)
    return _plain(found.value, low, high)


def _plain(value: float, low: float, high: float) -> dict[str, float | None]:
    triple = {"value": value, "low": low, "high": high}
    return {name: float(number) if math.isfinite(number) else None for name, number in triple.items()}


def _per_class(contract: LabelContract, targets: Targets, given: Targets) -> tuple[Mapping[str, Any], ...]:
    if contract.kind == "regression":
        return ()
    return tuple(asdict(row) for row in metrics.per_class(targets, given, names=contract.names))


def _confusion(contract: LabelContract, targets: Targets, given: Targets) -> tuple[tuple[int, ...], ...] | None:
    if contract.kind in ("regression", "multi-label"):
        return None
    counts = metrics.confusion_matrix(targets, given, n_classes=len(contract.names))
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def _reliability(
    contract: LabelContract, targets: Targets, outputs: FloatArray, given: Targets
) -> tuple[Mapping[str, float], ...]:
    if contract.kind == "regression":
        return ()
    if contract.kind == "multi-label":
        return tuple(metrics.reliability(outputs.ravel(), targets.ravel()))
    return tuple(metrics.reliability(confidence(contract, outputs), (given == targets).astype(np.float64)))


def _coverage(
    contract: LabelContract,
    targets: Targets,
    sets: Sequence[tuple[str, ...]] | tuple[FloatArray, FloatArray] | None,
    *,
    promised: float | None,
    groups: ArrayLike | None,
    seed: int,
) -> dict[str, float | None] | None:
    if sets is None or (contract.kind != "regression" and not any(sets)):
        return None
    if contract.kind == "regression":
        low, high = (np.asarray(end, dtype=np.float64) for end in sets)
        inside, sizes = (targets >= low) & (targets <= high), high - low
    else:
        if len(sets) != len(targets):
            raise DataError(f"`prediction_sets` must have one entry a row, {len(targets)}; got {len(sets)}.")
        members = np.asarray([[name in found for name in contract.names] for found in sets])
        sizes = members.sum(axis=1).astype(np.float64)
        if contract.kind == "multi-label":
            inside = (members | (targets == 0)).all(axis=1)
        else:
            inside = members[np.arange(len(targets)), targets.astype(np.int64)]
    share = metrics.mean_sums("coverage", inside.astype(np.float64))
    drawn = metrics.resampled_sums(share.columns, groups=groups, n_resamples=_N_RESAMPLES, seed=seed)
    found_share = _score(share, "coverage", drawn)
    return found_share | {"promised": promised, "mean_size": float(sizes.mean())}


def _abstention(
    contract: LabelContract,
    targets: Targets,
    outputs: FloatArray,
    abstained: ArrayLike | None,
    *,
    threshold: float | FloatArray,
) -> dict[str, Any] | None:
    if abstained is None:
        return None
    left = np.asarray(abstained, dtype=bool)
    if left.shape != (len(targets),):
        raise DataError(f"`abstained` must have one entry a row, {len(targets)}; got shape {left.shape}.")
    kept = ~left
    scored = {"all": np.ones(len(left), dtype=bool), "kept": kept}
    out: dict[str, Any] = {"rate": float(left.mean()), "n_kept": int(kept.sum())}
    for name, rows in scored.items():
        out[name] = None
        if rows.any():
            own = threshold if isinstance(threshold, float) else np.asarray(threshold)[rows]
            scores = _scores(contract, targets[rows], outputs[rows], threshold=own)
            values = {metric: scores.value(metric) for metric in scores.formulas}
            out[name] = {metric: value if math.isfinite(value) else None for metric, value in values.items()}
    if kept.any() and contract.kind not in ("regression", "multi-label"):
        right = int((answers(contract, outputs[kept]) == targets[kept]).sum())
        ends = stats.binomtest(right, int(kept.sum())).proportion_ci(_LEVEL, method="wilson")
        out["kept_accuracy"] = {"value": right / int(kept.sum()), "low": float(ends.low), "high": float(ends.high)}
    return out


def _n_groups(n: int, groups: ArrayLike | None) -> int:
    return n if groups is None else len(np.unique(np.asarray(groups)))
