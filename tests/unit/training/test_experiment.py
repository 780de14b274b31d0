"""One trial: each decision on its own part, the test part answered once, everything beside its baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="a trial trains a network, which needs the extra train")

from tests.tiny_models import labelled_rows, recipe, same_weights, write_model

from tapereader.bundle import Calibration, decode
from tapereader.core.errors import ConfigError
from tapereader.dataset.parts import Split
from tapereader.sources import LabelledText
from tapereader.training.calibration import fit_calibration
from tapereader.training.experiment import BEFORE, JudgingConfig, calibrate, run_trial
from tapereader.training.trainer import finetune

SPLIT = Split(
    name="by hand", train=np.arange(0, 60), validation=np.arange(60, 84), test=np.arange(84, 105), groups_straddling=0,
    id="0" * 12,
)  # fmt: skip
PLAIN = JudgingConfig(baselines=("majority", "tfidf"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def trial(bert: Path) -> Any:
    return run_trial(labelled_rows(n=105), SPLIT, recipe(bert, epochs=3), JudgingConfig())


def test_it_learns_from_the_train_part_alone(trial: Any, bert: Path) -> None:
    alone = finetune(labelled_rows(n=105).take(SPLIT.train), None, recipe(bert, epochs=3))
    assert same_weights(trial.model, alone)


def test_it_is_calibrated_on_the_validation_part_alone(trial: Any) -> None:
    held_out = labelled_rows(n=105).take(SPLIT.validation)
    by_hand = fit_calibration(held_out.card.contract, trial.model.logits(held_out.texts), held_out.targets())
    assert trial.calibration == by_hand
    assert trial.calibration.n == 24
    test = labelled_rows(n=105).take(SPLIT.test)
    expected = decode(test.card.contract, trial.model.logits(test.texts), by_hand)
    assert np.array_equal(trial.outputs, expected)


def test_it_is_calibrated_on_one_row_of_each_group(trial: Any, bert: Path) -> None:
    groups = np.arange(105) // 3  # 8 groups of validation rows: too few for 0.9
    bound = run_trial(
        labelled_rows(n=105), SPLIT, recipe(bert, epochs=3), JudgingConfig(baselines=(), before=False), groups=groups
    )
    assert (bound.calibration.coverage, bound.calibration.n) == (None, 24)
    assert bound.calibration.temperature == trial.calibration.temperature


def test_everything_it_is_shown_beside_answers_the_same_rows(trial: Any) -> None:
    assert set(trial.others) == {"majority", "word-list", "tfidf", "frozen-embedding", BEFORE}
    for outputs in trial.others.values():
        assert outputs.shape == (21, 3)
        assert outputs.sum(axis=1) == pytest.approx(1.0)
    # A network with an output layer that has learnt nothing is near a third for each label, and is not ours.
    assert np.abs(trial.others[BEFORE] - 1 / 3).max() < 0.35
    assert not np.allclose(trial.others[BEFORE], trial.outputs)


def test_labels_of_the_test_part_change_nothing(trial: Any, bert: Path) -> None:
    rows = labelled_rows(n=105)
    frame = rows.frame.copy()
    frame.loc[SPLIT.test, "label"] = np.roll(frame.loc[SPLIT.test, "label"].to_numpy(), 1)
    poisoned = run_trial(LabelledText(rows.card, frame), SPLIT, recipe(bert, epochs=3), JudgingConfig())
    assert np.array_equal(poisoned.outputs, trial.outputs)
    assert poisoned.calibration == trial.calibration
    assert all(np.array_equal(poisoned.others[name], trial.others[name]) for name in trial.others)


def test_without_validation_rows_nothing_is_calibrated(bert: Path) -> None:
    bare = replace(SPLIT, validation=np.arange(0))
    found = run_trial(labelled_rows(n=105), bare, recipe(bert, epochs=1), PLAIN)
    assert found.calibration == Calibration()


def test_numbers_keep_their_scale_through_calibration(bert: Path) -> None:
    rows = labelled_rows("regression", n=105)
    found = run_trial(rows, SPLIT, recipe(bert, epochs=2), JudgingConfig(baselines=("majority",)))
    assert found.calibration.target_mean == pytest.approx(10.0)
    assert found.outputs.shape == (21,)
    assert 0.0 < found.outputs.mean() < 20.0
    assert found.calibration == calibrate(found.model, rows.take(SPLIT.validation), JudgingConfig())


def test_only_what_was_asked_for_is_computed(bert: Path) -> None:
    found = run_trial(labelled_rows(n=105), SPLIT, recipe(bert, epochs=1), JudgingConfig(baselines=(), before=False))
    assert found.others == {}


def test_an_unknown_baseline_is_refused_by_name_before_anything_is_learnt(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapereader.training.experiment.finetune", lambda *_, **__: pytest.fail("it learnt"))
    with pytest.raises(ConfigError) as caught:
        run_trial(labelled_rows(n=105), SPLIT, recipe(bert, epochs=1), JudgingConfig(baselines=("bert", "tfidf")))
    assert str(caught.value) == ("`baselines` must be among majority, word-list, tfidf, frozen-embedding; got bert.")
