"""The database under a store: found or made, of the present schema, with whole transactions only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tapereader.core.errors import ConfigError, DataError, MissingExtraError
from tapereader.store.failures import no_database, reported
from tapereader.store.tables import PREDICTIONS, REVISION, VERSION_TABLE

#: How long one process waits for another that is writing to the same file.
_PATIENCE_SECONDS = 60
_VERSIONS = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))
#: Any number that other programs on the same server do not lock by; these are the letters "tape".
_MIGRATION_LOCK = 0x74617065
#: Keys are hashes, so a batch touches pages all over the index. With a log of 64 MB before it is merged into the file
#: and 32 MB of pages in memory, predictions are kept twice as fast as with SQLite's own 4 MB and 2 MB.
_LOG_PAGES, _CACHE_KIB = 16_384, 32_768


class Database:
    """An SQLite file or a PostgreSQL database that holds a store.

    A file is made where there is none. Writers take turns from the start of a transaction, so that none fails midway;
    readers never wait (write-ahead log). What is written survives ``kill -9``; after a power cut the last
    transactions may be missing, never a part of one.

    Parameters
    ----------
    where : path of a file, or a URL of SQLAlchemy (``sqlite:///...``, ``postgresql://...``)

    Attributes
    ----------
    place : where it is, in words that hold no password
    is_file : True for SQLite

    Raises
    ------
    ConfigError
        If ``where`` is no path and no URL of a database that can hold a store.
    MissingExtraError
        If the driver of that database is not installed.
    DataError
        If the database cannot be opened, is not a store, or is one of a newer version.
    """

    def __init__(self, where: Path | str) -> None:
        url = _url(where)
        self.is_file = url.get_backend_name() == "sqlite"
        self.place = str(url.database) if self.is_file else url.render_as_string(hide_password=True)
        is_new = self.is_file and _is_new(Path(self.place))
        self._engine = _engine(url)
        self._is_open = True
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            if is_new:
                _remove_empty(Path(self.place))
            raise

    def close(self) -> None:
        """Let go of the database; the last process to do so folds the write-ahead log into the file."""
        self._is_open = False
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database, whatever others write meanwhile."""
        with self._reported(), self._engine.connect() as plain:
            # A transaction of SQLite always is of one moment.
            connection = plain if self.is_file else plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose writes happen together at the end, or not at all where something raises."""
        with self._reported(), self._engine.connect() as plain:
            connection = plain.execution_options(tapereader_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _reported(self) -> Iterator[None]:
        if not self._is_open:
            raise ConfigError(f"The store {self.place!r} must be open to be used; it was closed. Open it again.")
        with reported(self.place, patience_seconds=_PATIENCE_SECONDS):
            yield

    def _bring_up_to_date(self) -> None:
        with self.reading() as connection:
            revision = self._revision(connection)
        if revision not in (None, REVISION):
            self._refuse_newer(revision)
        if self.is_file:
            with self._reported():
                self._use_log()
        if revision == REVISION:
            return
        # Alembic takes a quarter of a second to load, and few openings need it.
        from tapereader.store.migrating import migrate

        with self.writing() as connection:
            if not self.is_file:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            if self._revision(connection) != REVISION:  # else another process was quicker
                migrate(connection)

    def _refuse_newer(self, revision: str | None) -> None:
        from tapereader.store.migrating import known_revisions

        if revision not in known_revisions():
            raise DataError(
                f"A store must be of schema {REVISION!r} or older for this version of Tapereader; got {self.place!r} "
                f"of schema {revision!r}. Install the version that wrote it, or choose another place."
            )

    def _revision(self, connection: Connection) -> str | None:
        tables = set(inspect(connection).get_table_names())
        if VERSION_TABLE in tables:
            return connection.execute(select(_VERSIONS.c.version_num)).scalar()
        # A file is one program's; a server's database may be shared as long as the names do not meet.
        foreign = tables if self.is_file else tables & {PREDICTIONS.name}
        if foreign:
            raise DataError(
                f"A store must be a new database or one that Tapereader made; got {self.place!r}, which holds "
                f"{min(foreign)!r} of another program. Nothing was written: choose another place."
            )
        return None

    def _use_log(self) -> None:
        # Changing to the write-ahead log needs the file for a moment, and SQLite does not wait for that by itself.
        patient_until = time.monotonic() + _PATIENCE_SECONDS
        connection = self._engine.raw_connection()
        try:
            while True:
                try:
                    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
                    if mode != "wal":
                        connection.execute("PRAGMA journal_mode=WAL").fetchone()
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > patient_until:
                        raise
                    time.sleep(0.01)
        finally:
            connection.close()


def _url(where: Path | str) -> URL:
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(Path(where)))
    try:
        url = make_url(where)
        known = url.get_backend_name() in ("sqlite", "postgresql")
    except (ArgumentError, ValueError) as error:
        # The text is not shown: it may hold a password, and nothing says where.
        raise ConfigError(
            "A store must be a file or a URL such as 'postgresql://user@host/name'; got a URL that cannot be read. "
            "Write special characters of a password as %40 and the like."
        ) from error
    if not known:
        raise ConfigError(
            f"A store must be a file, or a database of SQLite or PostgreSQL; got one of {url.get_backend_name()!r}. "
            "Choose another place."
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError(
            f"A store must outlive the process; got {where!r}, which is in memory. Give the path of a file."
        )
    return url


def _is_new(path: Path) -> bool:
    if path.is_dir():
        raise DataError(
            f"A store must be a file; got {str(path)!r}, which is a folder. Name a file in it, such as "
            f"{str(path / 'predictions.db')!r}."
        )
    if not path.parent.is_dir():
        raise DataError(
            f"The folder {str(path.parent)!r} must exist to hold the store {path.name!r}; it does not. Make it, or "
            "choose another place."
        )
    # SQLite takes a file of one byte for a new one. The content is not looked at here: to close a file is to give up
    # the locks that the process holds on it, another store's too.
    if path.is_file() and path.stat().st_size == 1:
        raise DataError(no_database(str(path)))
    return not path.exists()


def _remove_empty(path: Path) -> None:
    # A file that SQLite made and could not fill. One that another process has filled meanwhile is not empty.
    if path.is_file() and path.stat().st_size == 0:
        path.unlink()


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url)
        engine = create_engine(url, connect_args={"timeout": _PATIENCE_SECONDS})
    except NoSuchModuleError as error:
        raise ConfigError(
            f"The driver of a store must be one that SQLAlchemy knows; got {url.drivername!r}."
        ) from error
    except ModuleNotFoundError as error:
        asked = '"psycopg[binary]"' if error.name == "psycopg" else error.name
        raise MissingExtraError(
            f"A store at {url.render_as_string(hide_password=True)!r} needs the package {error.name!r}, which is not "
            f"installed. Run: pip install {asked}."
        ) from error
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    # None: Python begins no transaction of its own accord; `_begin` does, and says of which kind.
    connection.isolation_level = None
    for setting in ("synchronous=NORMAL", f"cache_size=-{_CACHE_KIB}", f"wal_autocheckpoint={_LOG_PAGES}"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tapereader_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
