"""Scores of parts of the rows, and the surest mistakes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapereader import metrics
from tapereader.bundle import LabelContract
from tapereader.core.errors import DataError
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence
from tapereader.training.slices import score_slices, worst_mistakes

TWO = LabelContract(kind="single-label", names=("down", "up"))
FLAGS = LabelContract(kind="multi-label", names=("fraud", "default"))
SCORE = LabelContract(kind="regression", names=("score",))


def labelled(contract: LabelContract, frame: pd.DataFrame) -> LabelledText:
    card = DatasetCard(
        name="made-up",
        title="Made up",
        task="sentiment",
        contract=contract,
        language="mixed",
        licence=Licence(name="not stated", commercial_use=None),
        origin="your file",
    )
    return LabelledText(card, frame)


def hundred() -> tuple[LabelledText, np.ndarray, np.ndarray]:
    frame = pd.DataFrame(
        {
            "row": range(1, 101),
            "text": ["利润没有增长"] * 25 + ["profit didn't rise"] * 25 + ["x" * 40 + " rose 12%"] * 50,
            "label": ["up", "down"] * 50,
            "source": ["wire"] * 60 + ["blog"] * 35 + [None] * 5,
            "known_at": pd.to_datetime(["2019-05-01"] * 30 + ["2020-05-01"] * 70, utc=True),
        }
    )
    text = labelled(TWO, frame)
    up = np.where(np.arange(100) < 50, 0.6, 0.9)
    return text, text.targets(), np.column_stack([1 - up, up])


def test_parts_cover_what_the_rows_have() -> None:
    text, targets, outputs = hundred()
    found = {(part.by, part.value): part for part in score_slices(text, targets, outputs, TWO)}
    assert found["negation", "with a negation"].n == 50
    assert found["numbers", "with a number"].n == 50
    assert found["period", "2019"].n == 30
    assert found["source", "wire"].n == 60
    assert found["source", "blog"].n == 35
    assert ("source", "None") not in found
    assert sum(part.n for (by, _), part in found.items() if by == "length") == 100
    part = found["source", "wire"]
    assert part.score == pytest.approx(metrics.macro_f1(targets[:60], outputs[:60].argmax(axis=1)))
    assert part.low is not None
    assert part.low <= part.score <= (part.high or 0)


def test_small_parts_are_left_out() -> None:
    text, targets, outputs = hundred()
    rows = [*range(25, 50), 0, 1]
    found = score_slices(text.take(rows), targets[rows], outputs[rows], TWO)
    assert all(part.n >= 20 for part in found)
    assert {part.value for part in found if part.by == "numbers"} == {"without a number"}


def test_groups_of_rows_are_resampled_whole() -> None:
    text, targets, outputs = hundred()
    grouped = labelled(TWO, text.frame.assign(group=[str(i // 10) for i in range(100)]))
    wide = next(part for part in score_slices(grouped, targets, outputs, TWO) if part.value == "wire")
    plain = next(part for part in score_slices(text, targets, outputs, TWO) if part.value == "wire")
    # Every group of ten is half up and half down: whole groups never vary.
    assert wide.low == wide.high == wide.score
    assert plain.low < plain.high


def test_groups_that_are_given_go_before_the_column() -> None:
    text, targets, outputs = hundred()
    alone = labelled(TWO, text.frame.assign(group=[None] * 100))
    by_ten = score_slices(alone, targets, outputs, TWO, groups=np.arange(100) // 10)
    wide = next(part for part in by_ten if part.value == "wire")
    assert wide.low == wide.high == wide.score
    plain = next(part for part in score_slices(alone, targets, outputs, TWO) if part.value == "wire")
    assert plain.low < plain.high  # rows without a value stand alone


def test_the_surest_mistake_comes_first_with_its_row() -> None:
    text, targets, outputs = hundred()
    found = worst_mistakes(text, targets, outputs, TWO, k=30)
    assert len(found) == 30
    assert (found[0].row, found[0].truth, found[0].answer) == (52, "down", "up")
    assert found[0].badness == pytest.approx(0.8)
    assert [mistake.badness for mistake in found] == sorted((m.badness for m in found), reverse=True)
    assert found[-1].badness == pytest.approx(0.2)


def test_right_answers_are_no_mistakes() -> None:
    text, targets, _ = hundred()
    assert worst_mistakes(text, targets, np.eye(2)[targets], TWO) == []


def test_mistakes_of_sets_and_numbers_are_named() -> None:
    frame = pd.DataFrame({"row": [7, 8], "text": ["a", "b"], "label": [("fraud",), ()], "pair": ["Acme", "Acme"]})
    text = labelled(FLAGS, frame)
    found = worst_mistakes(text, text.targets(), np.asarray([[0.9, 0.8], [0.6, 0.1]]), FLAGS)
    assert [(m.row, m.truth, m.answer, m.pair) for m in found] == [
        (7, "fraud", "fraud|default", "Acme"),
        (8, "none", "fraud", "Acme"),
    ]
    numbers = labelled(SCORE, pd.DataFrame({"row": [1, 2], "text": ["a", "b"], "label": [0.5, -0.5]}))
    worst = worst_mistakes(numbers, numbers.targets(), np.asarray([0.4, 0.9]), SCORE)[0]
    assert (worst.row, worst.truth, worst.answer, worst.badness) == (2, "-0.500", "0.900", pytest.approx(1.4))


def test_outputs_of_other_rows_are_refused() -> None:
    text, targets, outputs = hundred()
    with pytest.raises(DataError) as caught:
        score_slices(text, targets, outputs[:99], TWO)
    assert str(caught.value) == "Outputs must have one row for each of 100 texts; got 99."
