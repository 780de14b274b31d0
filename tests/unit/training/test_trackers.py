"""A tracker that is not installed is named before anything is learnt."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.core.errors import ConfigError
from tapereader.training import trainer
from tapereader.training.trainer import finetune


def test_what_is_not_installed_is_refused_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else object())
    with pytest.raises(ConfigError) as caught:
        finetune(labelled_rows(), None, recipe(tmp_path, trackers=("tensorboard", "mlflow")))
    assert str(caught.value) == (
        "`trackers` must be installed before a training; got mlflow, not there. Run: pip install mlflow."
    )


@pytest.mark.parametrize(("before", "after"), [(None, "offline"), ("online", "online")])
def test_weights_and_biases_stays_on_the_machine_unless_asked(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setenv("WANDB_MODE", before or "")
    if before is None:
        monkeypatch.delenv("WANDB_MODE")
    trainer._refuse_missing(("wandb",))
    assert os.environ["WANDB_MODE"] == after


def test_mlflow_does_not_report_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    trainer._refuse_missing(("mlflow",))
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_tensorboard_draws_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="curves need tensorboard")
    config = recipe(write_model(tmp_path / "bert"), epochs=1, trackers=("tensorboard",))
    finetune(labelled_rows(n=24), None, config, work_dir=tmp_path / "work")
    assert list((tmp_path / "work").rglob("events.out.tfevents.*"))
