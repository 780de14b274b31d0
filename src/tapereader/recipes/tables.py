"""Tables written frame by frame to a stream, and what a table's name says of its format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from tapereader.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

TableFormat = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[TableFormat, ...] = ("csv", "jsonl", "parquet")


class TableStream:
    """Writes frames one after the other to an open text stream, which stays open.

    Parameters
    ----------
    stream : takes text
    format : ``csv`` or ``jsonl``

    Raises
    ------
    ConfigError
        If the format does not suit a stream.
    """

    def __init__(self, stream: IO[str], *, format: TableFormat | None) -> None:  # noqa: A002 (public word)
        if format not in ("csv", "jsonl"):
            raise ConfigError(f"A stream takes the format csv or jsonl; got {format!r}.")
        self._stream = stream
        self._format = format
        self._first = True

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of a frame.

        Raises
        ------
        DataError
            If the stream cannot be written to.
        BrokenPipeError
            If whoever reads it has stopped reading.
        """
        try:
            write_text_rows(frame, self._stream, format=self._format, header=self._first)
        except BrokenPipeError:  # the reader has seen enough (``| head``): nothing failed
            raise
        except OSError as error:
            raise DataError(f"The output must be written; got {reason(error)!r}.") from error
        self._first = False


def write_text_rows(frame: pd.DataFrame, stream: IO[str], *, format: TableFormat, header: bool) -> None:  # noqa: A002
    """Append the rows of a frame as CSV (with its header, if asked) or as JSON lines."""
    if format == "csv":
        frame.to_csv(stream, header=header, index=False, lineterminator="\n")
    else:
        frame.to_json(stream, orient="records", lines=True, force_ascii=False, date_format="iso")


def arrow_table(frame: pd.DataFrame, schema: Any = None) -> Any:
    """Return a frame as an Arrow table, in the schema of the tables before it where one is given.

    Raises
    ------
    DataError
        If a column is not of the type it began with.
    """
    import pyarrow as pa

    try:
        if schema is not None:
            return pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        # A column that is empty in the first batch has no type yet; text can hold whatever comes.
        fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
        return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, KeyError) as error:
        raise DataError(
            f"A Parquet column must keep its type from the first row to the last; {error}. Write .csv or .jsonl."
        ) from error


def format_of(path: Path, format: TableFormat | None = None) -> TableFormat:  # noqa: A002 (public word)
    """Return the format that a file's name says.

    Raises
    ------
    ConfigError
        If its ending is unknown, or not that of the format that was asked for.
    """
    suffix = path.suffix.lower().removeprefix(".")
    for known in FORMATS:
        if known == suffix and format in (None, known):
            return known
    if format is None:
        raise ConfigError(f"An output file must end in .csv, .jsonl or .parquet; got {str(path)!r}.")
    raise ConfigError(f"`format` must agree with the end of the output's name; got {format!r} and {str(path)!r}.")


def reason(error: OSError) -> str:
    """Return what the system says went wrong."""
    return os.strerror(error.errno) if error.errno else str(error)
