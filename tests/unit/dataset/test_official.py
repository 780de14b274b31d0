import numpy as np
import pytest

from tapereader.core.errors import DataError, UnknownNameError
from tapereader.dataset.official import official_split, without_overlap

TEXTS = ["oil fell", "gold rose sharply", "Oil  fell", "the bank failed", "silver was flat", "silver was flat"]


def test_an_authors_split_is_returned_as_it_is_with_its_overlap_counted(build):
    parts = ["train", "train", "test", "test", "validation", "train"]
    labelled = build(TEXTS, ["negative", "positive"] * 3, official_paper=parts)
    split = official_split(labelled, "paper")
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([0, 1, 5], [4], [2, 3])
    assert (split.name, split.groups_straddling, split.rows_shared, split.rows_dropped) == ("official paper", 2, 1, 0)


def test_without_overlap_keeps_the_test_rows_and_drops_their_copies_from_the_earlier_parts(build):
    parts = ["train", "train", "test", "test", "validation", "train"]
    labelled = build(TEXTS, ["negative", "positive"] * 3, official_paper=parts)
    published = official_split(labelled, "paper")
    clean = without_overlap(labelled, published)
    assert (clean.train.tolist(), clean.validation.tolist(), clean.test.tolist()) == ([1], [4], [2, 3])
    assert (clean.groups_straddling, clean.rows_shared, clean.rows_dropped) == (0, 0, 2)
    assert clean.rows_overlapping == 2
    assert clean.name == "official paper, without overlap"
    assert clean.id != published.id


def test_rows_without_a_part_are_left_out_and_counted(build):
    labelled = build(TEXTS[:4], ["negative", "positive"] * 2, official_paper=["train", None, None, "test"])
    split = official_split(labelled, "paper", groups=np.arange(4))
    assert (split.train.tolist(), split.test.tolist(), split.rows_dropped) == ([0], [3], 2)


def test_an_unknown_split_is_refused_with_the_known_ones(build):
    labelled = build(["a", "b"], ["negative", "positive"], official_5768=["train", "test"])
    with pytest.raises(UnknownNameError) as caught:
        official_split(labelled, "paper")
    assert str(caught.value) == "Data set 'tape' has no authors' split 'paper'; known: 5768."


def test_a_strange_part_is_refused_with_its_row(build):
    labelled = build(["a", "b"], ["negative", "positive"], official_paper=["train", "eval"])
    with pytest.raises(DataError) as caught:
        official_split(labelled, "paper")
    assert str(caught.value) == "Column 'official_paper' must hold train, validation or test; got 'eval' in row 2."


def test_a_split_whose_training_rows_all_stand_in_the_test_is_refused(build):
    labelled = build(["oil fell", "Oil fell"], ["negative", "positive"], official_paper=["train", "test"])
    with pytest.raises(DataError) as caught:
        without_overlap(labelled, official_split(labelled, "paper"))
    assert str(caught.value) == (
        "Every split must have training and test rows; 'official paper, without overlap' of data set 'tape' (2 rows in "
        "1 groups) has none for train. Give more rows, or cut elsewhere."
    )
