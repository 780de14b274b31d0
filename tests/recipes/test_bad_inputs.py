"""What a person is told who asks the command line wrongly: the whole message, and nothing left behind."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapereader.cli.app import main

Told = tuple[int, str, str]
Ask = Callable[..., Told]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return ``ask(*words)``: run the command in the test's folder; exit code, standard output, standard error.

    Where the code is not 0, it also holds the folder to what it was.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEREADER_DATA", raising=False)

    def run(*words: str, stdin: bytes = b"") -> Told:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        before = contents(tmp_path)
        with pytest.raises(SystemExit) as stop:
            main(words)
        told = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        if stop.value.code:
            assert contents(tmp_path) == before
            assert len((told.out + told.err).splitlines()) <= 6
        return stop.value.code, told.out, told.err

    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def write(name: str, *lines: str, encoding: str = "utf-8") -> str:
    Path(name).write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return name


def labelled(name: str = "rows.csv", **changes: str) -> str:
    """Write twelve good rows; ``r3="..."`` puts another line in the place of the third."""
    starts = ("profit", "sales", "debt", "the dividend", "net income", "a merger")
    lines = [
        f"{starts[n % 6]} {'rose' if n % 2 else 'fell'} at {chr(97 + n) * 5},{'up' if n % 2 else 'down'}"
        for n in range(12)
    ]
    for row, line in changes.items():
        lines[int(row[1:]) - 1] = line
    return write(name, "headline,label", *lines)


# A file that cannot be read ------------------------------------------------------------------------------------------

FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("r.csv", b"", "A text file must have rows; got 'r.csv' with 0 bytes."),
    "header alone": ("r.csv", b"text,label\n", "A text file must have at least one data row; got 'r.csv' with none."),
    "UTF-16 unmarked": (
        "r.csv",
        "text,label\n".encode("utf-16-le"),
        "A text file must hold no NUL bytes; got one in line 1 of 'r.csv'. It looks like UTF-16 without a byte-order "
        "mark: give `encoding='utf-16-le'` (`--encoding utf-16-le`).",
    ),
    "GBK": (
        "r.csv",
        "text,label\n公司营业利润同比下降,跌\n".encode("gbk"),
        "Text must be UTF-8, or start with a byte-order mark; got other bytes in line 2 of 'r.csv'. They look like "
        "gb18030: give `encoding='gb18030'` (`--encoding gb18030`), or save the file as UTF-8.",
    ),
    "Latin-1": (
        "r.csv",
        "text,label\nGewinn rückläufig in Zürich,down\n".encode("latin-1"),
        "Text must be UTF-8, or start with a byte-order mark; got other bytes in line 2 of 'r.csv'. They look like "
        "cp1252: give `encoding='cp1252'` (`--encoding cp1252`), or save the file as UTF-8.",
    ),
    "NUL": (
        "r.csv",
        b"text,label\nprofit\0rose,up\n",
        "A text file must hold no NUL bytes; got one in line 2 of 'r.csv'.",
    ),
    "ragged": (
        "r.csv",
        b"text,label\nprofit rose, sales too,up\n",
        "Every CSV row must have 2 cells like the header; got 3 in row 1 (line 2) of 'r.csv'. Quote "
        "cells that hold the "
        "delimiter.",
    ),
    "open quote": (
        "r.csv",
        b'text,label\n"profit rose,up\n',
        "A CSV file must have closed quotes and plain delimiters; got line 2 of 'r.csv': unexpected end of data.",
    ),
    "column twice": ("r.csv", b"text,text\na,b\n", "Column names must differ; got 'text' twice in 'r.csv'."),
    "broken JSON": (
        "r.jsonl",
        b'{"text": "profit", "label": "up"}\n{"text": "loss", "la\n',
        "Every line must be one JSON object; got line 2 of 'r.jsonl': Invalid control character at column 21.",
    ),
    "no object": (
        "r.jsonl",
        b'["profit", "up"]\n',
        "Every line must be one JSON object, like {'text': ...}; got line 1 of 'r.jsonl': ['profit', 'up'].",
    ),
    "number for text": (
        "r.jsonl",
        b'{"text": 12, "label": "up"}\n',
        "Every text must be a string; got 12 (int) in row 1 of 'r.jsonl', column 'text'.",
    ),
    "spreadsheet": (
        "r.xlsx",
        b"PK\x03\x04",
        "A text file must end in .csv, .tsv, .parquet, .jsonl, .json, .txt; got 'r.xlsx'. Save the sheet as CSV UTF-8.",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_refused(ask: Ask, case: str) -> None:
    name, held, message = FILES[case]
    Path(name).write_bytes(held)
    assert ask("data", "check", name) == (2, "", f"Error: {message}\n")


def test_a_path_that_is_no_file_is_refused(ask: Ask) -> None:
    Path("texts").mkdir()
    message = "A text file must be one file; got the folder 'texts'. Name a file inside it."
    assert ask("data", "check", "texts") == (2, "", f"Error: {message}\n")
    message = "A text file must exist; got 'headlnes.csv'. Check the path; no such file is there."
    assert ask("data", "check", "headlnes.csv") == (2, "", f"Error: {message}\n")


def test_parquet_cut_short_is_refused(ask: Ask) -> None:
    import pandas as pd

    pd.DataFrame({"text": ["profit rose"] * 50, "label": ["up"] * 50}).to_parquet("r.parquet")
    Path("r.parquet").write_bytes(Path("r.parquet").read_bytes()[:-20])
    code, out, err = ask("data", "check", "r.parquet")
    assert (code, out) == (2, "")
    assert err.startswith(
        "Error: A Parquet file must be whole; got 'r.parquet', truncated, damaged or of another format: "
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(ask: Ask, encoding: str) -> None:
    text = Path(labelled("plain.csv")).read_text(encoding="utf-8")
    Path("rows.csv").write_bytes(text.encode(encoding))
    code, out, err = ask("data", "check", "rows.csv")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("rows: 12 rows, 0 errors")


# Columns and rows ----------------------------------------------------------------------------------------------------

COLUMNS = {
    "unknown": (("--text", "body"), "The text column must be one of headline, label; got 'body' for 'rows.csv'."),
    "misspelt": (
        ("--text", "hedline"),
        "The text column must be one of headline, label; got 'hedline' for 'rows.csv'. Did you mean 'headline'?",
    ),
    "encoding": (
        ("--encoding", "utf-9"),
        "`encoding` must be one Python knows, such as utf-8, utf-16 or gb18030; got 'utf-9'.",
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_an_option_that_does_not_fit_the_file_is_refused(ask: Ask, case: str) -> None:
    options, message = COLUMNS[case]
    assert ask("data", "check", labelled(), *options) == (2, "", f"Error: {message}\n")


#: What is put into the good rows, with which options, and the findings told (their beginnings).
ROWS: dict[str, tuple[dict[str, str], tuple[str, ...], int, str]] = {
    "missing label": (
        {"r3": "sales went,", "r5": "debt went,NaN"}, (), 2,
        "error  missing-label: ",
    ),
    "unknown label": ({"r4": "sales went,sideways"}, ("--labels", "down,up"), 2, "error  unknown-label: "),
    "blank text": ({"r2": "   ,up", "r9": ",down"}, (), 2, "error  empty-text: "),
    "damaged": ({"r6": "ZÃ¼rich profit,up"}, (), 0, "warning  mojibake: "),
    "two answers": ({"r1": "all went,up", "r2": "all went,down"}, (), 0, "warning  conflicting-labels: "),
}  # fmt: skip
WHERE = {
    "missing label": "(rows 3, 5)", "unknown label": "(row 4)", "blank text": "(rows 2, 9)", "damaged": "(row 6)",
    "two answers": "(rows 1, 2)",
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_told_with_its_number(ask: Ask, case: str) -> None:
    changes, options, expected, finding = ROWS[case]
    code, out, err = ask("data", "check", labelled(**changes), *options)
    assert (code, err) == (expected, "")
    assert [line.endswith(WHERE[case]) for line in out.splitlines() if line.startswith(finding)] == [True]


def test_times_without_a_zone_are_refused(ask: Ask) -> None:
    write("rows.csv", "text,label,at", "profit rose,up,2024-03-01T09:30:00Z", "sales fell,down,2024-03-01 09:30:00")
    message = (
        "Every time must have a time zone; got '2024-03-01 09:30:00' in row 2 of 'rows.csv', column "
        "'at'. Write it with "
        "its zone, such as 2024-03-01T09:30:00Z."
    )
    assert ask("data", "check", "rows.csv", "--time", "at") == (2, "", f"Error: {message}\n")


# What is asked of a training -----------------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "no such field": (
        ("--set", "finetune.epoch=2"),
        "TrainConfig has 1 problem:\n  finetune.epoch: no such field; did you mean epochs?",
    ),
    "wrong types, all at once": (
        ("--set", "finetune.epochs=many", "--set", "finetune.seed=-1"),
        "TrainConfig has 2 problems:\n  finetune.epochs: must be a valid integer; got 'many'\n"
        "  finetune.seed: must be greater than or equal to 0; got -1",
    ),
    "no value": (("--set", "finetune.epochs"), "An override must look like `a.b=value`; got 'finetune.epochs'."),
    "below a value": (
        ("--set", "dataset.name=x"), "Override 'dataset.name=x' goes below `dataset`, which is the value 'rows.csv'.",
    ),
}  # fmt: skip


@pytest.fixture
def _learning_libraries() -> None:
    pytest.importorskip("torch", reason="training needs the extra train")


@pytest.mark.usefixtures("_learning_libraries")
@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_be_is_refused(ask: Ask, case: str) -> None:
    options, message = SETTINGS[case]
    assert ask("train", labelled(), "--out", "model", *options) == (2, "", f"Error: {message}\n")


@pytest.mark.usefixtures("_learning_libraries")
def test_a_configuration_file_must_be_a_mapping(ask: Ask) -> None:
    write("list.yaml", "- epochs", "- seed")
    message = "A config file must hold `field: value` lines; got 'list.yaml' with ['epochs', 'seed']."
    given = ("train", labelled(), "--out", "model", "--config")
    assert ask(*given, "list.yaml") == (2, "", f"Error: {message}\n")
    code, _, err = ask(*given, "nowhere.yaml")
    message = "A config file must be readable YAML; got 'nowhere.yaml': No such file or directory."
    assert (code, err) == (2, f"Error: {message}\n")
    write("broken.yaml", "finetune: {epochs: 3", "seed: ]")
    message = (
        "A config file must be readable YAML; got 'broken.yaml': expected ',' or '}', but got ':' in line 2, column 5."
    )
    assert ask(*given, "broken.yaml") == (2, "", f"Error: {message}\n")
    write("flat.yaml", "finetune: fast")
    message = "`finetune` must hold fields of its own, as `field: value` lines; got 'fast'."
    assert ask(*given, "flat.yaml") == (2, "", f"Error: {message}\n")


@pytest.mark.usefixtures("_learning_libraries")
def test_an_id_in_the_place_of_the_label_is_told_in_one_line(ask: Ask) -> None:
    write("rows.csv", "text,label", *(f"profit rose at {chr(97 + n) * 4},id-{n:02d}" for n in range(20)))
    message = (
        "Data set 'rows' has 1 error:\n  rare-class: A split in 3 parts needs at least 3 rows of "
        "every label; 'id-00' has "
        "1, 'id-01' has 1, 'id-02' has 1, 'id-03' has 1, 'id-04' has 1 and 15 more have too few. "
        "Merge them with another "
        "label, or drop them. (rows 1, 2, 3, 4, 5 and 15 more)"
    )
    assert ask("train", "rows.csv", "--out", "model") == (2, "", f"Error: {message}\n")


DATA = {
    "misspelt": (
        "fomc-stanse", {},
        "A data set must be a name from `tapereader data list` or a file; got 'fomc-stanse', neither. Did you mean "
        "'fomc-stance'?",
    ),
    "options of a file": (
        "synthetic-sentiment", {"--text": "body"},
        "Only a file of your own takes `text`; got the named data set 'synthetic-sentiment'. Leave them out.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_a_data_set_that_is_not_there_is_refused(ask: Ask, case: str) -> None:
    name, options, message = DATA[case]
    words = [word for pair in options.items() for word in pair]
    assert ask("data", "check", name, *words) == (2, "", f"Error: {message}\n")


@pytest.mark.usefixtures("_learning_libraries")
def test_a_refused_network_leaves_no_folder_of_the_run(ask: Ask) -> None:
    """Also not the folders above it, which were made for it."""
    Path("mine").mkdir()
    write("mine/config.json", json.dumps({"model_type": "bert"}))
    write("mine/tokenizer.json", "{}")
    write("mine/pytorch_model.bin", "a pickle")
    message = (
        "Weights must be safetensors only; mine has pytorch_model.bin, a pickle, which can run any "
        "code when opened. Save "
        "the model as safetensors where you trust it, or use a copy that has them."
    )
    good = distinct()
    code, out, err = ask("train", good, "--out", "runs/deep/model", "--backbone", "./mine")
    assert (code, out) == (2, "")
    assert err.replace(f"{Path.cwd()}/", "") == f"Error: {message}\n"
    code, _, err = ask("train", good, "--out", "model", "--backbone", "./nowhere")
    assert (code, err) == (2, "Error: A backbone's folder must exist; got './nowhere'.\n")
    code, _, err = ask("train", good, "--out", "model", "--backbone", "minilmm")
    assert code == 2
    assert err.startswith("Error: No tapereader.backbones is called 'minilmm'; known: ")
    assert err.endswith(" Did you mean 'minilm'?\n")


@pytest.mark.usefixtures("_learning_libraries")
def test_a_place_that_cannot_be_written_is_told_before_anything_is_learnt(ask: Ask) -> None:
    good = distinct()
    Path("taken").mkdir()
    write("taken/notes.txt", "mine")
    message = "`out` must not exist yet; got 'taken'. Give another name, or `--replace`."
    assert ask("train", good, "--out", "taken") == (2, "", f"Error: {message}\n")
    message = "Only a bundle can be replaced; 'taken' holds files and no manifest.json. Give another name."
    assert ask("train", good, "--out", "taken", "--replace") == (2, "", f"Error: {message}\n")
    code, out, err = ask("train", good, "--out", "taken/notes.txt/model")
    assert (code, out) == (2, "")
    assert err.startswith("Error: The bundle 'taken/notes.txt/model' could not be written: [Errno 20] Not a directory")


def distinct() -> str:
    """Write rows enough to be dealt, none like another."""
    words = ["alpha", "bravo", "cobalt", "delta", "ember", "falcon", "garnet", "hotel", "indigo", "jade"]
    lines = [f"{first} {second},{'up' if n % 2 else 'down'}" for first in words for n, second in enumerate(words)]
    return write("good.csv", "text,label", *lines)


# A bundle ------------------------------------------------------------------------------------------------------------


def exchange(path: Path, one: str, other: str) -> None:
    held = path.read_text(encoding="utf-8")
    changed = held.replace(one, "\0").replace(other, one).replace("\0", other)
    assert changed != held
    path.write_text(changed, encoding="utf-8")


def flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (
        lambda at: (at / "manifest.json").unlink(),
        "A bundle must be a folder with a manifest.json; 'tiny' has none. Give the folder that training wrote.",
    ),
    "labels swapped in the contract": (
        lambda at: exchange(at / "contract.json", '"negative"', '"positive"'),
        "contract.json has the label order ['positive', 'neutral', 'negative']; model/config.json has ['negative', "
        "'neutral', 'positive']. The same labels in another order would swap every answer. Restore the original files.",
    ),
    "labels swapped in the weights' folder": (
        lambda at: exchange(at / "model" / "config.json", '"negative"', '"positive"'),
        "contract.json has the label order ['negative', 'neutral', 'positive']; model/config.json has ['positive', "
        "'neutral', 'negative']. The same labels in another order would swap every answer. Restore the original files.",
    ),
    "missing network": (
        lambda at: (at / "onnx" / "model.onnx").unlink(),
        "Bundle 'tiny' must hold every file its manifest.json lists; 'onnx/model.onnx' is missing.",
    ),
    "a pickle put in": (
        lambda at: (at / "model" / "pytorch_model.bin").write_bytes(b"\x80"),
        "The folders model, onnx and members of a bundle must hold only files listed in manifest.json; got "
        "'model/pytorch_model.bin'. Remove it.",
    ),
    "a later format": (
        lambda at: exchange(at / "manifest.json", '"format": 1', '"format": 9'),
        "The format of bundle 'tiny' must be 1; got 9. If a newer release wrote it, install that release.",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_bundle_is_refused_by_name(ask: Ask, tiny_bundle: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    damage(tiny_bundle)
    assert ask("predict", "tiny", "profit rose") == (2, "", f"Error: {message}\n")


def test_a_flipped_bit_and_a_foreign_tokenizer_are_refused(ask: Ask, tiny_bundle: Path) -> None:
    shutil.copytree(tiny_bundle, "copy")
    flip(Path("copy/onnx/model.onnx"))
    code, _, err = ask("predict", "copy", "profit rose")
    assert code == 2
    assert err.startswith("Error: onnx/model.onnx of bundle 'copy' must have the SHA-256 ")
    assert err.endswith("... The file was changed or damaged: restore it, or write the bundle again.\n")
    exchange(tiny_bundle / "model" / "tokenizer.json", '"[UNK]"', '"profit"')
    code, _, err = ask("predict", "tiny", "profit rose")
    assert code == 2
    assert "It belongs to another model: restore the original file." in err or "must hold a readable tokenizer" in err


def test_a_bundle_of_another_question_is_refused(ask: Ask, make_bundle: Any, tmp_path: Path) -> None:
    alone, paired = make_bundle(tmp_path / "alone"), make_bundle(tmp_path / "paired", has_pair=True)
    message = f"Bundle {alone.id!r} takes texts alone; got `pairs` (`--about`, `--pair`) too. Leave them out."
    assert ask("predict", "alone", "profit", "--about", "acme") == (2, "", f"Error: {message}\n")
    message = (
        f"Bundle {paired.id!r} asks about a second text, a named company; got none. Give `pairs` "
        f"(`--about`, or `--pair` "
        "for a file)."
    )
    assert ask("predict", "paired", "profit") == (2, "", f"Error: {message}\n")


# Texts to answer -----------------------------------------------------------------------------------------------------


def test_nothing_to_answer_is_refused(ask: Ask, tiny_bundle: Path) -> None:
    message = "A text file must have at least one data row; got 'a stream' with none."
    assert ask("predict", "tiny") == (2, "", f"Error: {message}\n")
    message = "Texts must come as words or from --input; got both. Leave one out."
    assert ask("predict", "tiny", "profit", "--input", "news.csv") == (2, "", f"Error: {message}\n")


def test_a_broken_row_far_down_leaves_no_half_written_table(ask: Ask, tiny_bundle: Path) -> None:
    write("news.csv", "text,id", *(f"profit rose,{n}" for n in range(2000)), "one,cell,too many")
    message = (
        "Every CSV row must have 2 cells like the header; got 3 in row 2001 (line 2002) of "
        "'news.csv'. Quote cells that "
        "hold the delimiter."
    )
    asked = ("predict", "tiny", "--input", "news.csv", "--output", "scored.csv")
    assert ask(*asked) == (2, "", f"Error: {message}\n")


def test_blank_rows_are_answered_around_and_counted(ask: Ask, tiny_bundle: Path) -> None:
    write("news.csv", "text,id", "profit rose,1", "   ,2", ",3", "loss fell,4")
    code, out, err = ask("predict", "tiny", "--input", "news.csv", "--output", "scored.csv")
    assert (code, err) == (0, "")
    assert out == "4 rows, 2 without an answer, 0 abstained; wrote scored.csv.\n"


OUTPUTS = {
    "scored.xlsx": "An output file must end in .csv, .jsonl or .parquet; got 'scored.xlsx'.",
    "news.csv": "`output` must be another file than `input`; got 'news.csv' for both.",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_that_cannot_be_is_refused(ask: Ask, tiny_bundle: Path, output: str) -> None:
    write("news.csv", "text", "profit rose")
    assert ask("predict", "tiny", "--input", "news.csv", "--output", output) == (2, "", f"Error: {OUTPUTS[output]}\n")
