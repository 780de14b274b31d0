"""``tapereader pretrain``: what it tells, and that its options reach the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="pretraining needs the extra train")

from tests.tiny_models import BAD, GOOD, PLAIN, write_model

from tapereader.cli.app import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(words)
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """Sixty different dated sentences, thirty of 2020 and thirty of 2021."""
    path = tmp_path / "news.csv"
    lines = ["said,when"]
    for n in range(60):
        word = (*GOOD, *BAD)[n % 12]
        text = f"{PLAIN[n % 11]} {word} {PLAIN[n // 6]} {PLAIN[(5 * n + 1) % 11]} {PLAIN[(n * n) % 12]}"
        lines.append(f"{text} {PLAIN[n // 12]},{2020 + n // 30}-0{1 + n % 9}-15")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_text_becomes_a_backbone_and_the_next_command_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, news: Path
) -> None:
    network, out = write_model(tmp_path / "network"), tmp_path / "adapted"
    words = ["pretrain", str(news), "--out", str(out), "--backbone", str(network), "--text", "said", "--time", "when",
             "--until", "2021-01-01", "--steps", "3", "--set", "max_length=16", "--set", "threads=1",
             "--set", "precision=float32", "--set", "corpus.near_duplicates=1.0", "--set", "corpus.held_out_share=0.2",
             "--set", "batch_size=4"]  # fmt: skip
    code, told, notes = call(capsys, *words)
    assert code == 0, notes
    shown = dict(line.split("  ", 1) for line in told.splitlines() if "  " in line)
    assert shown["objective"].strip() == "masked"
    assert "30 known too late" in shown["left out"]
    assert shown["took"].strip().startswith("3 steps, ")
    assert shown["text ends"].strip().startswith("unknown (")
    assert told.splitlines()[-1] == (
        f"Start a training from it with: tapereader train DATASET_OR_FILE --backbone {out} --out DIR"
    )
    assert (out / "model.safetensors").is_file()
    assert "but nobody states when that of" in notes

    code, told, _ = call(capsys, *words[:3], str(tmp_path / "again"), *words[4:], "--json")
    answer = json.loads(told)
    assert code == 0
    assert answer["corpus"]["documents"]["later"] == 30
    assert answer["held_out"]["steps"] == 3
    assert answer["manifest"]["config"]["corpus"]["until"] == "2021-01-01"


def test_text_that_is_not_there_is_a_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "pretrain", "--out", str(tmp_path / "b"))
    assert (code, out) == (2, "")
    assert err == "Error: PretrainConfig has 1 problem:\n  corpus.sources: must be given\n"
    code, _, err = call(capsys, "pretrain", "no-such-text", "--out", str(tmp_path / "b"))
    assert code == 2
    assert "'no-such-text'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_none_was_asked_wrongly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "pretrain", "x.csv", "--out", str(tmp_path / "b"), "--until", "2021-13-01")
    assert (code, out) == (2, "")
