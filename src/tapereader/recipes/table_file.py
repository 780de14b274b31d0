"""A table file that appears when it is complete, and that a killed run goes on with where it was."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tapereader.core.errors import DataError
from tapereader.recipes.tables import TableFormat, arrow_table, format_of, reason, write_text_rows

if TYPE_CHECKING:
    import pandas as pd

_JOURNAL = "journal.json"
#: Seconds between two savings: a kill costs as much work, and the disk is not asked for every batch.
_EVERY = 1.0
#: Frames held until then, so that memory stays bounded however slow the clock is.
_MOST_FRAMES = 64


class TableFile:
    """Writes frames to a hidden folder beside a file's name, and puts the file in its place when the block ends well.

    The folder holds the rows written so far and a journal, written after them, of how many they are and whose. Where a
    run was killed, the next one with the same identity is told how many rows are there and goes on behind them: what
    lies beyond the journal is cut off, so no row is lost or doubled. An error removes the folder; being interrupted
    (Ctrl-C) does not.

    Parameters
    ----------
    path : ends in .csv, .jsonl or .parquet
    identity : what decides every row, in plain JSON types; None never goes on, and leaves nothing when it is killed
        that a later run would take up
    format : must agree with the ending

    Attributes
    ----------
    rows : written so far, those of the killed run included
    notes : what was told with the last rows that are safe

    Raises
    ------
    ConfigError
        If the format is unknown.
    DataError
        If the file cannot be written, or another process is writing it.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any] | None = None,
        *,
        format: TableFormat | None = None,  # noqa: A002 (public word)
    ) -> None:
        self._path = path
        self._format = format_of(path, format)
        self._identity = None if identity is None else json.dumps(dict(identity), sort_keys=True)
        name = f".{path.name}.part" if identity is not None else f".{path.name}.{secrets.token_hex(4)}.tmp"
        self._folder = path.with_name(name)
        self._pending: list[pd.DataFrame] = []
        self._schema: Any = None
        self._stream: Any = None
        self._lock: int | None = None
        self._safe = 0
        self._pieces = 0
        self.rows = 0
        self.notes: dict[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder, os.O_RDONLY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                self._lock = None
                raise DataError(
                    f"The table {str(self._path)!r} must be written by one process at a time; another one is at it. "
                    "Wait for it, or give another name."
                ) from None
            self._take_up()
            if self._format != "parquet":
                self._stream = self._rows_file.open("a", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            self._drop()
            raise self._failed(error) from error
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        broken_off = error is not None and not isinstance(error, Exception)
        try:
            if error is None or (broken_off and self._identity is not None):
                self._make_safe()
            if error is None:
                self._finish()
        except OSError as fault:
            if error is None:  # else the first fault is the one to tell
                raise self._failed(fault) from fault
        finally:
            if self._stream is not None:
                with suppress(OSError):  # what could not be flushed was told above
                    self._stream.close()
            if broken_off and self._identity is not None:
                os.close(self._lock)  # type: ignore[arg-type]  # set by __enter__
            else:
                self._drop()

    def write(self, frame: pd.DataFrame, notes: Mapping[str, Any] | None = None) -> None:
        """Append the rows of a frame.

        Parameters
        ----------
        frame : of the same columns as all others; in Parquet also of the same types
        notes : plain JSON types, kept with the rows

        Raises
        ------
        DataError
            If the disk is full, or a Parquet column changes its type.
        """
        if self._schema is None and self._format == "parquet":
            self._schema = arrow_table(frame).schema
        self._pending.append(frame)
        self.rows += len(frame)
        self.notes = dict(notes or {})
        if time.monotonic() - self._began >= _EVERY or len(self._pending) >= _MOST_FRAMES:
            try:
                self._make_safe()
            except OSError as error:
                raise self._failed(error) from error

    @property
    def _rows_file(self) -> Path:
        return self._folder / f"rows.{self._format}"

    def _piece(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"

    def _take_up(self) -> None:
        """Cut what lies beyond the journal, or begin anew where it is of another run or does not fit the rows."""
        found = self._read_journal()
        if found is not None:
            self._safe, self._pieces = found["rows"], found["pieces"]
            self.rows, self.notes = found["rows"], found["notes"]
            if self._format != "parquet":
                os.truncate(self._rows_file, found["bytes"])
            elif self._pieces:
                from pyarrow import parquet

                self._schema = parquet.read_schema(self._piece(1))
            return
        for left in self._folder.iterdir():
            left.unlink()

    def _read_journal(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self._folder / _JOURNAL).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if self._identity is None or found.get("identity") != self._identity:
            return None
        if self._format == "parquet":
            whole = all(self._piece(number).is_file() for number in range(1, found["pieces"] + 1))
        else:  # a power cut may keep the journal and lose the rows
            whole = self._rows_file.is_file() and self._rows_file.stat().st_size >= found["bytes"]
        return found if whole else None

    def _make_safe(self) -> None:
        """Write the pending rows, and then the journal that counts them."""
        if self._pending:
            frames, self._pending = self._pending, []
            if self._format == "parquet":
                tables = [arrow_table(frame, self._schema) for frame in frames]
                self._write_piece(tables)
            else:
                for frame in frames:
                    write_text_rows(frame, self._stream, format=self._format, header=self._safe == 0)
                    self._safe += len(frame)
                self._stream.flush()
                os.fsync(self._stream.fileno())
            self._safe = self.rows
            self._write_journal()
        self._began = time.monotonic()

    def _write_piece(self, tables: list[Any]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._pieces += 1
        with self._piece(self._pieces).open("wb") as stream:
            parquet.write_table(pa.concat_tables(tables), stream)
            os.fsync(stream.fileno())

    def _write_journal(self) -> None:
        if self._identity is None:
            return
        text = json.dumps(
            {
                "identity": self._identity, "rows": self._safe, "pieces": self._pieces, "notes": self.notes,
                "bytes": None if self._format == "parquet" else os.fstat(self._stream.fileno()).st_size,
            }
        )  # fmt: skip
        draft = self._folder / f"{_JOURNAL}.tmp"
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self._folder / _JOURNAL)

    def _finish(self) -> None:
        if self._format == "parquet":
            self._join()
        self._rows_file.replace(self._path)

    def _join(self) -> None:
        """Put the pieces into one file, a piece at a time."""
        from pyarrow import parquet

        with self._rows_file.open("wb") as stream:
            if self._schema is not None:
                with parquet.ParquetWriter(stream, self._schema) as writer:
                    for number in range(1, self._pieces + 1):
                        writer.write_table(parquet.read_table(self._piece(number), schema=self._schema))
            stream.flush()
            os.fsync(stream.fileno())

    def _drop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _failed(self, error: OSError) -> DataError:
        return DataError(
            f"The table {str(self._path)!r} must be written; got {reason(error)!r}. Nothing was left behind."
        )
