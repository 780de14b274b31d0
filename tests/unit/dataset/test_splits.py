import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset.parts import Split, split_groups
from tapereader.dataset.splits import grouped_folds, train_validation_test, with_validation

LABELS = ("negative", "neutral", "positive")
SIZES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(LABELS)), min_size=40, max_size=90)


def rows_in(split):
    return np.concatenate([split.train, split.validation, split.test])


def of_groups(build, groups):
    texts, labels, ids = [], [], []
    for group, (size, label) in enumerate(groups):
        for copy in range(size):
            texts.append(f"text {group} copy {copy}")
            labels.append(label)
            ids.append(group)
    return build(texts, labels, names=LABELS), np.array(ids)


def enough(groups, parts):
    return all(sum(label == name for _, label in groups) not in range(1, parts) for name in LABELS)


@settings(max_examples=50, deadline=None)
@given(SIZES.filter(lambda groups: enough(groups, 5)), st.integers(0, 5))
def test_folds_are_disjoint_and_complete_and_no_group_straddles(build, groups, seed):
    labelled, ids = of_groups(build, groups)
    folds = grouped_folds(labelled, k=5, seed=seed, groups=ids, validation=0.2)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(len(labelled)))
    for fold in folds:
        assert sorted(rows_in(fold).tolist()) == list(range(len(labelled)))
        parts = [set(ids[rows].tolist()) for rows in (fold.train, fold.validation, fold.test)]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert fold.groups_straddling == fold.rows_shared == fold.rows_dropped == 0
        assert len(fold.validation) > 0


@settings(max_examples=40, deadline=None)
@given(SIZES.filter(lambda groups: enough(groups, 3)), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_same_rows_in_another_order_give_the_same_split(build, groups, seed, rng):
    labelled, ids = of_groups(build, groups)
    order = list(range(len(labelled)))
    rng.shuffle(order)
    straight = train_validation_test(labelled, seed=seed, groups=ids)
    shuffled = train_validation_test(labelled.take(order), seed=seed, groups=ids[order])
    assert straight.id == shuffled.id
    assert {labelled.texts[n] for n in straight.test} == {labelled.texts[order[n]] for n in shuffled.test}


def test_same_seed_same_split_and_another_seed_another(build):
    labelled, ids = of_groups(build, [(1, LABELS[n % 3]) for n in range(90)])
    first, again, other = (train_validation_test(labelled, seed=seed, groups=ids) for seed in (0, 0, 1))
    assert first.test.tolist() == again.test.tolist()
    assert first.id == again.id != other.id
    assert (first.name, len(first.id)) == ("stratified, seed 0", 12)


def test_the_id_is_over_contents_so_a_changed_label_changes_it(build):
    labelled, ids = of_groups(build, [(1, LABELS[n % 3]) for n in range(30)])
    changed = build(labelled.texts, ["positive", *labelled.frame["label"][1:]], names=LABELS)
    one, two = (train_validation_test(rows, seed=0, groups=ids) for rows in (labelled, changed))
    assert one.id != two.id


def test_single_rows_are_dealt_to_the_fractions_in_every_label(build):
    labels = ["negative"] * 120 + ["neutral"] * 600 + ["positive"] * 280
    labelled = build([f"t{n}" for n in range(1000)], labels, names=LABELS)
    split = train_validation_test(labelled, fractions=(0.7, 0.1, 0.2), seed=3, groups=np.arange(1000))
    for label, total in (("negative", 120), ("neutral", 600), ("positive", 280)):
        counts = [
            (labelled.frame["label"].to_numpy()[rows] == label).sum()
            for rows in (split.train, split.validation, split.test)
        ]
        assert np.abs(np.array(counts) - total * np.array([0.7, 0.1, 0.2])).max() <= 1


def test_folds_with_groups_are_as_balanced_as_scikit_learns(build):
    rng = np.random.default_rng(0)
    groups = [(int(rng.integers(1, 12)), str(rng.choice(LABELS, p=[0.1, 0.6, 0.3]))) for _ in range(120)]
    labelled, ids = of_groups(build, groups)
    onehot = labelled.targets()[:, None] == np.arange(3)

    def imbalance(tests):
        return max(np.abs(onehot[rows].sum(axis=0) / onehot.sum(axis=0) - 0.2).max() for rows in tests)

    ours = [fold.test for fold in grouped_folds(labelled, k=5, seed=0, groups=ids)]
    theirs = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(ids, labelled.targets(), ids)
    assert imbalance(ours) <= imbalance([test for _, test in theirs]) + 0.01


def test_rare_labels_of_a_multi_label_set_are_spread_over_the_folds(build):
    names = ("fraud", "default", "fire")
    labels = [tuple(name for name, every in zip(names, (2, 3, 20), strict=True) if n % every == 0) for n in range(200)]
    labelled = build([f"t{n}" for n in range(200)], labels, kind="multi-label", names=names)
    folds = grouped_folds(labelled, k=5, seed=0, groups=np.arange(200))
    assert [int(labelled.targets()[fold.test][:, 2].sum()) for fold in folds] == [2] * 5
    assert all(abs(labelled.targets()[fold.test][:, 0].sum() - 20) <= 1 for fold in folds)


def test_regression_targets_are_spread_by_quantile(build):
    values = np.random.default_rng(0).normal(size=600)
    labelled = build([f"t{n}" for n in range(600)], values, kind="regression", names=("score",))
    folds = grouped_folds(labelled, k=4, seed=0, groups=np.arange(600))
    highest = np.quantile(values, 0.9)
    assert all(abs((values[fold.test] >= highest).sum() - 15) <= 1 for fold in folds)


def test_a_target_that_is_not_finite_is_refused(build):
    labelled = build(["a", "b", "c"], [0.1, float("nan"), 0.2], kind="regression", names=("score",))
    with pytest.raises(DataError) as caught:
        train_validation_test(labelled, seed=0)
    assert str(caught.value) == (
        "Every regression target must be a finite number; got 1 that are not, first in row 2. Run `tapereader data "
        "check` for all rows."
    )


def test_groups_unite_near_copies_with_the_column_and_through_it(build):
    labelled = build(["a", "b", "c", "d", "e"], ["positive"] * 5, group=["x", None, "x", "y", None])
    united = split_groups(labelled, np.array([0, 0, 1, 2, 3]))
    assert united[0] == united[1] == united[2]
    assert len({united[0], united[3], united[4]}) == 3


def test_rows_of_one_named_group_stay_together_without_any_near_copy(build):
    texts = ["".join(letters) for letters in np.random.default_rng(0).choice(list("abcdefgh"), size=(40, 30))]
    labelled = build(texts, ["negative", "positive"] * 20, group=[f"template {n // 4}" for n in range(40)])
    split = train_validation_test(labelled, seed=0)
    parts = [set(labelled.frame["group"].iloc[rows]) for rows in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == 10


def test_no_validation_is_possible(build):
    labelled, ids = of_groups(build, [(1, LABELS[n % 3]) for n in range(60)])
    split = train_validation_test(labelled, fractions=(0.75, 0.0, 0.25), seed=0, groups=ids)
    assert (len(split.train), len(split.validation), len(split.test)) == (45, 0, 15)
    taken = with_validation(labelled, split, fraction=0.2, seed=0, groups=ids)
    assert taken.test.tolist() == split.test.tolist()
    assert sorted([*taken.train, *taken.validation]) == split.train.tolist()
    assert len(taken.validation) == 9


def test_validation_is_not_taken_twice(build):
    labelled, ids = of_groups(build, [(1, LABELS[n % 3]) for n in range(60)])
    split = train_validation_test(labelled, seed=0, groups=ids)
    with pytest.raises(ConfigError) as caught:
        with_validation(labelled, split, seed=0, groups=ids)
    assert str(caught.value) == (
        "Validation rows are taken only for a split without them; 'stratified, seed 0' has some."
    )


def test_more_folds_than_groups_are_refused(build):
    labelled, ids = of_groups(build, [(3, "negative"), (3, "positive")])
    with pytest.raises(DataError) as caught:
        grouped_folds(labelled, k=3, seed=0, groups=ids)
    assert str(caught.value) == (
        "A split in 3 folds needs at least 3 groups of rows that may be parted; data set 'tape' has 2 in 6 rows. Give "
        "more rows, or ask for fewer parts."
    )


def test_a_label_in_too_few_groups_is_refused_by_name(build):
    labelled, ids = of_groups(build, [(1, "negative")] * 6 + [(4, "positive"), (1, "positive")])
    with pytest.raises(DataError) as caught:
        train_validation_test(labelled, seed=0, groups=ids)
    assert str(caught.value) == (
        "A split in 3 parts needs every label in at least 3 groups; 'positive' stands in 2 (5 rows). Merge or drop the "
        "label, or ask for fewer parts."
    )


def test_a_set_too_small_for_the_fractions_is_refused(build):
    labelled, ids = of_groups(build, [(1, "negative")] * 4)
    with pytest.raises(DataError) as caught:
        train_validation_test(labelled, seed=0, groups=ids)
    assert str(caught.value) == (
        "Every split must have training and test rows; 'stratified, seed 0' of data set 'tape' (4 rows in 4 groups) "
        "has none for test. Give more rows, or cut elsewhere."
    )


def test_no_rows_are_refused(build):
    with pytest.raises(DataError) as caught:
        train_validation_test(build([], []), seed=0)
    assert str(caught.value) == "A split needs rows; data set 'tape' has none."


def test_groups_of_another_length_are_refused(build):
    with pytest.raises(DataError) as caught:
        split_groups(build(["a", "b"], ["negative", "positive"]), np.zeros(3, dtype=np.int64))
    assert str(caught.value) == "`groups` must hold one group for each of 2 rows; got shape (3,)."


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (0.0, 0.5, 0.5), (0.9, 0.1, 0.0), (1.2, -0.4, 0.2), (0.5, 0.5)])
def test_fractions_that_are_no_shares_are_refused(build, fractions):
    with pytest.raises(ConfigError) as caught:
        train_validation_test(build(["a", "b"], ["negative", "positive"]), fractions=fractions, seed=0)
    assert str(caught.value) == (
        "`fractions` must be the shares of train, validation and test, with sum 1 and only validation allowed to be 0; "
        f"got {fractions!r}."
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 1}, "`k` must be at least 2 folds; got 1."),
        ({"k": 2, "validation": 1.0}, "The validation share must be from 0 to below 1; got 1.0."),
    ],
)
def test_folds_asked_for_wrongly_are_refused(build, wrong, message):
    labelled, ids = of_groups(build, [(1, LABELS[n % 2]) for n in range(20)])
    with pytest.raises(ConfigError) as caught:
        grouped_folds(labelled, seed=0, groups=ids, **wrong)
    assert str(caught.value) == message


def test_a_split_whose_parts_overlap_cannot_be_made():
    rows = np.array([0, 1])
    with pytest.raises(ConfigError) as caught:
        Split(name="mine", train=rows, validation=rows[:0], test=rows[1:], groups_straddling=0, id="0" * 12)
    assert str(caught.value) == "The parts of a split must be disjoint; those of 'mine' share rows."
