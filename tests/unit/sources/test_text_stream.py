"""Texts to score, batch by batch."""

from __future__ import annotations

import io
import re
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from tapereader.core.errors import ConfigError, DataError, UnknownNameError
from tapereader.sources.text import stream_texts


@pytest.fixture
def news(tmp_path: Path) -> pd.DataFrame:
    return pd.DataFrame({"headline": [f"news {n}" for n in range(10)], "row": range(100, 110), "firm": "ACME"})


def save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_batches(tmp_path: Path, news: pd.DataFrame, suffix: str) -> None:
    path = save(news, tmp_path / f"a{suffix}")
    batches = list(stream_texts(path, text="headline", pair="firm", batch_rows=4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    whole = pd.concat(batches, ignore_index=True)
    assert list(whole) == ["row", "text", "pair", "source_row"]
    assert whole["row"].tolist() == list(range(1, 11))
    assert whole["text"].tolist() == news["headline"].tolist()
    assert set(whole["pair"]) == {"ACME"}


def test_standard_input_and_plain_files_have_one_text_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\nthree".encode())
    for source in (tmp_path / "a.txt", io.BytesIO("\ufeffone\r\n\nthree".encode()), io.StringIO("one\n\nthree\n")):
        texts = [text for batch in stream_texts(source, batch_rows=2) for text in batch["text"]]
        assert texts == ["one", "", "three"]


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("营业利润\n".encode())))
    assert [batch["text"].tolist() for batch in stream_texts("-")] == [["营业利润"]]


def test_missing_texts_come_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": null}\n{"other": 1}\n')
    batches = list(stream_texts(tmp_path / "a.jsonl", batch_rows=1))
    assert [batch["text"].tolist() for batch in batches] == [["a"], [""], [""]]


def test_a_wrong_column_is_told_at_once(tmp_path: Path, news: pd.DataFrame) -> None:
    path = save(news, tmp_path / "a.csv")
    message = f"The text column must be one of headline, row, firm; got 'text' for {str(path)!r}."
    with pytest.raises(UnknownNameError, match="^" + re.escape(message) + "$"):
        next(iter(stream_texts(path, text="text")))


def test_a_number_as_text_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"text": 3}\n')
    message = f"Every text must be a string; got 3 (int) in row 3 of {str(path)!r}, column 'text'."
    with pytest.raises(DataError, match="^" + re.escape(message) + "$"):
        list(stream_texts(path, batch_rows=2))


def test_bad_lines_of_a_stream_are_told() -> None:
    message = (
        "Lines must be utf-8; got other bytes in line 2 of 'a stream'. They look like gb18030: "
        "give `encoding='gb18030'` (`--encoding gb18030`)."
    )
    with pytest.raises(DataError, match="^" + re.escape(message) + "$"):
        list(stream_texts(io.BytesIO(b"fine\n" + "营业利润同比下降\n".encode("gbk"))))
    assert [b["text"].tolist() for b in stream_texts(io.BytesIO("营业利润".encode("gbk")), encoding="gbk")] == [
        ["营业利润"]
    ]
    with pytest.raises(DataError, match="must have at least one data row; got 'a stream' with none"):
        list(stream_texts(io.BytesIO(b"")))


def test_batches_must_have_rows() -> None:
    with pytest.raises(ConfigError, match=r"^`batch_rows` must be 1 or more; got 0\.$"):
        stream_texts("-", batch_rows=0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as handle:
        handle.write("text\n")
        for n in range(20_000):
            handle.write(f"headline {n} {'x' * 1000}\n")
    tracemalloc.start()
    count = sum(len(batch) for batch in stream_texts(path, batch_rows=256))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 6_000_000 < path.stat().st_size
