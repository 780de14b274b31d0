"""When a variant is good enough, on numbers worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tapereader.bundle import LabelContract
from tapereader.training.compress.verdict import Verdict, judge_variant, same_answers

TWO = LabelContract(kind="single-label", names=("down", "up"))
TARGETS = np.array([0, 1] * 20)


def says(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(np.arange(2) == labels[:, None], 0.9, 0.1)


def judged(wrong: tuple[int, ...], *, budget: float = 0.5, floor: float | None = None) -> Verdict:
    after = TARGETS.copy()
    after[list(wrong)] = 1 - after[list(wrong)]
    return judge_variant(
        TWO, TARGETS, before=says(TARGETS), after=says(after), groups=np.arange(40), test=slice(20, 40),
        thresholds=(0.5, 0.5), budget=budget, floor=floor, seed=0,
    )  # fmt: skip


def test_what_is_lost_is_counted_on_the_test_part_alone_and_agreement_on_both() -> None:
    found = judged((0, 1))
    assert (found.lost, found.agreement, found.n_agreement, found.faults) == (0.0, 0.95, 40, ())
    assert found.comparison.n == 20


def test_a_fall_of_five_points_is_refused_by_a_budget_of_four_and_not_by_one_of_five() -> None:
    """One wrong on either side of twenty: precision and recall of both labels are 9 of 10, macro-F1 falls to 0.9."""
    assert judged((20, 21)).lost == pytest.approx(10.0)
    assert judged((20, 21), budget=10.0).faults == ()
    (fault,) = judged((20, 21), budget=9.9).faults
    assert fault.startswith("it loses 10.00 points of macro_f1 (")
    assert fault.endswith(") and may lose 9.9")


def test_too_many_other_answers_are_refused_even_where_nothing_is_lost() -> None:
    assert judged((0, 1), floor=0.95).faults == ()
    assert judged((0, 1), floor=0.98).faults == (
        "it agrees with its parent on 95.00 % of 40 held-out rows and must on 98 %",
    )


def test_several_labels_agree_where_the_whole_set_does() -> None:
    many = LabelContract(kind="multi-label", names=("a", "b"))
    ours = np.array([[0.9, 0.1], [0.9, 0.9], [0.4, 0.1]])
    theirs = np.array([[0.6, 0.2], [0.9, 0.1], [0.1, 0.1]])
    assert same_answers(many, ours, theirs) == pytest.approx(2 / 3)
    assert same_answers(many, ours, theirs, (0.3, 0.5)) == pytest.approx(1 / 3)
