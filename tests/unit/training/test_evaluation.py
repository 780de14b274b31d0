"""Evaluations with intervals, and comparisons of two models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tapereader import metrics
from tapereader.bundle import LabelContract
from tapereader.core.errors import ConfigError, DataError
from tapereader.training.evaluation import Evaluation, compare, evaluate_outputs, headline_metric

THREE = LabelContract(kind="single-label", names=("down", "flat", "up"))
RANKS = LabelContract(kind="ordinal", names=("low", "middle", "high"))
FLAGS = LabelContract(kind="multi-label", names=("fraud", "default"))
SCORE = LabelContract(kind="regression", names=("score",))
WORDS = LabelContract(kind="generation", names=("down", "up"))


def labelled(n: int = 300, seed: int = 0, lift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    raw = np.exp(rng.normal(size=(n, 3)) + lift * np.eye(3)[truth])
    return truth, raw / raw.sum(axis=1, keepdims=True)


def test_single_label_scores_are_those_of_the_metrics() -> None:
    truth, stated = labelled()
    found = evaluate_outputs(THREE, truth, stated)
    assert found.headline == headline_metric(THREE) == "macro_f1"
    assert found.value() == pytest.approx(metrics.macro_f1(truth, stated.argmax(axis=1)))
    assert found.value("brier") == pytest.approx(metrics.brier(truth, stated))
    right = stated.argmax(axis=1) == truth
    assert found.value("ece") == pytest.approx(metrics.expected_calibration_error(stated.max(axis=1), right))
    assert found.confusion == tuple(
        map(tuple, metrics.confusion_matrix(truth, stated.argmax(axis=1), n_classes=3).tolist())
    )
    for name, score in found.metrics.items():
        assert score["low"] <= score["value"] <= score["high"], name
    assert sum(point["n"] for point in found.reliability) == found.n == 300


def test_groups_widen_the_interval_and_are_counted() -> None:
    truth, stated = labelled(60)
    truth, stated, groups = np.repeat(truth, 5), np.repeat(stated, 5, axis=0), np.repeat(np.arange(60), 5)
    apart = evaluate_outputs(THREE, truth, stated).metrics["accuracy"]
    together = evaluate_outputs(THREE, truth, stated, groups=groups)
    assert together.n_groups == 60
    wide = together.metrics["accuracy"]
    assert wide["high"] - wide["low"] > 1.5 * (apart["high"] - apart["low"])


def test_it_goes_through_json_and_back() -> None:
    truth, stated = labelled(40)
    sets = [("down", "up")] * 40
    found = evaluate_outputs(THREE, truth, stated, prediction_sets=sets, promised=0.9, abstained=stated.max(1) < 0.5)
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_coverage_and_abstention_are_measured() -> None:
    truth = np.asarray([0, 1, 2, 2])
    stated = np.asarray([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])
    found = evaluate_outputs(
        THREE,
        truth,
        stated,
        prediction_sets=[("down",), ("down", "flat"), ("up",), ("down",)],
        promised=0.8,
        abstained=[False, True, False, True],
    )
    assert found.coverage is not None
    assert (found.coverage["value"], found.coverage["promised"], found.coverage["mean_size"]) == (0.75, 0.8, 1.25)
    assert found.abstention is not None
    assert (found.abstention["rate"], found.abstention["n_kept"]) == (0.5, 2)
    assert found.abstention["kept_accuracy"]["value"] == 1.0
    assert found.abstention["all"]["accuracy"] == 0.5


def test_multi_label_sets_must_hold_every_true_label() -> None:
    truth = np.asarray([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    stated = np.asarray([[0.9, 0.2], [0.9, 0.1], [0.1, 0.1]])
    found = evaluate_outputs(FLAGS, truth, stated, prediction_sets=[("fraud",), ("fraud",), ()])
    assert found.coverage is not None
    assert found.coverage["value"] == pytest.approx(2 / 3)
    assert found.value("exact_match") == pytest.approx(2 / 3)
    looser = evaluate_outputs(FLAGS, truth, stated, threshold=0.15)
    assert looser.value("exact_match") == 1.0
    assert found.confusion is None


def test_regression_and_ordinal_have_their_own_scores() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=80)
    given = truth + rng.normal(scale=0.3, size=80)
    found = evaluate_outputs(SCORE, truth, given, prediction_sets=(given - 0.5, given + 0.5), promised=0.9)
    assert set(found.metrics) == {"r2", "mae", "rmse", "pearson", "cosine", "spearman"}
    assert found.coverage is not None
    assert found.coverage["mean_size"] == pytest.approx(1.0)
    assert found.coverage["value"] == pytest.approx(np.mean(np.abs(truth - given) <= 0.5))
    labels, stated = labelled()
    ranks = evaluate_outputs(RANKS, labels, stated)
    assert ranks.value() == pytest.approx(metrics.quadratic_kappa(labels, stated.argmax(1), n_classes=3))


def test_an_unreadable_answer_is_counted_apart() -> None:
    found = evaluate_outputs(WORDS, np.asarray([0, 1]), np.asarray([[1.0, 0.0], [0.0, 0.0]]))
    assert found.value("unparsed") == 0.5
    assert found.value("accuracy") == 0.5


def test_what_is_undefined_is_none_and_valid_json() -> None:
    found = evaluate_outputs(SCORE, np.ones(5), np.arange(5.0))
    assert found.metrics["r2"] == {"value": None, "low": None, "high": None}
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_better_model_is_found_better_and_an_equal_one_unclear() -> None:
    truth, stated = labelled(600, lift=1.0)
    _, sharper = labelled(600, lift=3.0)
    found = compare(THREE, truth, sharper, stated)
    assert (found.better, found.metric) == ("ours", "macro_f1")
    assert found.difference == pytest.approx(found.ours - found.theirs)
    assert found.mcnemar_p is not None
    assert max(found.p_value, found.mcnemar_p) < 0.01
    assert compare(THREE, truth, stated, sharper).better == "theirs"
    assert compare(THREE, truth, stated, sharper, metric="brier").better == "theirs"
    same = compare(THREE, truth, stated, stated)
    assert (same.better, same.difference, same.p_value, same.mcnemar_p) == ("unclear", 0.0, 1.0, 1.0)


def test_multi_label_models_may_have_thresholds_of_their_own() -> None:
    truth = np.asarray([[1.0, 0.0], [0.0, 1.0]] * 20)
    stated = np.where(truth == 1, 0.4, 0.1)
    found = compare(FLAGS, truth, stated, stated, thresholds=(0.3, 0.5), metric="exact_match")
    assert (found.ours, found.theirs, found.mcnemar_p) == (1.0, 0.0, None)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: evaluate_outputs(THREE, np.zeros(2, dtype=int), np.full((3, 3), 1 / 3)),
            DataError,
            "Targets must have the shape (3,) of their outputs; got (2,).",
        ),
        (
            lambda: evaluate_outputs(THREE, np.zeros(0, dtype=int), np.zeros((0, 3))),
            DataError,
            "There must be at least one row to evaluate; got none.",
        ),
        (
            lambda: evaluate_outputs(THREE, np.zeros(1, dtype=int), np.ones((1, 3)) / 3, prediction_sets=[("up",)] * 2),
            DataError,
            "`prediction_sets` must have one entry a row, 1; got 2.",
        ),
        (
            lambda: evaluate_outputs(THREE, np.zeros(1, dtype=int), np.ones((1, 3)) / 3, abstained=[True, False]),
            DataError,
            "`abstained` must have one entry a row, 1; got shape (2,).",
        ),
        (
            lambda: compare(SCORE, np.ones(2), np.ones(2), np.ones(2), metric="accuracy"),
            ConfigError,
            "`metric` of a regression comparison must be one of r2, mae, rmse, pearson, cosine; got 'accuracy'.",
        ),
        (
            lambda: Evaluation.from_dict({"kind": "ordinal"}),
            DataError,
            "An evaluation must hold exactly the fields of its version; 'confusion'.",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_judging_loads_no_deep_learning_library() -> None:
    code = (
        "import sys;"
        "from tapereader.training import evaluate_outputs, compare, fit_calibration, BASELINES, score_slices;"
        "import tapereader.reports, tapereader.governance;"
        "print(sorted(m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
