"""Texts to score, in batches of constant memory: from a file larger than memory, or from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from tapereader.core.errors import ConfigError, DataError
from tapereader.sources.text.columns import find_column, keep_others, text_cells
from tapereader.sources.text.encoding import check_encoding, checked_lines, likely_encoding
from tapereader.sources.text.table import iter_tables, plain_lines


def stream_texts(
    source: Path | str | IO[Any],
    *,
    text: str | None = None,
    pair: str | None = None,
    batch_rows: int = 1024,
    encoding: str | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield texts in batches, in the order of the file.

    Parameters
    ----------
    source : a file as :func:`read_table` reads, ``-`` for standard input, or an open stream; a stream and a .txt file
        have one text a line
    text : the text column, or None to go by an obvious name
    pair : the column of second texts, or None
    batch_rows : greatest number of rows in one batch
    encoding : of the text; None follows a byte-order mark and otherwise demands UTF-8

    Yields
    ------
    frames with ``row`` (data row in the source, counted from 1), ``text``, ``pair`` where asked for, and the source's
        other columns (one named ``row``, ``text``, ``pair``, ``label``, ``known_at`` or ``group`` comes as
        ``source_<name>``); missing texts as ``""``

    Raises
    ------
    ConfigError
        If ``batch_rows`` or ``encoding`` is wrong.
    UnknownNameError
        If a column is not there.
    DataError
        As :func:`read_table`, at the batch where the fault is.
    """
    if batch_rows < 1:
        raise ConfigError(f"`batch_rows` must be 1 or more; got {batch_rows}.")
    check_encoding(encoding)
    if source == "-" or not isinstance(source, str | Path):
        stream = sys.stdin.buffer if isinstance(source, str | Path) else source
        name = str(getattr(stream, "name", "a stream"))
        frames = plain_lines(_stream_lines(stream, name.strip("<>"), encoding or "utf-8"), batch_rows)
        text = "text"
    else:
        name = str(source)
        frames = iter_tables(Path(source), encoding=encoding, batch_rows=batch_rows)
    return _named(frames, name, text, pair)


def count_rows(path: Path, *, encoding: str | None = None, batch_rows: int = 1024) -> int:
    """Return how many data rows :func:`stream_texts` will yield of a file, by reading it once.

    Parameters
    ----------
    path, encoding, batch_rows : as :func:`stream_texts` takes them

    Raises
    ------
    DataError
        If the file cannot be read to its end: better before hours of scoring than after.
    """
    return sum(map(len, iter_tables(path, encoding=encoding, batch_rows=batch_rows)))


def _named(frames: Iterator[pd.DataFrame], name: str, text: str | None, pair: str | None) -> Iterator[pd.DataFrame]:
    first_row = 1
    for frame in frames:
        if first_row == 1:
            text = find_column(frame, text, role="text", where=name)
            pair = None if pair is None else find_column(frame, pair, role="pair", where=name)
        # JSON lines may leave a field out of a whole batch: the same as null.
        for column in (text, pair):
            if column is not None and column not in frame.columns:
                frame = frame.assign(**{column: None})
        out: dict[str, Any] = {
            "row": range(first_row, first_row + len(frame)),
            "text": text_cells(frame[text], role="text", where=name, first_row=first_row),
        }
        if pair is not None:
            out["pair"] = text_cells(frame[pair], role="pair", where=name, first_row=first_row)
        used = {column for column in (text, pair) if column is not None}
        yield pd.DataFrame(out | keep_others(frame, used))
        first_row += len(frame)
    if first_row == 1:
        raise DataError(f"A text file must have at least one data row; got {name!r} with none.")


def _stream_lines(stream: IO[Any], name: str, encoding: str) -> Iterator[str]:
    def decoded() -> Iterator[str]:
        for number, raw in enumerate(stream, start=1):
            if isinstance(raw, str):
                yield raw
                continue
            try:
                yield raw.decode("utf-8-sig" if number == 1 and encoding.lower() in ("utf-8", "utf8") else encoding)
            except UnicodeDecodeError as error:
                likely = likely_encoding(raw)
                raise DataError(
                    f"Lines must be {encoding}; got other bytes in line {number} of {name!r}. "
                    f"They look like {likely}: give `encoding={likely!r}` (`--encoding {likely}`)."
                ) from error

    return checked_lines(decoded(), name)
