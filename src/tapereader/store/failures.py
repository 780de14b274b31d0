"""What a database says when it fails, put into words for the one who asked."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from tapereader.core.errors import DataError

#: Free bytes below which a failed input or output of SQLite means a full disk: it does not always say so itself.
_NO_ROOM = 1 << 20
_UNWRITABLE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_HELD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextmanager
def reported(place: str, *, patience_seconds: int) -> Iterator[None]:
    """Turn a failure of the database at ``place`` into a message; anything else passes through.

    Raises
    ------
    DataError
        If the database failed.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            raise DataError(_of_sqlite(cause, place, patience_seconds)) from error
        raise DataError(
            f"The database of the store {place!r} must do what it is asked; got {_first_line(cause)!r}. Nothing of "
            "this call was kept: see that it runs and lets you in, and try again."
        ) from error
    except UnicodeEncodeError as error:
        raise DataError(
            f"Names and labels must be text that UTF-8 can hold; got {error.object!r} for the store {place!r}. Nothing "
            "of this call was kept: rename the label."
        ) from error


def no_database(place: str) -> str:
    """Return the message about a file that is no database."""
    return (
        f"A store must be an SQLite file; got {place!r}, which is no database. Nothing was written: choose "
        "another place."
    )


def _of_sqlite(error: sqlite3.Error, place: str, patience_seconds: int) -> str:
    # The low byte is the kind of failure, the rest says where in SQLite it arose. Errors of Python's layer have none.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and _is_full(place)):
        return (
            f"The disk must have room for the store {place!r}; it is full. Nothing of this call was kept: free some "
            "space, or choose another place."
        )
    if kind == sqlite3.SQLITE_NOTADB:
        return no_database(place)
    if kind == sqlite3.SQLITE_CORRUPT:
        return (
            f"The store {place!r} must be an undamaged SQLite file; got {str(error)!r}. Restore a copy of it, or score "
            "into a new one."
        )
    if kind in _UNWRITABLE:
        return (
            f"The store {place!r} and its folder must be writable; got {str(error)!r}. Nothing of this call was kept: "
            "allow it, or choose another place."
        )
    if kind in _HELD:
        return (
            f"The store {place!r} must come free within {patience_seconds} seconds; another process has held it for "
            "longer. Nothing of this call was kept: wait for that process, and try again."
        )
    return f"The store {place!r} must be readable and writable; got {str(error)!r}. Nothing of this call was kept."


def _is_full(place: str) -> bool:
    return shutil.disk_usage(Path(place).parent).free < _NO_ROOM


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
