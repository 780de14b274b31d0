"""``tapereader search``: what it tells, and that its options reach the recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a search needs the extra train")

from tests.tiny_models import labelled_rows, write_model

from tapereader.cli.app import main
from tapereader.recipes.search_config import build_config
from tapereader.recipes.train_config import build_config as train_config


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(words)
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


def test_recipes_are_tried_and_the_best_can_be_trained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "found"
    labelled_rows(n=60).frame.to_csv(rows, index=False)
    words = ["search", str(rows), "--text", "text", "--label", "label", "--out", str(out),
             "--backbone", str(write_model(tmp_path / "network")), "--seed", "1",
             "--set", "train.finetune.precision=float32", "--set", "train.finetune.threads=1",
             "--set", "train.finetune.max_length=32",
             "--set", "train.split.near_duplicates=1.0", "--set", "train.split.validation=0.3",
             "--set", "search.space.epochs=[1, 2]"]  # fmt: skip
    code, told, notes = call(capsys, *words, "--trials", "2")
    assert code == 0, notes
    lines = told.splitlines()
    assert lines[0] == "2 trials finished, 0 stopped early; the best by validation score:"
    assert lines[1].split()[:3] == ["trial", "score", "learning_rate"]
    assert lines[-1] == f"  tapereader train --config {out / 'best.yaml'} --out DIR"
    best = train_config(out / "best.yaml", profile="fast", values={})
    assert (best.dataset, best.columns.label) == (str(rows), "label")
    assert best.finetune.epochs in (1, 2)

    code, told, _ = call(capsys, *words, "--trials", "3", "--json")
    answer = json.loads(told)
    assert code == 0
    assert [trial["number"] for trial in answer["trials"]] == [1, 2, 3]
    assert answer["best"]["finetune"]["epochs"] in (1, 2)


def test_scores_on_text_that_a_program_wrote_are_marked_wherever_they_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = labelled_rows(n=60)
    made_up = type(rows)(replace(rows.card, synthetic=True), rows.frame)
    monkeypatch.setattr("tapereader.recipes.search.open_labelled", lambda *_, **__: made_up)
    words = ["search", "made-up.csv", "--out", str(tmp_path / "found"), "--trials", "1",
             "--backbone", str(write_model(tmp_path / "network")), "--set", "train.finetune.precision=float32",
             "--set", "train.finetune.threads=1", "--set", "train.finetune.epochs=1",
             "--set", "train.finetune.max_length=32",
             "--set", "train.split.near_duplicates=1.0", "--set", "train.split.validation=0.3"]  # fmt: skip
    code, told, notes = call(capsys, *words)
    assert code == 0, notes
    mark = "Synthetic data, written by a program: these scores say nothing about the world."
    assert told.splitlines()[0] == mark
    head = (tmp_path / "found" / "best.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert head == "# Synthetic data, written by a program: the score says nothing about the world."
    code, told, _ = call(capsys, *words, "--json")
    assert json.loads(told)["synthetic"] is True


def test_all_faults_of_both_parts_are_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("--set", "search.trails=5", "--set", "train.finetune.epochs=0")
    code, out, err = call(capsys, "search", "fomc-stance", "--out", str(tmp_path / "b"), *words)
    assert (code, out) == (2, "")
    assert err == (
        "Error: SearchRunConfig has 2 problems:\n"
        "  train.finetune.epochs: must be greater than or equal to 1; got 0\n"
        "  search.trails: no such field; did you mean trials?\n"
    )


def test_the_profile_stands_below_the_file_and_the_file_below_the_options(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(
        "train: {dataset: cn-finfe, finetune: {epochs: 7}}\nsearch: {trials: 9, startup_trials: 2}\n", encoding="utf-8"
    )
    values = {"train": {"dataset": None, "finetune": {"backbone": None}}, "search": {"trials": 4, "seed": None}}
    config = build_config(path, profile="quality", values=values, overrides=("search.startup_trials=3",))
    assert (config.train.finetune.backbone, config.train.finetune.epochs) == ("multilingual-e5-small", 7)
    assert (config.search.trials, config.search.startup_trials, config.search.seed) == (4, 3, 0)
