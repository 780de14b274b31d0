"""`tapereader predict`, from the words typed to what is shown and written."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tapereader.bundle import Bundle
from tapereader.cli.app import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(("predict", *words))
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


def test_texts_given_as_words_are_shown_in_a_table(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, out, err = call(capsys, str(tiny_bundle), "profit rose", "loss fell", " ")
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == ["text", "answer", "probability", "cannot", "be", "excluded"]
    assert [row.split("  ")[0] for row in rows[:2]] == ["profit rose", "loss fell"]
    assert "the text is empty" in rows[2]


def test_json_is_the_whole_answer(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, out, _ = call(capsys, str(tiny_bundle), "profit rose", "--json")
    answer = json.loads(out)
    row = answer["predictions"][0]
    assert code == 0
    assert answer["labels"] == ["negative", "neutral", "positive"]
    assert row["label"] == max(answer["labels"], key=lambda name: row[f"p_{name}"])
    assert sum(row[f"p_{name}"] for name in answer["labels"]) == pytest.approx(1.0, abs=1e-5)


def test_a_file_is_answered_into_a_file(capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path) -> None:
    news = tmp_path / "news.csv"
    news.write_text("id,headline\n7,profit rose\n8,\n9,loss fell\n", encoding="utf-8")
    out_file = tmp_path / "scored.csv"
    code, out, _ = call(capsys, str(tiny_bundle), "--input", str(news), "--text", "headline", "--output", str(out_file))
    rows = list(csv.DictReader(out_file.read_text(encoding="utf-8").splitlines()))
    assert code == 0
    assert out == f"3 rows, 1 without an answer, 0 abstained; wrote {out_file}.\n"
    assert [(row["id"], bool(row["label"])) for row in rows] == [("7", True), ("8", False), ("9", True)]


def test_a_file_without_output_goes_to_stdout_as_csv(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path
) -> None:
    news = tmp_path / "news.txt"
    news.write_text("profit rose\nloss fell\n", encoding="utf-8")
    code, out, err = call(capsys, str(tiny_bundle), "--input", str(news))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["text"] for row in rows] == ["profit rose", "loss fell"]
    assert err == "2 rows, 0 without an answer, 0 abstained.\n"


def test_lines_can_be_piped_in(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "tapereader.cli.app", "predict", str(tiny_bundle), "--json"]
    done = subprocess.run(command, input="profit rose\nloss fell\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 2


def test_a_pair_bundle_asks_about_a_name(
    capsys: pytest.CaptureFixture[str], make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "pairs", kind="regression", names=("sentiment",), has_pair=True)
    code, out, _ = call(capsys, str(bundle.path), "profit rose", "--about", "acme", "--json")
    assert code == 0
    assert isinstance(json.loads(out)["predictions"][0]["value"], float)
    code, out, err = call(capsys, str(bundle.path), "profit rose")
    assert (code, out) == (2, "")
    assert "asks about a second text" in err


def test_words_and_a_file_are_one_too_many(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, out, err = call(capsys, str(tiny_bundle), "profit rose", "--input", "news.csv")
    assert (code, out) == (2, "")
    assert err == "Error: Texts must come as words or from --input; got both. Leave one out.\n"


def test_about_goes_with_words(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, _, err = call(capsys, str(tiny_bundle), "--input", "news.csv", "--about", "acme")
    assert code == 2
    assert err == ("Error: --about names the target of texts given as words; got none. A file has a column: --pair.\n")


def test_columns_go_with_a_file(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, _, err = call(capsys, str(tiny_bundle), "profit rose", "--text", "headline")
    assert code == 2
    assert err == (
        "Error: --text and --pair name columns of a file; got texts given as words. Leave the columns out.\n"
    )


def test_a_bundle_that_is_not_there_is_a_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, str(tmp_path / "none"), "profit rose")
    assert (code, out) == (2, "")
    assert err == (
        f"Error: A bundle must be a folder with a manifest.json; got {str(tmp_path / 'none')!r}: no such folder.\n"
    )


def test_the_backend_that_was_picked_is_said_beside_the_answer(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path
) -> None:
    code, out, err = call(capsys, str(tiny_bundle), "profit rose", "--backend", "auto", "--json", "--threads", "1")
    found = json.loads(out)
    assert code == 0
    assert err == found["backend_reason"] + "\n"
    assert err.startswith(found["backend"] + " ")
    _, out, err = call(capsys, str(tiny_bundle), "profit rose", "--json")
    assert (err, "backend" in json.loads(out)) == ("", False)
