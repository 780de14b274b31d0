"""Temperature, split-conformal quantiles and abstention thresholds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tapereader.bundle import Calibration, LabelContract, decode
from tapereader.bundle.conformal import abstentions, answers, prediction_intervals, prediction_sets
from tapereader.core.errors import ConfigError, DataError
from tapereader.training.calibration import abstention_threshold, conformal_quantile, fit_calibration

THREE = LabelContract(kind="single-label", names=("down", "flat", "up"))
RANKS = LabelContract(kind="ordinal", names=("low", "middle", "high"))
FLAGS = LabelContract(kind="multi-label", names=("fraud", "default", "merger"))
SCORE = LabelContract(kind="regression", names=("score",))


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exchangeable rows whose logits know something of the truth."""
    if kind == "multi-label":
        truth = (rng.random((n, 3)) < 0.3).astype(float)
        return 2.5 * truth - 1.5 + rng.normal(size=(n, 3)), truth
    if kind == "regression":
        truth = rng.normal(size=n)
        return (truth + rng.normal(scale=0.5, size=n))[:, None], truth
    truth = rng.integers(0, 3, n)
    if kind == "ordinal":
        return np.column_stack([truth - 0.5, truth - 1.5]) * 2 + rng.logistic(size=(n, 1)), truth
    return 1.5 * np.eye(3)[truth] + rng.normal(size=(n, 3)), truth


@pytest.mark.parametrize("contract", [THREE, RANKS, FLAGS, SCORE], ids=lambda contract: contract.kind)
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_kept_on_exchangeable_rows(contract: LabelContract, coverage: float) -> None:
    """Marginal coverage, pooled over fresh calibration and test rows, is not below the promise beyond chance."""
    hits, rows = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        logits, truth = drawn(contract.kind, 100, rng)
        fitted = fit_calibration(contract, logits, truth, coverage=coverage)
        fresh, known = drawn(contract.kind, 100, rng)
        outputs = decode(contract, fresh, fitted)
        if contract.kind == "regression":
            found = prediction_intervals(contract, outputs, fitted)
            assert found is not None
            hits += int(((found[0] <= known) & (known <= found[1])).sum())
        else:
            for names, true in zip(prediction_sets(contract, outputs, fitted), known, strict=True):
                wanted = np.flatnonzero(true) if contract.kind == "multi-label" else [true]
                hits += {contract.names[k] for k in wanted} <= set(names)
        rows += 100
    # Rows that share a calibration set are not independent: its quantile varies by about one part in its size.
    spread = np.sqrt(coverage * (1 - coverage) / rows * 2)
    assert hits / rows >= coverage - 3.1 * spread
    if contract.kind == "regression":
        assert hits / rows <= coverage + 1 / 101 + 3.1 * spread


@pytest.mark.parametrize("contract", [THREE, SCORE], ids=lambda contract: contract.kind)
def test_coverage_is_kept_for_rows_of_new_groups(contract: LabelContract) -> None:
    """Thirty groups of one to forty rows that share their luck: the large groups are easy, the small ones hard.

    Counted row by row, the easy rows of a few large groups would set the quantile, and a row of a new group would be
    covered in 58 % (labels) and 33 % (numbers) of cases. The tolerance is 3.1 standard errors over
    200 independent repetitions.
    """

    def grouped(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sizes = np.where(rng.random(30) < 0.2, 40, 1)
        hard = np.where(sizes == 1, 3.0, 0.5) * rng.uniform(0.8, 1.2, 30)
        group = np.repeat(np.arange(30), sizes)
        if contract.kind == "regression":
            truth = rng.normal(size=len(group))
            luck = rng.normal(size=30)
            return (truth + (luck * hard)[group])[:, None], truth, group
        truth = rng.integers(0, 3, 30)[group]
        noise = rng.normal(size=(30, 3)) * hard[:, None]
        return 1.5 * np.eye(3)[truth] + noise[group], truth, group

    coverage, held = 0.8, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        logits, truth, group = grouped(rng)
        fitted = fit_calibration(contract, logits, truth, groups=group, seed=seed, coverage=coverage)
        fresh, known, of = grouped(rng)
        one = [int(rng.choice(np.flatnonzero(of == g))) for g in range(30)]
        outputs = decode(contract, fresh[one], fitted)
        if contract.kind == "regression":
            low, high = prediction_intervals(contract, outputs, fitted)
            hits = (low <= known[one]) & (known[one] <= high)
        else:
            sets = prediction_sets(contract, outputs, fitted)
            hits = np.asarray([contract.names[k] in names for names, k in zip(sets, known[one], strict=True)])
        held.append(hits.mean())
    assert np.mean(held) >= coverage - 3.1 * np.std(held) / np.sqrt(len(held))


def test_a_promise_is_counted_in_groups() -> None:
    logits, truth = drawn("single-label", 80, np.random.default_rng(2))
    eight = fit_calibration(THREE, logits, truth, groups=np.arange(80) // 10, coverage=0.9)
    assert (eight.coverage, eight.conformal_quantile, eight.n) == (None, None, 80)
    nine = fit_calibration(THREE, logits, truth, groups=np.minimum(np.arange(80) // 8, 8), coverage=0.9)
    assert nine.coverage == 0.9
    alone = fit_calibration(THREE, logits, truth)
    assert (eight.temperature, nine.temperature) == (alone.temperature, alone.temperature)


def test_the_row_of_each_group_depends_on_the_seed_alone() -> None:
    truth = np.linspace(0.0, 1.0, 90)
    residual = np.random.default_rng(7).normal(size=90)
    groups = np.arange(90) // 3

    def quantile(seed: int) -> float | None:
        return fit_calibration(SCORE, (truth + residual)[:, None], truth, groups=groups, seed=seed).conformal_quantile

    assert quantile(1) == quantile(1)
    assert len({quantile(seed) for seed in range(10)}) > 1


def test_groups_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        fit_calibration(THREE, np.zeros((9, 3)), np.zeros(9, dtype=int), groups=np.zeros(8, dtype=int))
    assert str(caught.value) == "`groups` must hold one group for each of 9 held-out rows; got shape (8,)."


def test_temperature_undoes_a_known_stretch() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(20000, 3)) * 1.5
    stated = decode(THREE, honest, Calibration())
    truth = (stated.cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    assert fit_calibration(THREE, honest * 3, truth).temperature == pytest.approx(3.0, rel=0.05)
    assert fit_calibration(THREE, honest / 2, truth).temperature == pytest.approx(0.5, rel=0.05)


def test_temperature_undoes_a_known_stretch_of_flags_and_ranks() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(20000, 3)) * 2
    flags = (rng.random((20000, 3)) < decode(FLAGS, honest, Calibration())).astype(float)
    assert fit_calibration(FLAGS, honest * 2, flags).temperature == pytest.approx(2.0, rel=0.05)
    middle = rng.normal(size=(20000, 1)) * 2
    ordered = np.hstack([middle + 1, middle - 1])
    ranks = (decode(RANKS, ordered, Calibration()).cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    assert fit_calibration(RANKS, ordered * 2, ranks).temperature == pytest.approx(2.0, rel=0.05)


def test_rows_that_are_all_right_do_not_make_the_model_certain() -> None:
    truth = np.arange(30) % 3
    fitted = fit_calibration(THREE, np.eye(3)[truth] * 2.0, truth)
    assert 0.1 < fitted.temperature < 1
    assert decode(THREE, np.eye(3) * 2.0, fitted).max() < 1 - 1e-6


def test_too_few_rows_promise_nothing() -> None:
    logits, truth = drawn("single-label", 8, np.random.default_rng(2))
    fitted = fit_calibration(THREE, logits, truth, coverage=0.9)
    assert (fitted.coverage, fitted.conformal_quantile, fitted.n) == (None, None, 8)
    assert fit_calibration(THREE, *drawn("single-label", 9, np.random.default_rng(2)), coverage=0.9).coverage == 0.9


def test_the_quantile_has_the_finite_sample_rank() -> None:
    scores = np.random.default_rng(3).permutation(100) / 100
    # ceil(101 * 0.9) = 91st smallest of 0.00, 0.01 ...
    assert conformal_quantile(scores, coverage=0.9) == pytest.approx(0.90)


def test_kept_answers_reach_the_accuracy_that_was_asked_for() -> None:
    rng = np.random.default_rng(4)
    logits, truth = drawn("single-label", 4000, rng)
    fitted = fit_calibration(THREE, logits[:2000], truth[:2000], abstain_at=0.9)
    outputs = decode(THREE, logits[2000:], fitted)
    kept = ~abstentions(THREE, outputs, fitted)
    right = answers(THREE, outputs) == truth[2000:]
    assert right.mean() < 0.85
    assert 0.2 < kept.mean() < 0.9
    assert right[kept].mean() >= stats.binom(kept.sum(), 0.9).ppf(0.01) / kept.sum()


def test_an_accuracy_nothing_reaches_gives_no_threshold() -> None:
    sure = np.linspace(0.4, 0.9, 30)
    assert abstention_threshold(sure, np.zeros(30, dtype=bool), accuracy=0.9) is None
    # Nine right answers cannot vouch for 95 %: one wrong among ten is added.
    assert abstention_threshold(np.full(9, 0.9), np.ones(9, dtype=bool), accuracy=0.95) is None
    assert abstention_threshold(np.full(19, 0.9), np.ones(19, dtype=bool), accuracy=0.95) == 0.9


def test_equal_confidences_are_kept_or_left_together() -> None:
    sure = np.asarray([0.9] * 30 + [0.6] * 10)
    right = np.asarray([True] * 35 + [False] * 5)
    assert abstention_threshold(sure, right, accuracy=0.9) == 0.9
    assert abstention_threshold(sure, right, accuracy=0.8) == 0.6


def test_a_multi_label_threshold_is_chosen_only_on_enough_rows() -> None:
    logits, truth = drawn("multi-label", 400, np.random.default_rng(5))
    assert fit_calibration(FLAGS, logits - 1.5, truth).threshold < 0.5
    assert fit_calibration(FLAGS, logits[:50] - 1.5, truth[:50]).threshold == 0.5


def test_regression_keeps_the_scale_it_was_learnt_on() -> None:
    truth = np.linspace(100.0, 120.0, 40)
    fitted = fit_calibration(SCORE, ((truth - 110) / 5)[:, None], truth + 1, target_mean=110.0, target_scale=5.0)
    assert fitted.conformal_quantile == pytest.approx(1.0)
    assert (fitted.target_mean, fitted.target_scale, fitted.temperature) == (110.0, 5.0, 1.0)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: fit_calibration(THREE, np.zeros((9, 3)), np.zeros(9, dtype=int), coverage=90),
            ConfigError,
            "`coverage` must be a share between 0 and 1, such as 0.9; got 90.",
        ),
        (
            lambda: fit_calibration(THREE, np.zeros((9, 2)), np.zeros(9, dtype=int)),
            DataError,
            "Held-out logits must be an array (N, 3) with at least one row; got shape (9, 2).",
        ),
        (
            lambda: fit_calibration(THREE, np.zeros((9, 3)), np.zeros(8, dtype=int)),
            DataError,
            "Held-out targets must have the shape (9,); got (8,).",
        ),
        (
            lambda: fit_calibration(THREE, np.full((9, 3), np.nan), np.zeros(9, dtype=int)),
            DataError,
            "Held-out logits and targets must be finite; got a NaN or an infinity.",
        ),
        (
            lambda: fit_calibration(THREE, np.zeros((9, 3)), np.full(9, 3)),
            DataError,
            "Held-out targets must be positions 0 to 2; got 3 to 3.",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
