"""Tables written batch by batch, which appear under their name only when they are complete."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self

from tapereader.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

TableFormat = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[TableFormat, ...] = ("csv", "jsonl", "parquet")


class TableWriter:
    """Writes frames one after the other to a file, or to an open text stream.

    A file is written beside its name and renamed when the block ends well; an error removes it. Memory holds one
    frame. All frames must have the same columns; in Parquet also the same types.

    Parameters
    ----------
    output : a path that ends in .csv, .jsonl or .parquet, or an open text stream, which stays open
    format : needed for a stream; for a path its ending says it

    Raises
    ------
    ConfigError
        If the format is unknown or does not suit a stream.
    DataError
        If the file cannot be written.
    """

    def __init__(self, output: Path | IO[str], *, format: TableFormat | None = None) -> None:  # noqa: A002 (public word)
        self._path = output if isinstance(output, Path) else None
        self._stream: Any = None if isinstance(output, Path) else output
        self._format = _format_of(output, format)
        self._draft: Path | None = None
        self._parquet: Any = None
        self._first = True

    def __enter__(self) -> Self:
        if self._path is not None:
            draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.tmp")
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # Half a surrogate pair is no character and has no bytes; its row is shown with an escape.
                self._stream = (
                    draft.open("wb")
                    if self._format == "parquet"
                    else draft.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                )
            except OSError as error:
                raise self._failed(error) from error
            self._draft = draft
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._draft is None or self._path is None:
            return
        try:
            try:
                if self._parquet is not None:
                    self._parquet.close()
                self._stream.flush()
                os.fsync(self._stream.fileno())
            finally:
                self._stream.close()
            if error is None:
                self._draft.replace(self._path)
        except OSError as fault:
            if error is None:  # else the first fault is the one to tell
                raise self._failed(fault) from fault
        finally:
            self._draft.unlink(missing_ok=True)

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of a frame.

        Raises
        ------
        DataError
            If the disk is full, or a Parquet column changes its type.
        BrokenPipeError
            If whoever reads the stream has stopped reading.
        """
        try:
            if self._format == "csv":
                frame.to_csv(self._stream, header=self._first, index=False, lineterminator="\n")
            elif self._format == "jsonl":
                frame.to_json(self._stream, orient="records", lines=True, force_ascii=False, date_format="iso")
            else:
                self._write_parquet(frame)
        except BrokenPipeError:  # the reader has seen enough (``| head``): nothing failed
            raise
        except OSError as error:
            raise self._failed(error) from error
        self._first = False

    def _write_parquet(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            if self._parquet is None:
                table = pa.Table.from_pandas(frame, preserve_index=False)
                # A column that is empty in the first batch has no type yet; text can hold whatever comes.
                fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
                self._parquet = parquet.ParquetWriter(self._stream, pa.schema(fields))
            table = pa.Table.from_pandas(frame, schema=self._parquet.schema, preserve_index=False)
            self._parquet.write_table(table)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, KeyError) as error:
            raise DataError(
                f"A Parquet column must keep its type from the first row to the last; {error}. Write .csv or .jsonl."
            ) from error

    def _failed(self, error: OSError) -> DataError:
        where = "the output" if self._path is None else repr(str(self._path))
        what = os.strerror(error.errno) if error.errno else str(error)
        return DataError(f"The table {where} must be written; got {what!r}. Nothing was left behind.")


def _format_of(output: Path | IO[str], format: TableFormat | None) -> TableFormat:  # noqa: A002 (public word)
    if not isinstance(output, Path):
        if format not in ("csv", "jsonl"):
            raise ConfigError(f"A stream takes the format csv or jsonl; got {format!r}.")
        return format
    suffix = output.suffix.lower().removeprefix(".")
    for known in FORMATS:
        if known == suffix and format in (None, known):
            return known
    if format is None:
        raise ConfigError(f"An output file must end in .csv, .jsonl or .parquet; got {str(output)!r}.")
    raise ConfigError(f"`format` must agree with the end of the output's name; got {format!r} and {str(output)!r}.")
