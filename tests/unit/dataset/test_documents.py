import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset.documents import mask, near_duplicate_groups, normalise
from tapereader.dataset.shingles import near_pairs

WORDS = st.sampled_from(
    [
        "sales",
        "profit",
        "rose",
        "fell",
        "by",
        "5",
        "12.4",
        "%",
        "in",
        "the",
        "quarter",
        "Nokia",
        "Stora",
        "net",
        "of",
        "EUR",
        "mn",
        "利润",
        "下降",
        "公司",
    ]
)
TEXTS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=30)


def letters(rng, n):
    return "".join(rng.choice(list("abcdefghij"), size=n))


def shingles(text):
    padded, cjk = text + "\0" * 4, [0x4E00 <= ord(c) <= 0x9FFF for c in text]
    return {padded[i : i + (2 if cjk[i] else 5)] for i in range(len(text))}


def jaccard(a, b):
    left, right = shingles(mask(a)), shingles(mask(b))
    return len(left & right) / len(left | right) if left | right else 1.0


def test_normalise_folds_width_case_and_white_space_and_keeps_numbers_and_punctuation():
    assert normalise("\u3000ＳＡＬＥＳ  Rose\n５％ !") == "sales rose 5% !"
    assert normalise("Straße ﬁrst") == "strasse first"
    assert normalise("") == normalise(" \t\n") == ""


@given(st.text())
def test_normalise_twice_is_normalise_once(text):
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("EUR 1,050.5 mn at 12:30 on 3/4/2011", "eur # mn at # on #"),
        ("Q3 of 600519.SH", "q# of #.sh"),
        ("净利润增长５．２％", "净利润增长#%"),
        ("up 5.", "up #."),
    ],
)
def test_mask_puts_one_sign_for_a_number(text, masked):
    assert mask(text) == masked


def test_copies_with_other_numbers_are_one_group_and_other_sentences_are_not():
    texts = [
        "Operating profit rose to EUR 3.11 mn from EUR 1.22 mn in the corresponding period of 2009 .",
        "Nokia sold its plant .",
        "Operating profit rose to EUR 45 mn from EUR 9 mn in the corresponding period of 2006 .",
    ]
    found = near_duplicate_groups(texts)
    assert found.groups.tolist() == [0, 1, 0]


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([0.5, 0.7, 0.8, 0.95, 1.0]))
def test_every_pair_in_a_group_is_near_and_copies_are_together_and_no_groups_could_merge(texts, threshold):
    found = near_duplicate_groups(texts, threshold=threshold)
    for a, b in itertools.combinations(range(len(texts)), 2):
        if found.groups[a] == found.groups[b]:
            assert jaccard(texts[a], texts[b]) >= threshold
        if normalise(texts[a]) == normalise(texts[b]):
            assert found.groups[a] == found.groups[b]
    members = [np.flatnonzero(found.groups == g) for g in range(found.n_groups)]
    for one, other in itertools.combinations(members, 2):
        assert any(jaccard(texts[a], texts[b]) < threshold for a in one for b in other)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_partition_does_not_depend_on_row_order(texts, rng):
    order = list(range(len(texts)))
    rng.shuffle(order)
    straight = near_duplicate_groups(texts, threshold=0.6).groups
    shuffled = near_duplicate_groups([texts[i] for i in order], threshold=0.6).groups
    for a, b in itertools.combinations(range(len(texts)), 2):
        assert (straight[order[a]] == straight[order[b]]) == (shuffled[a] == shuffled[b])


def test_the_search_finds_what_comparing_all_pairs_finds():
    rng = np.random.default_rng(1)
    vocabulary = [letters(rng, rng.integers(2, 10)) for _ in range(300)]
    base = [" ".join(rng.choice(vocabulary, size=rng.integers(3, 26))) for _ in range(150)]
    varied = []
    for text in base:
        words = text.split()
        words[rng.integers(len(words))] = str(rng.choice(vocabulary))
        varied.append(" ".join(words))
    texts = sorted({*base, *varied})
    expected = {
        (a, b): jaccard(texts[a], texts[b])
        for a, b in itertools.combinations(range(len(texts)), 2)
        if jaccard(texts[a], texts[b]) >= 0.7
    }
    found = near_pairs(texts, threshold=0.7, seed=0)
    assert len(expected) > 50
    assert dict(zip(zip(found.left.tolist(), found.right.tolist(), strict=True), found.similarity, strict=True)) == (
        pytest.approx(expected)
    )


def test_empty_one_letter_and_huge_texts_are_handled():
    rng = np.random.default_rng(0)
    stream = letters(rng, 900_000)
    huge = " ".join(stream[n : n + 6] for n in range(0, 900_000, 6))
    assert len(huge) > 1_000_000
    found = near_duplicate_groups(["", "a", huge, " ", huge + "!", "\ud800 lone surrogate"])
    assert found.groups.tolist() == [0, 1, 2, 0, 2, 3]
    assert len(near_duplicate_groups(["x", huge, huge]).largest_example) == 200


def test_no_texts_are_no_groups():
    found = near_duplicate_groups([])
    assert (found.groups.tolist(), found.n_groups, found.largest_size, found.largest_example) == ([], 0, 0, "")


def test_thousands_of_texts_from_one_template_still_give_groups_that_hold_and_are_said_to_be_incomplete():
    rng = np.random.default_rng(0)
    tail = "shares climbed after the company reported results that beat what analysts had expected for the whole year"
    texts = sorted({letters(rng, 5) + " " + tail for _ in range(1_500)})
    found = near_duplicate_groups(texts)
    assert not found.complete
    for group in range(0, found.n_groups, 7):
        rows = np.flatnonzero(found.groups == group)[:10]
        assert all(jaccard(texts[a], texts[b]) >= 0.8 for a, b in itertools.combinations(rows, 2))


def test_pairs_between_counts_what_two_parts_still_share():
    base = "the board proposes that a dividend of eur per share be paid for the financial year that ended in december"
    texts = [base, base + " and more", base + " and more was said", "oil fell"]
    found = near_duplicate_groups(texts, threshold=0.85)
    assert len(found.pairs_across) == 1
    a, b = found.pairs_across[0]
    left, right = np.flatnonzero(found.groups == found.groups[a]), np.flatnonzero(found.groups == found.groups[b])
    assert found.pairs_between(left, right) == found.pairs_between(right, left) == 1
    assert found.pairs_between(left, np.array([3])) == 0


@pytest.mark.parametrize("threshold", [0.49, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ConfigError) as caught:
        near_duplicate_groups(["a"], threshold=threshold)
    assert str(caught.value) == f"`threshold` must be a Jaccard similarity from 0.5 to 1; got {threshold!r}."


def test_a_text_that_is_no_text_is_refused_with_its_position():
    with pytest.raises(DataError) as caught:
        near_duplicate_groups(["a", None])
    assert str(caught.value) == (
        "Every text must be text; got None at position 1. Drop the row, or read the column as text."
    )
