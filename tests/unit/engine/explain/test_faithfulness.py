"""The true explanation of a known engine beats random orders; a random one does not, and the reverse loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.unit.engine.explain.bag import BagEngine

from tapereader.bundle import Calibration
from tapereader.engine.explain import (
    Faithfulness,
    measure_faithfulness,
    occlude,
    split_words,
    summarise_faithfulness,
)

RANDOM = np.random.default_rng(3)
VOCABULARY = [f"w{n}" for n in range(30)]
ENGINE: Any = BagEngine(
    {word: (0.0, float(value)) for word, value in zip(VOCABULARY, RANDOM.normal(size=30), strict=True)}
)
TEXTS = [" ".join(RANDOM.choice(VOCABULARY, size=9, replace=False)) for _ in range(40)]


def judge(text: str, attributions: Any, seed: int = 0, engine: Any = ENGINE) -> Faithfulness:
    found = measure_faithfulness(
        engine, text, None, split_words(text), np.asarray(attributions), 1, n_random=20, seed=seed
    )
    assert found is not None
    return found


def true_weights(text: str) -> Any:
    return occlude(ENGINE, text, None, split_words(text))[:, 1]


def test_the_areas_of_two_words_by_hand() -> None:
    """Probabilities sigmoid(2), sigmoid(0) = 0.5 and back; trapezoids of width one half."""
    engine: Any = BagEngine({"rose": (0.0, 2.0)})
    both = 1.0 / (1.0 + np.exp(-2.0))
    found = judge("rose today", [2.0, 0.0], engine=engine)
    assert found.deletion == pytest.approx((both + 0.5) / 4 + 0.5 / 2)
    assert found.insertion == pytest.approx((0.5 + both) / 4 + both / 2)
    assert found.n_words == 2
    # Each random order is one of the two: the other one leaves the word in for one step more.
    assert found.random_deletion - found.deletion == pytest.approx(found.deletion_gain)
    assert 0.0 < found.deletion_gain < (both - 0.5) / 2 + 1e-12
    assert found.gain == pytest.approx((found.deletion_gain + found.insertion_gain) / 2)


def test_the_true_explanation_beats_random_orders() -> None:
    found = [judge(text, true_weights(text), seed) for seed, text in enumerate(TEXTS)]
    summary = summarise_faithfulness(found, texts=range(len(found)), seed=0)
    assert summary is not None
    assert summary.gain.low > 0.1
    assert summary.deletion_gain.low > 0.1
    assert summary.insertion_gain.low > 0.1
    assert np.mean([one.beaten for one in found]) > 0.97


def test_a_random_explanation_does_not_beat_random_orders() -> None:
    found = [judge(text, RANDOM.normal(size=9), seed) for seed, text in enumerate(TEXTS)]
    summary = summarise_faithfulness(found, texts=range(len(found)), seed=0)
    assert summary is not None
    assert summary.gain.low < 0.0 < summary.gain.high
    assert 0.3 < np.mean([one.beaten for one in found]) < 0.7


def test_the_reverse_of_the_true_explanation_loses_to_random_orders() -> None:
    found = [judge(text, -true_weights(text), seed) for seed, text in enumerate(TEXTS)]
    assert max(one.gain for one in found) < 0.0


def test_no_explanation_at_all_is_a_random_order_and_not_the_order_of_the_text() -> None:
    """Texts in which the first word decides would else make equal weights look good."""
    engine: Any = BagEngine({"rose": (0.0, 3.0)})
    found = [judge("rose a b c d e f g", np.zeros(8), seed, engine) for seed in range(40)]
    assert abs(np.mean([one.gain for one in found])) < 0.06


def test_the_same_seed_gives_the_same_numbers() -> None:
    weights = true_weights(TEXTS[0])
    assert judge(TEXTS[0], weights, 5) == judge(TEXTS[0], weights, 5)
    assert judge(TEXTS[0], weights, 5) != judge(TEXTS[0], weights, 6)


def test_a_regression_is_judged_in_standard_deviations() -> None:
    calibration = Calibration(target_mean=50.0, target_scale=10.0)
    engine: Any = BagEngine({"rose": (2.0,)}, kind="regression", calibration=calibration)
    found = measure_faithfulness(
        engine, "it rose", None, split_words("it rose"), np.array([0.0, 20.0]), 0, n_random=20, seed=0
    )
    assert found is not None
    assert found.insertion == pytest.approx(1.5)
    assert found.deletion == pytest.approx(0.5)


def test_a_text_of_one_word_has_one_order_and_no_score() -> None:
    assert measure_faithfulness(ENGINE, "w1", None, split_words("w1"), np.ones(1), 1, n_random=20, seed=0) is None
    assert summarise_faithfulness([], texts=[], seed=0) is None


def test_the_labels_of_one_text_are_one_piece_of_evidence() -> None:
    """Each text counted five times has the interval of the texts counted once."""
    found = [judge(text, true_weights(text)) for text in TEXTS[:8]]
    once = summarise_faithfulness(found, texts=range(8), seed=0)
    often = summarise_faithfulness(found * 5, texts=[*range(8)] * 5, seed=0)
    assert once is not None
    assert often is not None
    assert (often.gain.low, often.gain.high) == pytest.approx((once.gain.low, once.gain.high))
