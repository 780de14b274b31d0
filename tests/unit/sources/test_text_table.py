"""The user's own files, whole: what is read, and what each damaged one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tapereader.core.errors import ConfigError, DataError, MissingDataError
from tapereader.sources.text import read_table
from tapereader.sources.text.encoding import likely_encoding

CSV = "text,label\nACME beats,positive\nBolt misses,negative\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    table = read_table(written(tmp_path, "a.csv", "text,label\n营业利润上升,好\n".encode(encoding)))
    assert table.to_dict("list") == {"text": ["营业利润上升"], "label": ["好"]}


def test_gbk_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label\n营业利润上升,好\n".encode("gbk"))
    assert read_table(path, encoding="gb18030")["label"].tolist() == ["好"]


def test_cells_of_a_csv_stay_what_was_written(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a.csv", 'code,text,n\n000430,"two\nlines, one cell",NA\n'))
    assert table.to_dict("list") == {"code": ["000430"], "text": ["two\nlines, one cell"], "n": ["NA"]}


def test_a_text_of_two_megabytes_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", f"text\n{'x' * 2_000_000}\n")
    assert len(read_table(path)["text"][0]) == 2_000_000


def test_json_lines_and_arrays_and_tabs_and_plain_lines(tmp_path: Path) -> None:
    lines = written(tmp_path, "a.jsonl", '{"text": "a", "y": 1}\n\n{"text": "b"}\n')
    array = written(tmp_path, "a.json", '\n[{"text": "a", "y": 1},\n {"text": "b"}]')
    for path in (lines, array):
        assert read_table(path)["text"].tolist() == ["a", "b"]
        assert read_table(path)["y"].tolist() == [1, None]
    assert read_table(written(tmp_path, "a.tsv", "text\ty\na, b\t1\n"))["text"].tolist() == ["a, b"]
    assert read_table(written(tmp_path, "a.txt", "one\n\nthree\r\n"))["text"].tolist() == ["one", "", "three"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "score": [0.5, -0.5]})
    frame.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet"), frame)


BAD = {
    "empty.csv": (b"", "A text file must have rows; got {path!r} with 0 bytes."),
    "header.csv": (b"text,label\n", "A text file must have at least one data row; got {path!r} with none."),
    "gbk.csv": (
        "text,label\n营业利润同比下降,坏\n".encode("gbk"),
        "Text must be UTF-8, or start with a byte-order mark; got other bytes in line 2 of {path!r}. "
        "They look like gb18030: give `encoding='gb18030'` (`--encoding gb18030`), or save the file as UTF-8.",
    ),
    "latin.csv": (
        "text,label\nok,1\nZürich fällt,neg\n".encode("latin-1"),
        "Text must be UTF-8, or start with a byte-order mark; got other bytes in line 3 of {path!r}. "
        "They look like cp1252: give `encoding='cp1252'` (`--encoding cp1252`), or save the file as UTF-8.",
    ),
    "utf16.csv": (
        CSV.encode("utf-16-le"),
        "A text file must hold no NUL bytes; got one in line 1 of {path!r}. It looks like UTF-16 without a "
        "byte-order mark: give `encoding='utf-16-le'` (`--encoding utf-16-le`).",
    ),
    "nul.txt": (b"fine\nnot \0 fine\n", "A text file must hold no NUL bytes; got one in line 2 of {path!r}."),
    "ragged.csv": (
        b"text,label\na,1\nb\n",
        "Every CSV row must have 2 cells like the header; got 1 in row 2 (line 3) of {path!r}. "
        "Quote cells that hold the delimiter.",
    ),
    "quote.csv": (
        b'text,label\n"a,1\nb,2\n',
        "A CSV file must have closed quotes and plain delimiters; got line 3 of {path!r}: unexpected end of data.",
    ),
    "twice.csv": (b"text,text\na,b\n", "Column names must differ; got 'text' twice in {path!r}."),
    "broken.jsonl": (
        b'{"text": "a"}\n\n{"text": \n',
        "Every line must be one JSON object; got line 3 of {path!r}: Expecting value at column 1.",
    ),
    "number.jsonl": (
        b"5\n",
        "Every line must be one JSON object, like {{'text': ...}}; got line 1 of {path!r}: 5.",
    ),
    "nested.jsonl": (
        b"[" * 100_000,
        "Every line must be one flat JSON object; got endless nesting in line 1 of {path!r}.",
    ),
    "surrogate.jsonl": (
        b'{"text": "\\ud83d"}\n',
        "Text must be whole characters; got half of a surrogate pair in line 1 of {path!r}. Write the file as UTF-8.",
    ),
    "sheet.xlsx": (
        b"PK",
        "A text file must end in .csv, .tsv, .parquet, .jsonl, .json, .txt; got 'sheet.xlsx'. "
        "Save the sheet as CSV UTF-8.",
    ),
    "a.dat": (
        b"x",
        "A text file must end in .csv, .tsv, .parquet, .jsonl, .json, .txt; got 'a.dat'. Convert or rename it.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_what_is_wrong(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = written(tmp_path, name, content)
    with pytest.raises(DataError, match="^" + re.escape(message.format(path=str(path))) + "$"):
        read_table(path)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["a"] * 100}).to_parquet(tmp_path / "a.parquet")
    path = written(tmp_path, "cut.parquet", (tmp_path / "a.parquet").read_bytes()[:-40])
    start = f"A Parquet file must be whole; got {str(path)!r}, truncated, damaged or of another format: "
    with pytest.raises(DataError, match="^" + re.escape(start)):
        read_table(path)


def test_missing_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    path = str(tmp_path / "no.csv")
    with pytest.raises(MissingDataError, match=re.escape(f"got {path!r}. Check the path; no such file is there.")):
        read_table(path)
    with pytest.raises(DataError, match=re.escape(f"got the folder {str(tmp_path)!r}. Name a file inside it.")):
        read_table(tmp_path)
    with pytest.raises(MissingDataError, match="no such file is there"):
        read_table("x" * 5000)


def test_the_asked_encoding_must_fit_and_exist(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text\n营业利润同比下降\n".encode("gbk"))
    message = f"Text must be in the `encoding` that was given; got bytes in line 2 of {str(path)!r} that are not UTF-8."
    with pytest.raises(DataError, match="^" + re.escape(message) + "$"):
        read_table(path, encoding="utf-8")
    for wrong in ("utf-99", "hex"):
        with pytest.raises(ConfigError, match="`encoding` must be one Python knows"):
            read_table(path, encoding=wrong)


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("公司拟通过工艺升级和质量控制，净利润同比增长12.5%。", "gbk", "gb18030"),
        ("Le bénéfice d'exploitation a été supérieur aux prévisions de l'année.", "cp1252", "cp1252"),
        ("Gewinn über Erwartung – größer", "cp1252", "cp1252"),
        ("营业利润", "utf-16-be", "utf-16-be"),
    ],
)
def test_the_likely_encoding_is_named(text: str, encoding: str, named: str) -> None:
    sample = text.encode(encoding) if named != "utf-16-be" else "profit".encode(encoding)
    assert likely_encoding(sample) == named
