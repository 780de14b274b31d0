"""Opening a store: a new one is made, an old one brought up to date, anything else refused in words."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from tapereader.core import ConfigError, DataError, MissingExtraError
from tapereader.core.records import Prediction
from tapereader.store import PredictionStore, database, failures
from tapereader.store.migrating import known_revisions
from tapereader.store.tables import METADATA, REVISION, VERSION_TABLE

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def answers(first: int, last: int) -> list[Prediction]:
    return [
        Prediction(text_hash=f"{n:016x}", bundle_id="7f3a", label="up", probabilities=(n / 7,))
        for n in range(first, last)
    ]


def refusal(kind: type[Exception], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def run_sql(where: Path, *statements: str) -> list[Any]:
    connection = sqlite3.connect(where, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements]
    finally:
        connection.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk with the given options, or skip where this user may not."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        command = ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not mount a disk: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield mount
    for one in mounted:
        subprocess.run(["/bin/umount", str(one)], check=True)


def test_the_migrations_lead_to_the_tables_that_are_read(tmp_path: Path) -> None:
    PredictionStore.open(tmp_path / "predictions.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'predictions.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == REVISION
    engine.dispose()
    assert known_revisions()[-1] == REVISION


def test_a_new_file_has_a_write_ahead_log(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    PredictionStore.open(where).close()
    assert run_sql(where, "PRAGMA journal_mode") == [[("wal",)]]


@pytest.mark.parametrize("statements", [(), ("CREATE TABLE tapereader_version (version_num VARCHAR(32) NOT NULL)",)])
def test_an_empty_file_and_one_before_the_first_schema_are_brought_up_to_date(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    where = tmp_path / "predictions.db"
    where.touch()
    run_sql(where, *statements)
    with PredictionStore.open(where) as store:
        assert store.keep(answers(0, 3), backend="x", made_at=NOW) == 3
    assert run_sql(where, "SELECT * FROM tapereader_version") == [[(REVISION,)]]


def test_a_migration_that_fails_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tapereader.store import migrating

    whole = migrating.migrate

    def fail(connection: Any) -> None:
        whole(connection)
        raise RuntimeError("stopped")

    where = tmp_path / "predictions.db"
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrate", fail)
        with pytest.raises(RuntimeError, match="stopped"):
            PredictionStore.open(where)
    assert run_sql(where, "SELECT name FROM sqlite_master") == [[]]
    with PredictionStore.open(where) as store:
        assert store.count() == 0


def test_opening_a_present_store_loads_no_migrations(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    PredictionStore.open(where).close()
    code = (
        "import sys\nfrom tapereader.store import PredictionStore\n"
        f"PredictionStore.open({str(where)!r}).close()\nassert 'alembic' not in sys.modules\n"
        "assert not {'torch', 'pandas', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_package_loads_no_database_library() -> None:
    code = (
        "import sys, tapereader, tapereader.store\nassert not {'sqlalchemy', 'alembic', 'sqlite3'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    PredictionStore.open(where).close()
    run_sql(where, "UPDATE tapereader_version SET version_num = '9999'")
    before = where.read_bytes()
    assert refusal(DataError, lambda: PredictionStore.open(where)) == (
        f"A store must be of schema '0001' or older for this version of Tapereader; got {str(where)!r} of schema "
        "'9999'. Install the version that wrote it, or choose another place."
    )
    assert where.read_bytes() == before


@pytest.mark.parametrize("content", [b"x", b"id,text\n1,Profit rose.\n" * 500])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    where = tmp_path / "news.csv"
    where.write_bytes(content)
    assert refusal(DataError, lambda: PredictionStore.open(where)) == (
        f"A store must be an SQLite file; got {str(where)!r}, which is no database. Nothing was written: choose "
        "another place."
    )
    assert where.read_bytes() == content
    assert os.listdir(tmp_path) == ["news.csv"]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    where = tmp_path / "study.db"
    run_sql(where, "CREATE TABLE trials (n INTEGER)")
    before = where.read_bytes()
    assert refusal(DataError, lambda: PredictionStore.open(where)) == (
        f"A store must be a new database or one that Tapereader made; got {str(where)!r}, which holds 'trials' of "
        "another program. Nothing was written: choose another place."
    )
    assert where.read_bytes() == before


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    with PredictionStore.open(where) as store:
        store.keep(answers(0, 2000), backend="x", made_at=NOW)
    content = bytearray(where.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    where.write_bytes(content)
    with PredictionStore.open(where) as store:
        assert refusal(DataError, lambda: store.find("7f3a", ["0" * 16])) == (
            f"The store {str(where)!r} must be an undamaged SQLite file; got 'database disk image is malformed'. "
            "Restore a copy of it, or score into a new one."
        )


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(DataError, lambda: PredictionStore.open(tmp_path)) == (
        f"A store must be a file; got {str(tmp_path)!r}, which is a folder. Name a file in it, such as "
        f"{str(tmp_path / 'predictions.db')!r}."
    )


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(DataError, lambda: PredictionStore.open(tmp_path / "none" / "predictions.db")) == (
        f"The folder {str(tmp_path / 'none')!r} must exist to hold the store 'predictions.db'; it does not. Make it, "
        "or choose another place."
    )


def test_a_folder_that_cannot_be_written_is_refused(small_disk: Callable[[str], Path]) -> None:
    where = small_disk("ro") / "predictions.db"
    assert refusal(DataError, lambda: PredictionStore.open(where)) == (
        f"The store {str(where)!r} and its folder must be writable; got 'unable to open database file'. Nothing of "
        "this call was kept: allow it, or choose another place."
    )


def test_a_full_disk_keeps_no_part_of_a_call_and_all_before_it(small_disk: Callable[[str], Path]) -> None:
    where = small_disk("size=400k") / "predictions.db"
    full = (
        f"The disk must have room for the store {str(where)!r}; it is full. Nothing of this call was kept: free some "
        "space, or choose another place."
    )
    with PredictionStore.open(where) as store:
        store.keep(answers(0, 100), backend="x", made_at=NOW)
        assert refusal(DataError, lambda: store.keep(answers(0, 20_000), backend="x", made_at=NOW)) == full
        assert store.count() == 100
        assert store.keep(answers(100, 200), backend="x", made_at=NOW) == 100
    with PredictionStore.open(where) as store:
        assert store.find("7f3a", [one.text_hash for one in answers(0, 300)]) == {
            one.text_hash: one for one in answers(0, 200)
        }


def test_a_disk_too_full_for_a_new_store_holds_nothing_afterwards(small_disk: Callable[[str], Path]) -> None:
    where = small_disk("size=4k") / "predictions.db"
    assert refusal(DataError, lambda: PredictionStore.open(where)) == (
        f"The disk must have room for the store {str(where)!r}; it is full. Nothing of this call was kept: free some "
        "space, or choose another place."
    )
    assert os.listdir(where.parent) == []


def test_a_writer_that_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "predictions.db"
    monkeypatch.setattr(database, "_PATIENCE_SECONDS", 0)
    with PredictionStore.open(where) as store:
        other = sqlite3.connect(where, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert refusal(DataError, lambda: store.keep(answers(0, 1), backend="x", made_at=NOW)) == (
            f"The store {str(where)!r} must come free within 0 seconds; another process has held it for longer. "
            "Nothing of this call was kept: wait for that process, and try again."
        )
        other.execute("ROLLBACK")
        other.close()
        assert store.keep(answers(0, 1), backend="x", made_at=NOW) == 1


def test_any_other_failure_is_said_in_the_databases_words() -> None:
    with pytest.raises(DataError) as caught, failures.reported("here.db", patience_seconds=1):
        raise sqlite3.OperationalError("something else")
    assert str(caught.value) == (
        "The store 'here.db' must be readable and writable; got 'something else'. Nothing of this call was kept."
    )


def test_a_failed_write_on_a_disk_without_room_is_a_full_disk(small_disk: Callable[[str], Path]) -> None:
    where = small_disk("size=4k") / "predictions.db"
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    with pytest.raises(DataError, match="it is full") as caught, failures.reported(str(where), patience_seconds=1):
        raise failed
    assert caught.value.__cause__ is failed


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql://me:secret@host/name",
            "A store must be a file, or a database of SQLite or PostgreSQL; got one of 'mysql'. Choose another place.",
        ),
        (
            "postgresql://me:secret@host:port/name",
            "A store must be a file or a URL such as 'postgresql://user@host/name'; got a URL that cannot be read. "
            "Write special characters of a password as %40 and the like.",
        ),
        (
            "postgresql+none://me:secret@host/name",
            "The driver of a store must be one that SQLAlchemy knows; got 'postgresql+none'.",
        ),
        (
            "sqlite://",
            "A store must outlive the process; got 'sqlite://', which is in memory. Give the path of a file.",
        ),
    ],
)
def test_a_url_that_can_hold_no_store_is_refused_without_its_password(url: str, message: str) -> None:
    assert refusal(ConfigError, lambda: PredictionStore.open(url)) == message


@pytest.mark.skipif(importlib.util.find_spec("psycopg2cffi") is not None, reason="the driver of this test is installed")
def test_a_driver_that_is_not_installed_is_named() -> None:
    url = "postgresql+psycopg2cffi://me:secret@host/name"
    assert refusal(MissingExtraError, lambda: PredictionStore.open(url)) == (
        "A store at 'postgresql+psycopg2cffi://me:***@host/name' needs the package 'psycopg2cffi', which is not "
        "installed. Run: pip install psycopg2cffi."
    )
