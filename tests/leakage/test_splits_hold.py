"""No split of ours lets a text, or a near-copy of it, stand on two sides; none by time trains on the future."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError
from tapereader.dataset import (
    grouped_folds,
    mask,
    near_duplicate_groups,
    official_split,
    time_split,
    train_validation_test,
    without_overlap,
)
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence

LABELS = ("down", "up")
STORIES = (
    "Operating profit of {} rose to EUR {} mn from EUR {} mn in the corresponding period of the year before",
    "{} said on Tuesday that it had won an order worth {} million dollars for delivery over the next {} years",
    "The board of {} proposes a dividend of EUR {} per share for the financial year that ended {} weeks ago",
    "Analysts at {} lowered their target for the shares to {} from {} after the warning on annual earnings",
    "{} 公告称，公司预计上半年净利润同比增长 {}% 至 {}%，主要受益于产品价格上涨和销量增加",
)
FIRMS = ("Nokia", "Stora Enso", "Kesko", "Outokumpu", "Fiskars", "Neste", "Wartsila", "Metso")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(STORIES),
        st.sampled_from(FIRMS),
        st.integers(1, 999),
        st.integers(0, 60),
        st.sampled_from(LABELS),
    ),
    min_size=60,
    max_size=120,
)


def labelled_from(rows):
    card = DatasetCard(
        name="wire",
        title="Wire",
        task="trend",
        contract=LabelContract(kind="single-label", names=LABELS),
        language="mixed",
        licence=Licence(name="made here", commercial_use=True),
        origin="made for a test",
        synthetic=True,
    )
    frame = pd.DataFrame(
        {
            "row": np.arange(1, len(rows) + 1),
            "text": [story.format(firm, number, number / 7) for story, firm, number, _, _ in rows],
            "label": [label for *_, label in rows],
            "known_at": pd.Timestamp("2016-01-01", tz="UTC") + pd.to_timedelta([day for *_, day, _ in rows], unit="D"),
            "official_paper": ["test" if n % 5 == 0 else "train" for n in range(len(rows))],
        }
    )
    return LabelledText(card, frame)


def assert_nothing_shared(labelled, split, near):
    parts = (split.train, split.validation, split.test)
    masked = np.array([mask(text) for text in labelled.texts], dtype=object)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(near.groups[parts[one]]) & set(near.groups[parts[other]])
        assert not set(masked[parts[one]]) & set(masked[parts[other]])
    assert split.groups_straddling == 0


@settings(max_examples=25, deadline=None)
@given(ROWS, st.integers(0, 3))
def test_near_duplicates_never_straddle_a_random_split(rows, seed):
    labelled = labelled_from(rows)
    near = near_duplicate_groups(labelled.texts)
    try:
        splits = [train_validation_test(labelled, seed=seed), *grouped_folds(labelled, k=3, seed=seed)]
    except DataError:
        assume(False)
    for split in splits:
        assert_nothing_shared(labelled, split, near)


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_an_authors_split_without_its_overlap_shares_nothing(rows):
    labelled = labelled_from(rows)
    near = near_duplicate_groups(labelled.texts)
    published = official_split(labelled, "paper")
    try:
        clean = without_overlap(labelled, published)
    except DataError:
        assume(False)
    assert_nothing_shared(labelled, clean, near)
    assert clean.test.tolist() == published.test.tolist()
    assert published.rows_shared == np.isin(near.groups[published.test], near.groups[published.train]).sum()


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(15, 35), st.integers(1, 15), st.integers(0, 5))
def test_a_split_by_time_never_trains_on_the_future_nor_on_a_twin_of_the_test(rows, start, length, embargo):
    labelled = labelled_from(rows)
    near = near_duplicate_groups(labelled.texts)
    first, second = date(2016, 1, 1) + timedelta(days=start), date(2016, 1, 1) + timedelta(days=start + length)
    try:
        split = time_split(labelled, dates=(first, second), embargo=timedelta(days=embargo))
    except DataError:
        assume(False)
    known_at = labelled.frame["known_at"]
    gap = pd.Timedelta(days=embargo)
    assert known_at[split.train].max() < split.cuts[0] - gap
    assert known_at[split.validation].min() >= split.cuts[0]
    assert known_at[split.validation].max() < split.cuts[1] - gap
    assert known_at[split.test].min() >= split.cuts[1]
    # Nothing that came late is lost: copies are dropped on the early side alone.
    assert set(split.test) == set(np.flatnonzero(known_at >= split.cuts[1]))
    assert_nothing_shared(labelled, split, near)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.7, 0.0, 0.3)]))
def test_rows_of_one_instant_never_straddle_a_cut_by_share(rows, fractions):
    labelled = labelled_from(rows)
    try:
        split = time_split(labelled, fractions=fractions, groups=np.arange(len(labelled)))
    except DataError:
        assume(False)
    days = [set(labelled.frame["known_at"][part]) for part in (split.train, split.validation, split.test)]
    assert len(set.union(*days)) == sum(map(len, days))
    assert sum(map(len, (split.train, split.validation, split.test))) == len(labelled)


def test_what_happens_after_the_cut_does_not_change_the_training_rows_before_it():
    """Poison: other labels and new unrelated texts in the future leave the past part as it was."""
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    rows = [("{} {} {} " + "".join(rng.choice(letters, 60)), FIRMS[n % 8], n, n, LABELS[n % 2]) for n in range(60)]
    poisoned = rows[:40] + [("{} {} {} " + "".join(rng.choice(letters, 60)), "X", n, n, "up") for n in range(40, 60)]
    cuts = (date(2016, 2, 10), date(2016, 2, 20))
    before, after = (time_split(labelled_from(each), dates=cuts) for each in (rows, poisoned))
    assert before.train.tolist() == after.train.tolist() == list(range(40))
    assert before.id != after.id


@pytest.mark.parametrize("k", [2, 5])
def test_a_template_left_out_is_left_out_whole(k):
    rng = np.random.default_rng(1)
    rows = [
        (STORIES[n % 5], FIRMS[int(rng.integers(8))], int(rng.integers(1, 999)), n % 60, LABELS[n // 5 % 2])
        for n in range(200)
    ]
    labelled = labelled_from(rows)
    labelled.frame["group"] = [f"story {n % 5}" for n in range(200)]
    for fold in grouped_folds(labelled, k=k, seed=0, validation=0.0):
        assert not set(labelled.frame["group"][fold.train]) & set(labelled.frame["group"][fold.test])
