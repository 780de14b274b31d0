"""Scores of labels, sets, ranks, numbers and probabilities, held against scikit-learn and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from tapereader import metrics
from tapereader.core.errors import DataError

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(labels)
def test_label_scores_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, answer = np.asarray(pairs).T
    assert metrics.accuracy(truth, answer) == pytest.approx(oracle.accuracy_score(truth, answer))
    for average, ours in (
        ("macro", metrics.macro_f1),
        ("weighted", metrics.weighted_f1),
        ("micro", metrics.micro_f1),
    ):
        assert ours(truth, answer) == pytest.approx(oracle.f1_score(truth, answer, average=average))
    # scikit-learn warns of a single label; there, the convention is 0.
    expected = oracle.matthews_corrcoef(truth, answer) if len({*truth, *answer}) > 1 else 0.0
    assert metrics.matthews(truth, answer) == pytest.approx(expected, abs=1e-9)


def test_set_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, answer = (rng.random((2, 80, 6)) < 0.3).astype(float)
    truth[0] = answer[0] = 0
    answer[:, 5] = truth[:, 5] = 0
    assert metrics.macro_f1(truth, answer) == pytest.approx(
        oracle.f1_score(truth, answer, average="macro", zero_division=np.nan)
    )
    assert metrics.micro_f1(truth, answer) == pytest.approx(oracle.f1_score(truth, answer, average="micro"))
    assert metrics.samples_f1(truth, answer) == pytest.approx(
        oracle.f1_score(truth, answer, average="samples", zero_division=1.0)
    )
    assert metrics.exact_match(truth, answer) == pytest.approx(oracle.accuracy_score(truth, answer))


def test_rank_and_number_scores_agree_with_the_libraries() -> None:
    rng = np.random.default_rng(2)
    truth, answer = rng.integers(0, 5, (2, 200))
    assert metrics.quadratic_kappa(truth, answer, n_classes=5) == pytest.approx(
        oracle.cohen_kappa_score(truth, answer, weights="quadratic")
    )
    assert metrics.rank_mae(truth, answer, n_classes=5) == pytest.approx(np.abs(truth - answer).mean())
    y = rng.normal(1000, 1, 200)
    f = y + rng.normal(0, 0.5, 200)
    assert metrics.r2(y, f) == pytest.approx(oracle.r2_score(y, f))
    assert metrics.mae(y, f) == pytest.approx(oracle.mean_absolute_error(y, f))
    assert metrics.rmse(y, f) == pytest.approx(oracle.root_mean_squared_error(y, f))
    assert metrics.pearson(y, f) == pytest.approx(stats.pearsonr(y, f).statistic)
    assert metrics.spearman(np.round(y), np.round(f)) == pytest.approx(
        stats.spearmanr(np.round(y), np.round(f)).statistic
    )
    assert metrics.auc(truth > 2, answer) == pytest.approx(oracle.roc_auc_score(truth > 2, answer))


def test_brier_is_the_sum_over_classes_and_twice_the_binary_score() -> None:
    rng = np.random.default_rng(3)
    truth, up = rng.integers(0, 2, 50), rng.random(50)
    stated = np.column_stack([1 - up, up])
    assert metrics.brier(truth, stated) == pytest.approx(2 * oracle.brier_score_loss(truth, up))
    sets = np.column_stack([truth, 1 - truth])
    assert metrics.brier(sets, stated) == pytest.approx(((stated - sets) ** 2).mean())


def test_a_class_that_neither_occurs_nor_is_answered_takes_no_part_in_macro_f1() -> None:
    assert metrics.macro_f1([0, 0, 3], [0, 0, 3]) == 1.0


def test_an_unreadable_answer_is_wrong_and_no_class() -> None:
    assert metrics.accuracy([0, 1], [0, -1]) == 0.5
    assert metrics.macro_f1([0, 1], [0, -1]) == 0.5
    assert metrics.confusion_matrix([0, 1], [0, -1], n_classes=2).tolist() == [[1, 0], [0, 0]]
    with_a_third = oracle.matthews_corrcoef([0, 1, 1, 0], [0, 1, 2, 0])
    assert metrics.matthews([0, 1, 1, 0], [0, 1, -1, 0]) == pytest.approx(with_a_third)


def test_per_class_agrees_with_the_classification_report() -> None:
    rng = np.random.default_rng(4)
    truth, answer = rng.integers(0, 3, (2, 100))
    report = oracle.classification_report(truth, answer, output_dict=True)
    for k, row in enumerate(metrics.per_class(truth, answer, names=("a", "b", "c"))):
        expected = report[str(k)]
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
        )
    never = metrics.per_class([0], [0], names=("a", "b"))[1]
    assert (never.precision, never.recall, never.f1, never.support, never.predicted) == (0, 0, 0, 0, 0)


def test_calibration_error_finds_overconfidence_and_keeps_equal_confidences_together() -> None:
    assert metrics.expected_calibration_error([0.9] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.4)
    points = metrics.reliability([0.6, 0.6, 0.6, 0.9], [1, 0, 1, 1], n_bins=4)
    assert [point["n"] for point in points] == [3, 1]
    order = np.random.default_rng(0).permutation(200)
    stated = np.round(np.random.default_rng(1).uniform(0.4, 1, 200), 2)
    true = (np.random.default_rng(2).random(200) < stated).astype(float)
    assert metrics.expected_calibration_error(stated, true) == pytest.approx(
        metrics.expected_calibration_error(stated[order], true[order])
    )


def test_weighted_cosine_pays_for_what_was_left_out() -> None:
    assert metrics.weighted_cosine([1, 1, -1, 1], [2, 2, -2, -9], answered=[1, 1, 1, 0]) == pytest.approx(0.75)
    assert metrics.weighted_cosine([1.0], [1.0], answered=[False]) == 0.0


def test_what_is_undefined_is_nan_and_not_zero() -> None:
    assert np.isnan(metrics.r2([5.1, 5.1, 5.1], [1.0, 2.0, 3.0]))
    assert np.isnan(metrics.spearman([1, 2, 3], [7, 7, 7]))
    assert np.isnan(metrics.quadratic_kappa([1, 1], [1, 1], n_classes=3))
    assert np.isnan(metrics.macro_f1(np.zeros((3, 2)), np.zeros((3, 2))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([], []), "Targets and answers must have at least one row; got none."),
        (
            lambda: metrics.accuracy([0, 1], [0]),
            "Targets and answers must be arrays (N,) of one shape; got (2,) and (1,).",
        ),
        (
            lambda: metrics.accuracy([0.5], [0]),
            "`targets` must be whole numbers, the positions of labels; got dtype float64.",
        ),
        (
            lambda: metrics.confusion_matrix([0, 3], [0, 0], n_classes=3),
            "`targets` must be at least 0 and at most 2; got 3 at position 1.",
        ),
        (
            lambda: metrics.rank_mae([0], [-1], n_classes=2),
            "`predicted` must be at least 0 and at most 1; got -1 at position 0.",
        ),
        (lambda: metrics.mae([1.0, np.nan], [1, 2]), "`targets` must be finite numbers; got nan at position 1."),
        (
            lambda: metrics.exact_match([[0.5]], [[1]]),
            "`targets` of sets of labels must be 0 or 1; got 0.5 at position (0, 0).",
        ),
        (
            lambda: metrics.brier([0], [[1.5, -0.5]]),
            "Probabilities must be between 0 and 1; got 1.5 at position (0, 0).",
        ),
        (
            lambda: metrics.brier([0], [0.5]),
            "Probabilities must be an array (N, C) with at least one row; got shape (1,).",
        ),
        (lambda: metrics.auc([1, 1], [0.1, 0.2]), "`targets` of an AUC must hold both 0 and 1; got only 1."),
        (
            lambda: metrics.expected_calibration_error([0.5], [2]),
            "What came true must be 0 or 1; got 2.0 at position 0.",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_by_place(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message
