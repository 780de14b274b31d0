"""Losses against numbers worked by hand, and the refusal of those that do not fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="losses are torch functions, from the extra train")

import torch

from tapereader.bundle import LabelContract
from tapereader.core.errors import ConfigError
from tapereader.models.heads import ObjectiveConfig, build_loss, class_weights

THREE = LabelContract(kind="single-label", names=("a", "b", "c"))
ORDERED = LabelContract(kind="ordinal", names=("low", "middle", "high"))
SEVERAL = LabelContract(kind="multi-label", names=("x", "y"))
NUMBER = LabelContract(kind="regression", names=("score",))
NONE = np.zeros(0)
#: Logits whose softmax is exactly 1/2, 1/4, 1/4.
HALF = [math.log(2.0), 0.0, 0.0]


def loss_of(
    contract: LabelContract, logits: list[list[float]], labels: Any, targets: Any = NONE, **changes: Any
) -> float:
    loss = build_loss(contract, ObjectiveConfig(**changes), np.asarray(targets))
    return float(loss(torch.tensor(logits), torch.tensor(labels)))


def test_cross_entropy_is_minus_the_log_of_the_true_labels_probability() -> None:
    """-(ln 1/2 + ln 1/4) / 2 = 1.5 ln 2."""
    assert loss_of(THREE, [HALF, HALF], [0, 1]) == pytest.approx(1.5 * math.log(2))


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    """0.9 of -ln 1/2 and a third of 0.1 of each of -ln 1/2, -ln 1/4, -ln 1/4."""
    by_hand = 0.9 * math.log(2) + 0.1 / 3 * (math.log(2) + 2 * math.log(4))
    assert loss_of(THREE, [HALF], [0], label_smoothing=0.1) == pytest.approx(by_hand)


def test_focal_loss_discounts_what_is_already_right() -> None:
    """(1 - p)^gamma times cross-entropy, with p = 1/2 and 1/4, and gamma = 2."""
    by_hand = (0.5**2 * math.log(2) + 0.75**2 * math.log(4)) / 2
    assert loss_of(THREE, [HALF, HALF], [0, 1], loss="focal") == pytest.approx(by_hand)
    assert loss_of(THREE, [HALF, HALF], [0, 1], loss="focal", focal_gamma=0.0) == pytest.approx(1.5 * math.log(2))


def test_balanced_weights_are_the_inverse_of_frequency_and_average_one_over_the_rows() -> None:
    """6 rows of 3 classes with 3, 2 and 1 of them: 6 / (3 * count) = 2/3, 1, 2."""
    targets = np.array([0, 0, 0, 1, 1, 2])
    weights = class_weights(THREE, targets)
    assert weights.tolist() == pytest.approx([2 / 3, 1.0, 2.0])
    assert weights[targets].mean() == pytest.approx(1.0)
    # The weighted mean divides by the sum of weights: (2/3 ln 2 + 2 ln 4) / (2/3 + 2).
    by_hand = (2 / 3 * math.log(2) + 2 * math.log(4)) / (2 / 3 + 2)
    got = loss_of(THREE, [HALF, HALF], [0, 2], targets, class_weights="balanced")
    assert got == pytest.approx(by_hand)


def test_balanced_weights_leave_an_absent_class_out_of_the_count() -> None:
    assert class_weights(THREE, np.array([0, 0, 0, 1])).tolist()[:2] == pytest.approx([4 / 6, 2.0])


def test_balanced_weights_of_several_labels_are_negatives_over_positives_and_bounded() -> None:
    """1 of 4 positive: 3; all positive: 0, held at 0.01."""
    targets = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    assert class_weights(SEVERAL, targets).tolist() == pytest.approx([3.0, 0.01])
    assert class_weights(SEVERAL, np.array([[1, 0]] + [[0, 0]] * 999)).tolist() == pytest.approx([100.0, 100.0])


def test_weighted_focal_losses_are_weighted_row_by_row() -> None:
    targets = np.array([0, 0, 0, 1, 1, 2])
    by_hand = (2 / 3 * 0.5**2 * math.log(2) + 2 * 0.75**2 * math.log(4)) / 2
    got = loss_of(THREE, [HALF, HALF], [0, 2], targets, class_weights="balanced", loss="focal")
    assert got == pytest.approx(by_hand)


def test_several_labels_are_as_many_yes_or_no_questions() -> None:
    """Logits 0 and ln 3 say 1/2 and 3/4; the truth is yes and no."""
    by_hand = (math.log(2) + math.log(4)) / 2
    assert loss_of(SEVERAL, [[0.0, math.log(3)]], [[1.0, 0.0]]) == pytest.approx(by_hand)
    focal = (0.5**2 * math.log(2) + 0.75**2 * math.log(4)) / 2
    assert loss_of(SEVERAL, [[0.0, math.log(3)]], [[1.0, 0.0]], loss="focal") == pytest.approx(focal)
    # Of 4 rows 1 has x: its yes counts 3 times.
    targets = [[1, 1], [0, 1], [0, 0], [0, 0]]
    weighted = (3 * math.log(2) + math.log(4)) / 2
    assert loss_of(SEVERAL, [[0.0, math.log(3)]], [[1.0, 0.0]], targets, class_weights="balanced") == pytest.approx(
        weighted
    )


def test_ordered_labels_ask_of_each_step_whether_the_truth_lies_above() -> None:
    """P(above low) = 3/4, P(above middle) = 1/2; middle is above the first step, high above both, low above none."""
    logits = [[math.log(3), 0.0]]
    assert loss_of(ORDERED, logits, [1]) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert loss_of(ORDERED, logits, [2]) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert loss_of(ORDERED, logits, [0]) == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_numbers_are_squared_or_beyond_delta_straight() -> None:
    """Errors 1 and 3: mse 5; Huber with delta 2 is 1/2 and 2 (3 - 1) = 4."""
    assert loss_of(NUMBER, [[1.0], [3.0]], [0.0, 0.0]) == pytest.approx(5.0)
    assert loss_of(NUMBER, [[1.0], [3.0]], [0.0, 0.0], loss="huber", huber_delta=2.0) == pytest.approx(2.25)


@pytest.mark.parametrize(
    ("contract", "changes", "message"),
    [
        (NUMBER, {"loss": "focal"}, "Loss 'focal' does not fit a regression contract."),
        (NUMBER, {"loss": "cross-entropy"}, "Loss 'cross-entropy' does not fit a regression contract."),
        (THREE, {"loss": "mse"}, "Loss 'mse' does not fit a single-label contract."),
        (SEVERAL, {"loss": "huber"}, "Loss 'huber' does not fit a multi-label contract."),
        (ORDERED, {"label_smoothing": 0.1}, "`label_smoothing` fits single-label contracts only; got ordinal."),
        (SEVERAL, {"label_smoothing": 0.1}, "`label_smoothing` fits single-label contracts only; got multi-label."),
        (NUMBER, {"class_weights": "balanced"}, "`class_weights` fit labels only; got regression."),
    ],
)
def test_a_loss_that_does_not_fit_the_question_is_refused(
    contract: LabelContract, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        build_loss(contract, ObjectiveConfig(**changes), NONE)
    assert str(caught.value) == message


def test_smoothing_and_focal_loss_do_not_go_together() -> None:
    with pytest.raises(ConfigError) as caught:
        ObjectiveConfig(loss="focal", label_smoothing=0.1)
    assert str(caught.value) == (
        "ObjectiveConfig has 1 problem:\n  ObjectiveConfig: `label_smoothing` goes with cross-entropy; got loss 'focal'"
    )
