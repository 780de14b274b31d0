"""Majority, word list, TF-IDF and frozen embedding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tapereader.bundle import LabelContract
from tapereader.core.errors import DataError
from tapereader.training import wordlists
from tapereader.training.baselines import (
    BASELINES,
    FrozenEmbedding,
    Majority,
    TfidfLinear,
    WordList,
    count_chinese,
    count_english,
    is_chinese,
)
from tapereader.training.linear import LinearHead

TWO = LabelContract(kind="single-label", names=("negative", "positive"))
THREE = LabelContract(kind="single-label", names=("negative", "neutral", "positive"))
FLAGS = LabelContract(kind="multi-label", names=("merger", "fraud", "never"))
SCORE = LabelContract(kind="regression", names=("score",))

UP = ["{0} profit rose strongly", "{0} reports record growth", "{0} shares jumped on good results"]
DOWN = ["{0} warns of heavy losses", "{0} shares plunged", "{0} profit fell, weak demand"]
NAMES = [f"Firm{i}" for i in range(20)]


def headlines() -> tuple[list[str], np.ndarray]:
    texts = [form.format(name) for name in NAMES for form in (*UP, *DOWN)]
    return texts, np.asarray([1, 1, 1, 0, 0, 0] * len(NAMES))


def test_the_table_is_in_the_order_of_every_page() -> None:
    assert list(BASELINES) == ["majority", "word-list", "tfidf", "frozen-embedding"]


def test_majority_says_the_shares_of_training() -> None:
    rule = Majority(THREE).fit(["a", "b", "c", "d"], np.asarray([2, 2, 0, 2]))
    assert rule.outputs(["x", "y"]).tolist() == [[0.25, 0.0, 0.75]] * 2
    assert Majority(SCORE).fit(["a", "b"], np.asarray([1.0, 2.0])).outputs(["x"]).tolist() == [1.5]
    flags = Majority(FLAGS).fit(["a", "b"], np.asarray([[1.0, 0, 0], [1, 1, 0]]))
    assert flags.outputs(["x"]).tolist() == [[1.0, 0.5, 0.0]]


@pytest.mark.parametrize("rule", [TfidfLinear, WordList])
def test_a_rule_learns_headlines_and_answers_unseen_names(rule: type[TfidfLinear] | type[WordList]) -> None:
    texts, targets = headlines()
    given = rule(TWO, language="en").fit(texts, targets).outputs(["Acme profit rose", "Acme warns of losses"])
    assert given.shape == (2, 2)
    assert given.sum(axis=1) == pytest.approx(1.0)
    assert given.argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("rule", [TfidfLinear, WordList])
def test_a_rule_learns_chinese(rule: type[TfidfLinear] | type[WordList]) -> None:
    texts = [
        f"{name}公司{word}"
        for name in "甲乙丙丁戊己庚辛"
        for word in ("净利润大涨", "业绩暴跌亏损", "股价上涨", "被立案调查")
    ]
    targets = np.asarray([1, 0, 1, 0] * 8)
    given = rule(TWO, language="unknown").fit(texts, targets).outputs(["壬公司净利润上涨", "壬公司亏损"])
    assert given.argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("rule", [TfidfLinear, WordList])
def test_one_headline_means_different_things_to_its_two_targets(rule: type[TfidfLinear] | type[WordList]) -> None:
    texts, pairs, values = [], [], []
    for winner, loser in zip(NAMES, reversed(NAMES), strict=True):
        if winner == loser:
            continue
        filler = "after a long and rather quiet day on the market in the city"
        texts += [f"{winner} shares jumped {filler} while shares plunged at {loser}"] * 2
        pairs += [winner, loser]
        values += [1.0, -1.0]
    fitted = rule(SCORE, language="en").fit(texts, np.asarray(values), pairs=pairs)
    text = (
        "Acme shares jumped after a long and rather quiet day on the market in the city while shares plunged at Globex"
    )
    up, down = fitted.outputs([text, text], pairs=["Acme", "Globex"])
    assert up > down + 0.5


def test_a_shortened_company_name_is_still_the_target() -> None:
    texts = ["Tesco shares rose", "Tesco shares fell"] * 10
    fitted = TfidfLinear(SCORE, language="en").fit(texts, np.asarray([1.0, -1.0] * 10), pairs=["Tesco PLC"] * 20)
    up, down = fitted.outputs(["Aviva shares rose", "Aviva shares fell"], pairs=["Aviva plc", "Aviva plc"])
    assert up > down


def test_targets_never_named_in_the_text_are_no_failure() -> None:
    texts, targets = headlines()
    fitted = TfidfLinear(TWO, language="en").fit(texts, targets, pairs=["ZZZ"] * len(texts))
    assert fitted.outputs(["profit rose"], pairs=["ZZZ"]).argmax(axis=1).tolist() == [1]


def test_flags_without_a_single_case_stay_at_zero() -> None:
    texts = ["merger agreed", "fraud found", "merger with fraud", "nothing new"] * 10
    targets = np.asarray([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]] * 10)
    given = TfidfLinear(FLAGS, language="en").fit(texts, targets).outputs(["merger", "fraud", "quiet"])
    assert (given[:, 2] == 0).all()
    assert (given[:, :2] >= 0.5).tolist() == [[True, False], [False, True], [False, False]]


def test_a_class_missing_from_training_gets_probability_zero() -> None:
    texts, targets = headlines()
    given = TfidfLinear(THREE, language="en").fit(texts, targets * 2).outputs(["profit rose"])
    assert given.shape == (1, 3)
    assert given[0, 1] == 0
    assert given.sum() == pytest.approx(1.0)


def test_fits_are_repeatable() -> None:
    texts, targets = headlines()
    given = [TfidfLinear(TWO, language="en", seed=3).fit(texts, targets).outputs(texts) for _ in range(2)]
    assert np.array_equal(*given)


def test_a_frozen_embedding_takes_whatever_embeds() -> None:
    texts, targets = headlines()

    def embed(seen: list[str], pairs: list[str] | None) -> np.ndarray:
        assert pairs is None
        return np.asarray([[float("profit" in text), float("fell" in text or "warns" in text), 1.0] for text in seen])

    fitted = FrozenEmbedding(TWO, embed=embed).fit(texts, targets)
    assert fitted.outputs(["profit up", "profit fell"]).argmax(axis=1).tolist() == [1, 0]


def test_the_penalty_is_chosen_by_the_rows_and_groups_stay_together() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 200)
    noise = rng.normal(size=(200, 60))
    assert LinearHead(TWO, strengths=(1e-3, 1e3)).fit(noise + 0.15 * targets[:, None], targets).strength == 1e-3
    # Ten copies of each row: apart, the copies give the answer away and any strength does; together, noise is noise.
    copies, groups = np.repeat(noise[:30], 10, axis=0), np.repeat(np.arange(30), 10)
    random = np.repeat(rng.integers(0, 2, 30), 10)
    apart = LinearHead(TWO, strengths=(1e-4, 1e4)).fit(copies, random)
    assert apart.strength == 1e4
    head = LinearHead(TWO, strengths=(1e-4, 1e4))
    inner = head._inner_split(random, groups)
    assert inner is not None
    assert not set(groups[inner[0]]) & set(groups[inner[1]])


def test_word_counts_know_inflections_and_negation() -> None:
    plain, negated = count_english("Sales improved"), count_english("Sales have not improved")
    assert plain[0] == pytest.approx(1 / 2)
    assert plain[-2] > 0 > negated[-2]
    assert count_english("")[:-1] == [0.0] * 9
    assert count_chinese("利润大涨")[-2] > 0 > count_chinese("利润没有大涨")[-2]
    assert count_chinese("被立案调查")[1] > 0


def test_lists_do_not_contradict_themselves() -> None:
    for lists in (wordlists.english_words(), wordlists.chinese_words()):
        assert not set(lists["positive"]) & set(lists["negative"])
    sizes = {name: len(words) for name, words in wordlists.chinese_words().items()}
    assert sizes["positive"] >= 80
    assert sizes["negative"] >= 80
    assert {"rising", "rose", "losses", "downgraded", "unprofitable"} <= frozenset().union(
        *wordlists.english_words().values()
    )


def test_language_is_read_off_the_texts_where_it_is_not_stated() -> None:
    assert is_chinese(["央行宣布降准 0.5 个百分点"])
    assert not is_chinese(["Alibaba (阿里巴巴) reports earnings for the quarter"])
    assert not is_chinese(["12.5 %"])
    assert is_chinese(["ETF"], language="zh")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Majority(TWO).outputs(["a"]), "A baseline must be fitted before it answers. Call `fit`."),
        (
            lambda: TfidfLinear(TWO).fit([], np.zeros(0, dtype=int)),
            "A baseline must be given at least one text; got none.",
        ),
        (
            lambda: WordList(TWO).fit(["a", "b"], np.zeros(1, dtype=int)),
            "`targets` must have one entry a text, 2; got 1.",
        ),
        (
            lambda: TfidfLinear(TWO).fit(["a b", "c d"], np.asarray([0, 1])).outputs(["a"], pairs=["b"]),
            "A baseline fitted with named targets must be asked with them, and the other way round.",
        ),
        (
            lambda: LinearHead(TWO).outputs(np.zeros((1, 1))),
            "A linear head must be fitted before it answers. Call `fit`.",
        ),
        (
            lambda: LinearHead(TWO).fit(np.zeros((2, 1)), np.zeros(3, dtype=int)),
            "Features and targets must have the same rows, at least one; got 2 and 3.",
        ),
    ],
)
def test_what_a_baseline_cannot_do_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message
