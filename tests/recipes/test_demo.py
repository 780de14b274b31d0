"""The demo end to end with a small random network: what it writes, and what the person at the terminal reads."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("torch", reason="training needs the extra train")

from tests.tiny_models import recipe, write_model

from tapereader.cli.demo import show_demo
from tapereader.cli.train import print_page
from tapereader.core import MissingExtraError
from tapereader.engine import Engine
from tapereader.recipes.demo import DATASET, demo, demo_config
from tapereader.recipes.preparing import TrainResult
from tapereader.recipes.train_config import build_config
from tapereader.sources import describe
from tapereader.training.experiment import JudgingConfig


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("demo")
    # The judging of the demo takes most of a minute, whatever the network.
    config = demo_config(seed=3).replace(
        finetune=recipe(write_model(out / "network"), epochs=1, batch_size=64),
        judging=JudgingConfig(baselines=("majority", "word-list")),
    )
    return demo(out / "runs", config=config)


def test_it_asks_for_the_default_network_and_sentences_made_otherwise() -> None:
    config = demo_config(seed=3)
    assert (config.dataset, config.finetune.backbone, config.finetune.seed) == (DATASET, "minilm", 3)
    assert (config.split.kind, config.answer) == ("official", "labels")
    assert describe(DATASET).synthetic


def test_bundle_and_report_stand_side_by_side_and_nothing_else_is_left(made: TrainResult) -> None:
    folder = made.bundle.path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["bundle", "bundle-report.html"]
    assert Engine(folder / "bundle").predict(["Sales fell"])[0].label in made.bundle.contract.names
    manifest = json.loads((folder / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["manifest"]["synthetic"] is True


def test_the_same_training_can_be_asked_for_again_as_card_and_page_say(made: TrainResult) -> None:
    again = build_config(made.bundle.path / "config.yaml", profile="fast", values={})
    # The small network lies in a folder, which a bundle names without this machine's path to it.
    assert again.finetune.backbone == "network"
    assert again.model_dump(mode="json") == made.facts["manifest"]["config"]
    command = "tapereader train --config BUNDLE/config.yaml --out DIR"
    assert command in made.report.read_text(encoding="utf-8")
    assert command in (made.bundle.path / "README.md").read_text(encoding="utf-8")


def test_page_and_card_say_plainly_that_the_data_is_synthetic(made: TrainResult) -> None:
    page = made.report.read_text(encoding="utf-8")
    assert "<b>Synthetic data.</b> The text was made by a program: these scores say nothing about real news." in page
    assert page.index("Synthetic data.") < page.index("<table>")
    assert "ynthetic" in (made.bundle.path / "README.md").read_text(encoding="utf-8").split("##")[0]


def test_the_person_at_the_terminal_reads_scores_answers_places_and_what_to_try_next(
    made: TrainResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["some where/tapereader", "demo"])
    show_demo(made, printed=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Synthetic data, written by a program: these scores say nothing about the world."
    assert (
        sum(line.startswith(("Majority", "Financial word list", "Before fine-tuning", "This model")) for line in lines)
        == 4
    )
    start = lines.index("What it says to sentences nobody labelled:")
    names = made.bundle.contract.names
    said = lines[start + 2 : start + 5]
    assert len([line for line in said if line.split()[0] in names and "%" in line]) == 3
    assert any(line.split()[:2] == ["bundle", str(made.bundle.path)] for line in lines)
    assert f"report  {made.report}" in lines
    assert any(line.startswith(f"Open {made.report.as_uri()} in a browser") for line in lines)
    assert lines[-3:] == [
        "Try next, a sentence of your own and a file of your own:",
        f"  'some where/tapereader' predict {made.bundle.path} \"Operating profit rose to EUR 13.1m from EUR 8.7m\"",
        "  'some where/tapereader' train headlines.csv --text headline --label tone --out runs/tone",
    ]


def test_the_report_goes_to_paper_beside_the_page(made: TrainResult) -> None:
    try:
        path = print_page(made)
    except MissingExtraError as error:
        pytest.skip(f"the system cannot draw a PDF: {error}")
    assert path == made.report.with_suffix(".pdf")
    assert path.read_bytes().startswith(b"%PDF-")
    path.unlink()
