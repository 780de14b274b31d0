"""Rows of a user's own file, in memory: CSV, TSV, Parquet, JSON, JSON lines, or one text a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tapereader.core.errors import DataError
from tapereader.sources.text.encoding import check_file, open_text

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".txt")
#: Programs write spreadsheets with other suffixes; say what to do instead of only what is known.
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def read_table(path: Path | str, *, encoding: str | None = None) -> pd.DataFrame:
    """Read a file of rows, whole, exactly as it was written.

    A CSV has no types, so every cell stays the text that stands there: ``000430`` keeps its zeros and ``NA`` stays a
    word. Parquet and JSON keep the types they state. Nothing is dropped: row ``i`` of the frame is data row ``i + 1``
    of the file.

    Parameters
    ----------
    path : a .csv, .tsv, .parquet, .jsonl, .json (array of objects, or lines) or .txt (one text a line) file
    encoding : of a text file; None follows a byte-order mark (UTF-8, UTF-16, UTF-32) and otherwise demands UTF-8

    Returns
    -------
    frame of N rows; one column ``text`` for .txt

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If the file is a folder, empty, damaged, ragged, in another encoding, or of an unknown suffix.
    """
    path = Path(path)
    batches = list(iter_tables(path, encoding=encoding, batch_rows=None))
    if not batches:
        raise DataError(f"A text file must have at least one data row; got {str(path)!r} with none.")
    return batches[0]


def iter_tables(path: Path, *, encoding: str | None, batch_rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file in frames of ``batch_rows``, or in one frame where that is None.

    Memory stays that of one batch, except for a .json file that holds an array: it is read whole.
    """
    suffix = path.suffix.lower()
    check_file(path)
    if suffix not in SUFFIXES:
        remedy = "Save the sheet as CSV UTF-8" if suffix in _SPREADSHEETS else "Convert or rename it"
        raise DataError(f"A text file must end in {', '.join(SUFFIXES)}; got {path.name!r}. {remedy}.")
    if suffix == ".parquet":
        yield from _parquet(path, batch_rows)
        return
    with open_text(path, encoding, newline="" if suffix in (".csv", ".tsv") else None) as lines:
        if suffix in (".csv", ".tsv"):
            yield from _delimited(lines, str(path), "," if suffix == ".csv" else "\t", batch_rows)
        elif suffix == ".txt":
            yield from plain_lines(lines, batch_rows)
        else:
            yield from _json(lines, path, batch_rows)


def plain_lines(lines: Iterator[str], batch_rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield one text a line, without its line end, as frames with the column ``text``."""
    for batch in _batched((line.rstrip("\r\n") for line in lines), batch_rows):
        yield pd.DataFrame({"text": batch})


def _batched(items: Iterator[Any], size: int | None) -> Iterator[list[Any]]:
    while batch := list(islice(items, size)):
        yield batch


def _delimited(lines: Iterator[str], name: str, delimiter: str, batch_rows: int | None) -> Iterator[pd.DataFrame]:
    # The limit is one for the whole process and far below a long article; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"A CSV file must start with a header line; got {name!r} with none.")
        columns = [title.strip() or f"column_{index}" for index, title in enumerate(header, start=1)]
        _check_names(columns, name)
        for batch in _batched(_even_rows(reader, len(columns), name), batch_rows):
            cells = list(zip(*batch, strict=True))
            yield pd.DataFrame({title: list(cells[index]) for index, title in enumerate(columns)})
    except csv.Error as error:
        raise DataError(
            f"A CSV file must have closed quotes and plain delimiters; got line {reader.line_num} of {name!r}: {error}."
        ) from error


def _even_rows(reader: Any, width: int, name: str) -> Iterator[list[str]]:
    for row, cells in enumerate((cells for cells in reader if cells), start=1):
        if len(cells) != width:
            raise DataError(
                f"Every CSV row must have {width} cells like the header; got {len(cells)} in row {row} "
                f"(line {reader.line_num}) of {name!r}. Quote cells that hold the delimiter."
            )
        yield cells


def _check_names(columns: list[str], name: str) -> None:
    repeated = next((title for title in columns if columns.count(title) > 1), None)
    if repeated is not None:
        raise DataError(f"Column names must differ; got {repeated!r} twice in {name!r}.")


def _parquet(path: Path, batch_rows: int | None) -> Iterator[pd.DataFrame]:
    try:
        with pq.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names, str(path))
            if batch_rows is None:
                table = file.read()
                if table.num_rows:
                    yield table.to_pandas(ignore_metadata=True)
                return
            for batch in file.iter_batches(batch_size=batch_rows):
                yield pa.Table.from_batches([batch]).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"A Parquet file must be whole; got {str(path)!r}, truncated, damaged or of another format: {first}."
        ) from error


def _json(lines: Iterator[str], path: Path, batch_rows: int | None) -> Iterator[pd.DataFrame]:
    # Lines are counted as an editor counts them, blank ones included, so that the number can be looked up.
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    if path.suffix.lower() == ".json" and first[1].lstrip().startswith("["):
        records = _json_array("\n" * (first[0] - 1) + first[1] + "".join(lines), path)
    else:
        records = _json_lines(path, chain([first], numbered))
    for batch in _batched(records, batch_rows):
        titles = dict.fromkeys(title for record in batch for title in record)
        yield pd.DataFrame({title: _column([record.get(title) for record in batch]) for title in titles})


def _column(values: list[Any]) -> pd.Series[Any]:
    # Mixed values stay as they are: pandas would turn [1, None] into 1.0 and NaN, and a label of 1 into "1.0".
    kinds = {type(value) for value in values}
    same = kinds <= {str, type(None)} or (len(kinds) == 1 and kinds <= {int, float, bool})
    return pd.Series(values) if same and kinds != {type(None)} else pd.Series(values, dtype="object")


def _json_array(content: str, path: Path) -> Iterator[dict[str, Any]]:
    try:
        values = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(
            f"A JSON file must be valid; got line {error.lineno} of {str(path)!r}: {error.msg.removesuffix(' at')}."
        ) from error
    except RecursionError:
        raise DataError(
            f"A JSON file must be an array of flat objects; got endless nesting in {path.name!r}."
        ) from None
    for row, value in enumerate(values, start=1):
        yield _record(value, f"item {row} of {str(path)!r}")


def _json_lines(path: Path, numbered: Iterator[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    for number, line in numbered:
        place = f"line {number} of {str(path)!r}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"Every line must be one JSON object; got {place}: {error.msg.removesuffix(' at')} at column "
                f"{error.colno}."
            ) from error
        except RecursionError:
            raise DataError(f"Every line must be one flat JSON object; got endless nesting in {place}.") from None
        yield _record(value, place)


def _record(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"Every line must be one JSON object, like {{'text': ...}}; got {place}: {value!r:.60}.")
    for cell in value.values():
        if isinstance(cell, str):
            try:
                cell.encode()
            except UnicodeEncodeError:
                raise DataError(
                    f"Text must be whole characters; got half of a surrogate pair in {place}. Write the file as UTF-8."
                ) from None
    return value
