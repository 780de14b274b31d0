"""Bootstrap by group, paired differences and McNemar's test."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tapereader import metrics
from tapereader.core.errors import ConfigError, DataError


def test_summed_resamples_are_those_of_the_row_by_row_bootstrap() -> None:
    rng = np.random.default_rng(0)
    truth, answer, groups = rng.integers(0, 3, 120), rng.integers(0, 3, 120), rng.integers(0, 30, 120)
    scores = metrics.label_sums(truth, answer, n_classes=3)
    sums = metrics.resampled_sums(scores.columns, groups=groups, n_resamples=50, seed=7)
    fast = metrics.interval_of(scores.value("macro_f1"), scores.formulas["macro_f1"](sums), level=0.9)
    slow = metrics.cluster_bootstrap(metrics.macro_f1, truth, answer, groups=groups, n_resamples=50, level=0.9, seed=7)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_every_summed_metric_equals_its_resample_by_rows() -> None:
    rng = np.random.default_rng(1)
    y, f = rng.normal(size=(2, 60))
    sets = (rng.random((2, 60, 3)) < 0.4).astype(float)
    ranks = rng.integers(0, 4, (2, 60))
    rows = np.repeat(np.arange(60), np.bincount(rng.integers(0, 60, 60), minlength=60))
    for build in (
        lambda at: metrics.value_sums(y[at], f[at]),
        lambda at: metrics.set_sums(sets[0][at], sets[1][at]),
        lambda at: metrics.rank_sums(ranks[0][at], ranks[1][at], n_classes=4),
        lambda at: metrics.label_sums(ranks[0][at], ranks[1][at], n_classes=4),
    ):
        whole, drawn = build(np.arange(60)), build(rows)
        weights = np.bincount(rows, minlength=60)
        for name, formula in whole.formulas.items():
            assert float(formula(weights @ whole.columns)) == pytest.approx(drawn.value(name)), name


def test_a_thousand_resamples_of_five_thousand_rows_take_little_time() -> None:
    rng = np.random.default_rng(2)
    scores = metrics.label_sums(rng.integers(0, 3, 5000), rng.integers(0, 3, 5000), n_classes=3)
    began = time.perf_counter()
    metrics.resampled_sums(scores.columns, groups=rng.integers(0, 4000, 5000))
    assert time.perf_counter() - began < 3


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = 0
    for seed in range(200):
        draws = np.random.default_rng(seed).normal(0.0, 1.0, 60)
        found = metrics.cluster_bootstrap(np.mean, draws, n_resamples=300, level=0.9, seed=seed)
        inside += found.low <= 0 <= found.high
    # 200 trials at 0.9, less the known shortfall of the percentile method for 60 rows.
    assert stats.binom(200, 0.88).ppf(0.001) <= inside <= 200


def test_copies_of_one_row_do_not_narrow_a_grouped_interval() -> None:
    right = np.random.default_rng(3).integers(0, 2, 100).astype(float)
    alone = metrics.cluster_bootstrap(np.mean, right, seed=1)
    copied, groups = np.repeat(right, 9), np.repeat(np.arange(100), 9)
    together = metrics.cluster_bootstrap(np.mean, copied, groups=groups, seed=1)
    apart = metrics.cluster_bootstrap(np.mean, copied, seed=1)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low)


def test_groups_may_be_words_and_the_seed_decides_the_draws() -> None:
    values = np.arange(20.0)
    names = np.asarray([f"story {i // 2}" for i in range(20)])
    one = metrics.cluster_bootstrap(np.mean, values, groups=names, n_resamples=100, seed=4)
    same = metrics.cluster_bootstrap(np.mean, values, groups=names, n_resamples=100, seed=4)
    other = metrics.cluster_bootstrap(np.mean, values, groups=names, n_resamples=100, seed=5)
    assert one == same
    assert one != other


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 400)
    theirs = np.where(rng.random(400) < 0.7, truth, 1 - truth)
    ours = np.where((theirs != truth) & (rng.random(400) < 0.15), truth, theirs)
    found = metrics.paired_bootstrap_difference(metrics.accuracy, truth, ours, theirs)
    assert found.difference == pytest.approx(np.mean(ours == truth) - np.mean(theirs == truth))
    assert found.low > 0
    assert found.p_value == pytest.approx(2 / 1001)
    same = metrics.paired_bootstrap_difference(metrics.accuracy, truth, ours, ours, n_resamples=50)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_mcnemar_is_the_exact_binomial_of_the_rows_that_differ() -> None:
    ours = np.asarray([1] * 8 + [0] * 2 + [1] * 90, dtype=bool)
    theirs = np.asarray([0] * 8 + [1] * 2 + [1] * 90, dtype=bool)
    assert metrics.mcnemar(ours, theirs) == pytest.approx(2 * stats.binom(10, 0.5).cdf(2))
    assert metrics.mcnemar(ours, ours) == 1.0


def test_undefined_resamples_are_left_out_and_basic_intervals_are_mirrored() -> None:
    drawn = np.asarray([np.nan, 1.0, 2.0, 3.0])
    assert metrics.interval_of(2.5, drawn, level=0.5).low == pytest.approx(1.5)
    mirrored = metrics.interval_of(2.5, drawn, level=0.5, method="basic")
    assert (mirrored.low, mirrored.high) == pytest.approx((2.5, 3.5))
    assert np.isnan(metrics.interval_of(1.0, np.asarray([np.nan]), level=0.9).low)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: metrics.cluster_bootstrap(np.mean, np.arange(3), groups=["a"]),
            DataError,
            "`groups` must have one entry a row, 3; got shape (1,).",
        ),
        (
            lambda: metrics.cluster_bootstrap(np.mean, np.arange(3), np.arange(2)),
            DataError,
            "Arrays to be resampled together must have the same rows; got [3, 2] rows.",
        ),
        (
            lambda: metrics.cluster_bootstrap(np.mean, np.arange(0)),
            DataError,
            "Arrays to be resampled must have at least one row; got none.",
        ),
        (
            lambda: metrics.cluster_bootstrap(np.mean, np.arange(3), level=95, n_resamples=2),
            ConfigError,
            "`level` must be between 0 and 1, such as 0.95; got 95.",
        ),
        (
            lambda: metrics.cluster_bootstrap(np.mean, np.arange(3), n_resamples=0),
            ConfigError,
            "`n_resamples` must be at least 1; got 0.",
        ),
        (
            lambda: metrics.stack([metrics.mean_sums("a", np.ones(2)), metrics.mean_sums("b", np.ones(3))]),
            DataError,
            "Scores to be put together must have the same rows; got [2, 3] rows.",
        ),
    ],
)
def test_what_cannot_be_resampled_is_refused(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
