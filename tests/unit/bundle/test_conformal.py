"""Answers, confidence, prediction sets and abstention from calibrated outputs."""

from __future__ import annotations

import numpy as np
import pytest

from tapereader.bundle import Calibration, LabelContract
from tapereader.bundle.conformal import (
    abstentions,
    answers,
    check_outputs,
    confidence,
    prediction_intervals,
    prediction_sets,
)
from tapereader.core.errors import DataError

THREE = LabelContract(kind="single-label", names=("down", "flat", "up"))
RANKS = LabelContract(kind="ordinal", names=("low", "middle", "high"))
FLAGS = LabelContract(kind="multi-label", names=("fraud", "default"))
SCORE = LabelContract(kind="regression", names=("score",), low=-1.0, high=1.0)
WORDS = LabelContract(kind="generation", names=("down", "up"))


def test_answers_take_the_form_of_the_targets() -> None:
    assert answers(THREE, np.asarray([[0.2, 0.5, 0.3]])).tolist() == [1]
    assert answers(FLAGS, np.asarray([[0.2, 0.5]])).tolist() == [[0.0, 1.0]]
    assert answers(FLAGS, np.asarray([[0.2, 0.5]]), threshold=0.15).tolist() == [[1.0, 1.0]]
    assert answers(SCORE, np.asarray([0.25])).tolist() == [0.25]
    assert answers(WORDS, np.asarray([[0.0, 0.0], [0.0, 1.0]])).tolist() == [-1, 1]


def test_confidence_is_that_of_the_least_sure_decision() -> None:
    assert confidence(THREE, np.asarray([[0.2, 0.5, 0.3]])).tolist() == [0.5]
    assert confidence(FLAGS, np.asarray([[0.1, 0.8], [0.45, 0.9]])).tolist() == pytest.approx([0.8, 0.55])


def test_sets_hold_what_the_quantile_allows_and_always_the_answer() -> None:
    fitted = Calibration(coverage=0.9, conformal_quantile=0.3, n=50)
    stated = np.asarray([[0.75, 0.2, 0.05], [0.4, 0.35, 0.25]])
    assert prediction_sets(THREE, stated, fitted) == [("down",), ("down",)]
    wide = Calibration(coverage=0.9, conformal_quantile=0.7, n=50)
    assert prediction_sets(THREE, stated, wide) == [("down",), ("down", "flat")]


def test_ordinal_sets_have_no_gap() -> None:
    fitted = Calibration(coverage=0.9, conformal_quantile=0.7, n=50)
    assert prediction_sets(RANKS, np.asarray([[0.5, 0.1, 0.4]]), fitted) == [("low", "middle", "high")]
    assert prediction_sets(RANKS, np.asarray([[0.1, 0.5, 0.4]]), fitted) == [("middle", "high")]


def test_multi_label_sets_contain_every_given_label_and_may_be_empty() -> None:
    fitted = Calibration(coverage=0.9, conformal_quantile=0.2, n=50)
    stated = np.asarray([[0.6, 0.1], [0.2, 0.1]])
    assert prediction_sets(FLAGS, stated, fitted) == [("fraud",), ()]


def test_nothing_is_promised_without_a_quantile() -> None:
    assert prediction_sets(THREE, np.asarray([[0.2, 0.5, 0.3]]), Calibration()) == [()]
    assert prediction_intervals(SCORE, np.asarray([0.1]), Calibration()) is None


def test_intervals_stay_inside_the_bounds_of_the_target() -> None:
    found = prediction_intervals(SCORE, np.asarray([0.0, 0.9]), Calibration(coverage=0.9, conformal_quantile=0.25, n=9))
    assert found is not None
    assert found[0].tolist() == pytest.approx([-0.25, 0.65])
    assert found[1].tolist() == pytest.approx([0.25, 1.0])


def test_abstention_is_strictly_below_the_threshold_and_never_for_numbers() -> None:
    rule = Calibration(abstain_below=0.5)
    assert abstentions(THREE, np.asarray([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]), rule).tolist() == [False, True]
    assert abstentions(THREE, np.asarray([[0.4, 0.3, 0.3]]), Calibration()).tolist() == [False]
    assert abstentions(SCORE, np.asarray([0.1]), rule).tolist() == [False]


@pytest.mark.parametrize(
    ("contract", "outputs", "message"),
    [
        (THREE, [[0.5, 0.5]], "Outputs of a single-label model must be an array (N, 3); got shape (1, 2)."),
        (SCORE, [[0.5]], "Outputs of a regression model must be an array (N,); got shape (1, 1)."),
        (THREE, [[0.5, 0.2, 0.3], [0.1, np.nan, 0.2]], "Outputs must be finite; got nan in row 2."),
    ],
)
def test_outputs_that_do_not_fit_the_contract_are_refused(
    contract: LabelContract, outputs: list[list[float]], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        check_outputs(contract, np.asarray(outputs))
    assert str(caught.value) == message
