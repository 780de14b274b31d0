"""Words, their places, and what tokens add up to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapereader.engine.explain import gather, piece_runs, split_words, without


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Profit rose 12.5% to EUR 3,041m.", ["Profit", "rose", "12.5%", "to", "EUR", "3,041m", "."]),
        ("U.S. year-on-year don't A&P", ["U.S", ".", "year-on-year", "don't", "A&P"]),
        ("(up) ... __init__", ["(", "up", ")", "...", "__", "init", "__"]),
        ("营业利润下降8.2%。", ["营", "业", "利", "润", "下", "降", "8.2%", "。"]),
        ("ABC公司Q3营收", ["ABC", "公", "司", "Q3", "营", "收"]),
        ("  \n ", []),
        ("café Östersund 📉", ["café", "Östersund", "📉"]),
    ],
)
def test_a_text_is_split_into_words_and_single_ideographs(text: str, words: list[str]) -> None:
    found = split_words(text)
    assert [word.text for word in found] == words
    assert all(text[word.start : word.end] == word.text for word in found)


def test_terms_are_one_word_and_the_longest_wins() -> None:
    terms = ["利润", "营业利润", "Operating Profit", "rofit r", ""]
    assert [word.text for word in split_words("营业利润和利润", terms=terms)] == ["营业利润", "和", "利润"]
    assert [word.text for word in split_words("operating profit rose", terms=terms)] == ["operating profit", "rose"]


def test_a_term_that_would_cut_a_word_changes_nothing() -> None:
    assert [word.text for word in split_words("profit rose", terms=["rofit r"])] == ["profit", "rose"]


def test_pieces_of_several_ideographs_are_words_where_no_term_stands() -> None:
    text = "营业利润同比 rose"
    runs = piece_runs(text, [None, (0, 2), (2, 4), (4, 5), (5, 6), (6, 11)])
    assert runs == [(0, 2), (2, 4)]
    assert [word.text for word in split_words(text, runs=runs)] == ["营业", "利润", "同", "比", "rose"]
    assert [word.text for word in split_words(text, runs=runs, terms=["业利润同"])] == [
        "营", "业利润同", "比", "rose",
    ]  # fmt: skip


def test_pieces_of_a_word_add_up_and_a_piece_of_two_characters_is_shared() -> None:
    words = split_words("unprofitable 利润 up")
    spans = [None, (0, 2), (2, 8), (8, 12), (12, 13), (13, 15), (15, 18), None]
    values = np.array([7.0, 1.0, 2.0, 4.0, 0.5, 3.0, -1.0, 9.0])
    # The space before 利 belongs to it; the special tokens' values are no word's.
    assert gather(words, spans, values).tolist() == [7.0, 2.0, 1.5, -1.0]


def test_a_token_of_spaces_at_the_end_belongs_to_the_last_word() -> None:
    assert gather(split_words("up "), [(0, 2), (2, 3)], np.array([1.0, 2.0])).tolist() == [3.0]


@given(st.text(min_size=1, max_size=40), st.data())
def test_nothing_of_the_tokens_is_lost(text: str, data: st.DataObject) -> None:
    words = split_words(text)
    if not words:
        assert not text.strip()
        return
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)) | {0, len(text)})
    spans = list(itertools.pairwise(cuts))
    values = np.arange(1.0, len(spans) + 1.0)
    assert gather(words, spans, values).sum() == pytest.approx(values.sum())


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("Profit rose, sales fell.", {0}, "rose, sales fell."),
        ("Profit rose, sales fell.", {1, 2}, "Profit sales fell."),
        ("Profit rose, sales fell.", {5}, "Profit rose, sales fell"),
        ("a (b) c", {1, 3}, "a b c"),
        ("a/ b", {1}, "a b"),
        ("营业利润", {0, 3}, "业利"),
        ("营ABC利", {0}, "ABC利"),
        ("x", {0}, ""),
    ],
)
def test_words_taken_away_leave_a_text_of_the_others(text: str, gone: set[int], left: str) -> None:
    assert without(text, split_words(text), gone) == left


def test_words_do_not_grow_together() -> None:
    words = split_words("up-,down")
    assert [word.text for word in words] == ["up", "-,", "down"]
    assert without("up-,down", words, {1}) == "up down"


def test_a_stand_in_takes_the_place_of_each_word() -> None:
    assert without("Profit rose.", split_words("Profit rose."), {1}, stand_in="[MASK]") == "Profit [MASK]."
