"""Where the right answer is known exactly: an engine in which every word adds its own number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.engine.explain.bag import BagEngine

from tapereader.bundle import Bundle, Calibration, LabelContract, decode
from tapereader.core.errors import ConfigError, DataError
from tapereader.engine import Engine
from tapereader.engine.explain import asked_columns, label_scores, nearest, occlude, split_words

TEXT = "profit rose but demand fell"
WEIGHTS = {"profit": (0.0, 0.5), "rose": (0.0, 2.0), "fell": (0.0, -1.5), "demand": (0.25, 0.0)}


def test_a_word_weighs_what_it_adds() -> None:
    found = occlude(BagEngine(WEIGHTS), TEXT, None, split_words(TEXT))  # type: ignore[arg-type]  # a stand-in
    assert found[:, 1] == pytest.approx([0.5, 2.0, 0.0, -0.25, -1.5])
    assert found[:, 0] == pytest.approx(-found[:, 1])


def test_weights_are_of_the_calibrated_probability() -> None:
    engine: Any = BagEngine(WEIGHTS, calibration=Calibration(temperature=2.0))
    assert occlude(engine, TEXT, None, split_words(TEXT))[1, 1] == pytest.approx(1.0)


def test_each_label_of_several_has_its_own_weights() -> None:
    engine: Any = BagEngine({"fraud": (3.0, 0.0), "unpaid": (0.0, 2.0)}, kind="multi-label")
    assert occlude(engine, "fraud and unpaid", None, split_words("fraud and unpaid")).tolist() == [
        [3.0, 0.0], [0.0, 0.0], [0.0, 2.0],
    ]  # fmt: skip


def test_a_regression_is_explained_in_units_of_its_target() -> None:
    engine: Any = BagEngine({"rose": (2.0,)}, kind="regression", calibration=Calibration(target_scale=10.0))
    assert occlude(engine, "it rose", None, split_words("it rose")).tolist() == [[0.0], [20.0]]


def test_chinese_is_weighed_character_by_character() -> None:
    engine: Any = BagEngine({"涨": (0.0, 1.0), "跌": (0.0, -1.0)})
    assert occlude(engine, "不涨反跌", None, split_words("不涨反跌"))[:, 1].tolist() == [0.0, 1.0, 0.0, -1.0]


def test_a_text_of_one_word_is_held_against_a_full_stop() -> None:
    engine: Any = BagEngine(WEIGHTS)
    assert occlude(engine, "rose", None, split_words("rose"))[:, 1].tolist() == [2.0]
    assert engine.asked == ["rose", "."]


def test_neighbours_in_a_long_text_share_what_they_weigh_together() -> None:
    text = " ".join(["rose", *["of"] * 798, "rose"])
    engine: Any = BagEngine(WEIGHTS)
    found = occlude(engine, text, None, split_words(text))[:, 1]
    assert len(engine.asked) == 401
    assert found[[0, 1, 2, 798, 799]].tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]


def test_only_words_of_the_text_are_taken_never_those_of_the_pair(make_bundle: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", has_pair=True)
    engine = Engine(bundle, threads=1)
    words = split_words("profit rose")
    found = occlude(engine, "profit rose", "acme", words)
    whole, left = engine.logits(["profit rose", "profit"], ["acme", "acme"])
    expected = label_scores(bundle.contract, np.array([whole, left]), bundle.calibration)
    assert found.shape == (2, 3)
    assert found[1] == pytest.approx(expected[0] - expected[1], abs=1e-5)


def test_a_long_document_is_taken_apart_across_its_chunks(tiny_bundle: Path) -> None:
    """The network averages word vectors, so every copy of a word weighs the same, in whichever chunk it stands."""
    engine = Engine(tiny_bundle, threads=1)
    text = "profit rose " * 20
    assert len(engine.bundle.tokenizer().encode([text])) > 2
    found = occlude(engine, text, None, split_words(text))
    assert np.abs(found[0::2] - found[0]).max() < 0.05 * np.abs(found).max()


@pytest.mark.parametrize("kind", ["single-label", "multi-label", "ordinal"])
def test_a_score_is_the_logit_of_the_probability(kind: Any) -> None:
    names = ("a", "b", "c", "d")
    contract, calibration = LabelContract(kind=kind, names=names), Calibration(temperature=1.7)
    logits = np.sort(np.random.default_rng(1).normal(size=(20, 4)), axis=1)[:, ::-1]
    logits = logits[:, :3] if kind == "ordinal" else logits
    scores = label_scores(contract, logits, calibration)
    assert 1.0 / (1.0 + np.exp(-scores)) == pytest.approx(decode(contract, logits, calibration))


def test_the_bundles_own_answer_is_explained_unless_a_label_is_named() -> None:
    contract = LabelContract(kind="multi-label", names=("fraud", "default", "merger"))
    outputs = np.array([[0.9, 0.1, 0.8], [0.2, 0.3, 0.1]])
    assert asked_columns(contract, outputs, Calibration(), None) == [(0, 2), (1,)]
    assert asked_columns(contract, outputs, Calibration(), "merger") == [(2,), (2,)]
    single = LabelContract(kind="single-label", names=("a", "b", "c"))
    assert asked_columns(single, outputs, Calibration(), None) == [(0,), (1,)]
    with pytest.raises(ConfigError) as refused:
        asked_columns(single, outputs, Calibration(), "d")
    assert str(refused.value) == "A label must be one of a, b, c; got 'd'."


def test_the_nearest_text_of_a_known_one_is_itself(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    from tests.tiny_models import labelled_rows

    engine = Engine(make_bundle(tmp_path / "b"), threads=1)
    known = labelled_rows(n=12)
    found = nearest(engine, known.texts[3:5], None, known, count=3)
    assert [len(near) for near in found] == [3, 3]
    for number, near in enumerate(found, start=3):
        assert near[0].similarity == pytest.approx(1.0, abs=1e-6)
        assert [one.similarity for one in near] == sorted((one.similarity for one in near), reverse=True)
        assert near[0].label == str(known.frame["label"][near[0].row - 1])
        assert known.texts[near[0].row - 1] == near[0].text
        assert engine.embeddings([near[0].text]) == pytest.approx(engine.embeddings([known.texts[number]]), abs=1e-6)
    with pytest.raises(DataError) as refused:
        nearest(engine, ["profit"], None, known, count=13)
    assert str(refused.value) == "There must be at least 13 labelled texts to find 13 neighbours; got 12."
