"""Bringing a database to the present schema, in the transaction it is handed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tapereader.store.tables import VERSION_TABLE

_FOLDER = Path(__file__).parent / "migrations"


def known_revisions() -> list[str]:
    """Return the revisions there are, oldest first."""
    return [script.revision for script in _scripts().walk_revisions()][::-1]


def migrate(connection: Connection) -> None:
    """Run the steps that a database lacks. The caller's transaction makes them one: all happen, or none.

    Parameters
    ----------
    connection : in a transaction, to an empty database or one at a known revision
    """
    scripts = _scripts()

    def steps(revisions: tuple[str, ...], _context: MigrationContext) -> Iterable[RevisionStep]:
        missing = list(scripts.iterate_revisions("head", revisions or None))
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script) for script in reversed(missing)]

    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "fn": steps})
    context.run_migrations(operations=Operations(context))


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER), version_locations=[str(_FOLDER)])
