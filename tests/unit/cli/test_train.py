"""`tapereader train` and `evaluate`: what is asked wrongly is told before anything is computed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra train")

from tests.tiny_models import labelled_rows, write_model

from tapereader.cli.app import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(words)
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


def test_all_faults_of_a_configuration_are_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("--set", "finetune.adapter.rank=0", "--set", "finetune.adaptor=1")
    code, out, err = call(capsys, "train", "fomc-stance", "--out", str(tmp_path / "b"), *words)
    assert (code, out) == (2, "")
    assert err == (
        "Error: TrainConfig has 2 problems:\n"
        "  finetune.adapter.rank: must be greater than or equal to 1; got 0\n"
        "  finetune.adaptor: no such field; did you mean adapter?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_comes_from_the_words_or_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "train", "--out", str(tmp_path / "b"))
    assert (code, err) == (2, "Error: TrainConfig has 1 problem:\n  dataset: must be given\n")
    config = tmp_path / "train.yaml"
    config.write_text("dataset: no-such-set\n", encoding="utf-8")
    code, _, err = call(capsys, "train", "--config", str(config), "--out", str(tmp_path / "b"))
    assert code == 2
    assert err == (
        "Error: A data set must be a name from `tapereader data list` or a file; got 'no-such-set', neither.\n"
    )


def test_a_question_goes_with_answers_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "train", "fomc-stance", "--question", "Which way?", "--out", str(tmp_path / "b"))
    assert code == 2
    assert "`question` is asked where the answer is in words; got `answer` 'labels'" in err


def test_a_folder_that_is_taken_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "bundle" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    code, _, err = call(capsys, "train", "fomc-stance", "--out", str(kept.parent))
    assert code == 2
    assert err == f"Error: `out` must not exist yet; got {str(kept.parent)!r}. Give another name, or `--replace`.\n"
    assert kept.read_text(encoding="utf-8") == "mine"


def test_rows_that_cannot_be_learnt_from_are_told_with_their_numbers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\nprofit rose,up\nloss grew,\n,down\nsales fell,down\n", encoding="utf-8")
    code, out, err = call(capsys, "train", str(rows), "--out", str(tmp_path / "b"))
    assert (code, out) == (2, "")
    assert err.startswith("Error: Data set 'rows' has ")
    assert "(row 2)" in err
    assert "(row 3)" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_a_bundle_is_not_judged_on_other_labels(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path
) -> None:
    rows = tmp_path / "rows.csv"
    lines = [f"profit rose by {n} in {word},{'up' if n % 2 else 'down'}" for n, word in enumerate("abcdefgh")]
    rows.write_text("text,label\n" + "\n".join(lines), encoding="utf-8")
    code, out, err = call(capsys, "evaluate", str(tiny_bundle), str(rows))
    assert (code, out) == (2, "")
    assert "has the labels" in err


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    labelled_rows(n=60).frame.to_csv(path, index=False)
    return path


SMALL = ("--set", "finetune.max_length=32", "--set", "finetune.epochs=1", "--set", "finetune.precision=float32",
         "--set", "finetune.threads=1", "--set", "split.near_duplicates=1.0", "--set", "split.validation=0.3",
         "--set", "split.test=0.3", "--set", "judging.baselines=[majority]")  # fmt: skip


def test_a_run_ends_with_scores_and_how_to_open_its_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rows: Path
) -> None:
    network, out = write_model(tmp_path / "network"), tmp_path / "tone"
    words = ("train", str(rows), "--out", str(out), "--text", "text", "--label", "label", "--backbone", str(network))
    code, told, err = call(capsys, *words, *SMALL)
    assert code == 0, err
    page = tmp_path / "tone-report.html"
    lines = told.splitlines()
    assert lines[0].startswith("On 18 rows that were not learnt from (")
    assert any(line.startswith(f"bundle  {out}  (id ") for line in lines)
    assert lines[-2] == f"report  {page}"
    assert lines[-1] == (f"Open {page.as_uri()} in a browser, or run: {sys.executable} -m webbrowser {page.as_uri()}")
    assert not (tmp_path / "tone-report.pdf").exists()


def test_a_network_is_taught_to_say_the_label_when_asked_a_question(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rows: Path
) -> None:
    network, out = write_model(tmp_path / "network", "gpt2"), tmp_path / "said"
    words = ("train", str(rows), "--out", str(out), "--text", "text", "--label", "label", "--backbone", str(network))
    code, told, err = call(capsys, *words, *SMALL, "--answer", "words", "--question", "Which way?", "--json")
    assert code == 0, err
    answer = json.loads(told)
    assert answer["facts"]["contract"]["kind"] == "generation"
    asked = json.loads((out / "model" / "instruction.json").read_text(encoding="utf-8"))
    assert asked == {"question": "Which way?"}
    assert answer["pdf"] is None


def test_without_the_learning_libraries_the_way_out_is_named() -> None:
    """A finder that knows no torch stands in for an install of the core alone."""
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tapereader.cli.app import main\n"
        "main(['train', 'fomc-stance', '--out', 'unused'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        'Error: Fine-tuning needs the extra `train`, which is not installed. Run: pip install "tapereader[train]".\n'
    )
