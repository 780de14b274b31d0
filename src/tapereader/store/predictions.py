"""The store of predictions: what a bundle said about a text, kept once and read to the bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tapereader.core.errors import ConfigError
from tapereader.core.records import Prediction
from tapereader.store.database import Database
from tapereader.store.tables import PREDICTIONS

_READ = ("text_hash", "label", "probabilities", "value", "prediction_set", "abstained")
#: Hashes asked for at once: below the number of parameters that any SQLite takes, and no slower than more.
_CHUNK = 1000
_COLUMNS = PREDICTIONS.c


class PredictionStore:
    """Predictions by bundle and text, each written once.

    A second answer of the same bundle to the same text is not taken, however it was computed: all who read the store
    work with the same numbers, which are those of the first, bit for bit. Any number of processes may read and write
    the same store. Open one with `open`, and use it in a ``with``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> said = Prediction(text_hash="9f2c", bundle_id="7f3a", label="up", probabilities=(0.25, 0.75))
    >>> with TemporaryDirectory() as folder, PredictionStore.open(f"{folder}/predictions.db") as store:
    ...     first = store.keep([said], backend="onnxruntime", made_at=datetime(2026, 1, 2, tzinfo=UTC))
    ...     again = store.keep([said], backend="openvino", made_at=datetime(2026, 1, 3, tzinfo=UTC))
    ...     found = store.find("7f3a", ["9f2c", "0000"])
    >>> first, again, found == {"9f2c": said}
    (1, 0, True)
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """Open a store; a file that is not there is made, and an older schema brought to the present one.

        Parameters
        ----------
        where : path of an SQLite file in a folder that exists, or a URL of SQLAlchemy: ``sqlite:///file``, or
            ``postgresql://user@host/name`` where a driver of PostgreSQL is installed

        Raises
        ------
        ConfigError
            If ``where`` is no path and no URL of a database that can hold a store.
        MissingExtraError
            If the driver of that database is not installed.
        DataError
            If it cannot be opened or made, is not a store, or is one of a newer version.
        """
        return cls(Database(where))

    def close(self) -> None:
        """Let go of the file or server; what was kept is safe before this."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, bundle_id: str, hashes: Sequence[str]) -> dict[str, Prediction]:
        """Return what is kept of a bundle's answers, by text hash; a text without one is not in the result.

        All of it is of one moment: what another process keeps during the call is not seen.

        Parameters
        ----------
        bundle_id : the bundle that answered
        hashes : N names of texts, in any order; N may be hundreds of thousands

        Raises
        ------
        DataError
            If the database fails.
        """
        found: dict[str, Prediction] = {}
        if not hashes:
            return found
        with self._database.reading() as connection:
            for start in range(0, len(hashes), _CHUNK):
                for row in self._rows(connection, bundle_id, hashes[start : start + _CHUNK]):
                    found[row[0]] = _prediction(bundle_id, *row)
        return found

    def keep(self, predictions: Sequence[Prediction], *, backend: str, made_at: datetime) -> int:
        """Keep predictions, all together or none; one whose bundle and text are there already changes nothing.

        Parameters
        ----------
        predictions : N answers, of one or more bundles
        backend : what computed them
        made_at : when they were computed, an instant with its time zone

        Returns
        -------
        how many were new

        Raises
        ------
        ConfigError
            If ``made_at`` has no time zone.
        DataError
            If the database fails; nothing of this call is kept then.
        """
        if made_at.utcoffset() is None:
            raise ConfigError(
                f"`made_at` must be an instant with its time zone; got {made_at!r}. Use `datetime.now(UTC)`."
            )
        if not predictions:
            return 0
        instant = made_at.astimezone(UTC).isoformat(timespec="microseconds")
        rows = [_row(prediction, backend, instant) for prediction in predictions]
        # In the order of the key: processes that keep the same texts cannot wait for each other in a circle. The sort
        # leaves twins in their order, so that the first of them is the one that stays.
        rows.sort(key=itemgetter(0, 1))
        with self._database.writing() as connection:
            if self._database.is_file:
                return connection.exec_driver_sql(_INSERT_IN_FILE, rows).rowcount
            names = _COLUMNS.keys()
            new = connection.execute(_INSERT_ON_SERVER, [dict(zip(names, row, strict=True)) for row in rows])
            return len(new.all())

    def count(self, bundle_id: str | None = None) -> int:
        """Return how many predictions are kept, of one bundle or of all.

        Raises
        ------
        DataError
            If the database fails.
        """
        asked = select(func.count()).select_from(PREDICTIONS)
        if bundle_id is not None:
            asked = asked.where(_COLUMNS.bundle_id == bundle_id)
        with self._database.reading() as connection:
            return connection.execute(asked).scalar_one()

    def forget(self, bundle_id: str) -> int:
        """Remove all predictions of a bundle, and return how many there were.

        Raises
        ------
        DataError
            If the database fails; none is removed then.
        """
        with self._database.writing() as connection:
            return connection.execute(delete(PREDICTIONS).where(_COLUMNS.bundle_id == bundle_id)).rowcount

    def _rows(self, connection: Connection, bundle_id: str, hashes: Sequence[str]) -> Sequence[Any]:
        if self._database.is_file:  # SQL as it is: half again as fast as a statement that is compiled
            marks = ",".join("?" * len(hashes))
            return connection.exec_driver_sql(f"{_SELECT_IN_FILE} ({marks})", (bundle_id, *hashes)).all()
        asked = select(*(_COLUMNS[name] for name in _READ))
        return connection.execute(asked.where(_COLUMNS.bundle_id == bundle_id, _COLUMNS.text_hash.in_(hashes))).all()


_INSERT_IN_FILE = str(
    sqlite.insert(PREDICTIONS).on_conflict_do_nothing().compile(dialect=sqlite.dialect(paramstyle="qmark"))
)
_SELECT_IN_FILE = f"SELECT {', '.join(_READ)} FROM {PREDICTIONS.name} WHERE bundle_id = ? AND text_hash IN"  # noqa: S608
_INSERT_ON_SERVER = postgresql.insert(PREDICTIONS).on_conflict_do_nothing().returning(_COLUMNS.text_hash)


# In the order of the table's columns.
def _row(said: Prediction, backend: str, instant: str) -> tuple[Any, ...]:
    return (
        said.bundle_id,
        said.text_hash,
        said.label,
        _packed(said.probabilities),
        None if said.value is None else _packed((said.value,)),
        _set_text(said.prediction_set),
        bool(said.abstained),
        backend,
        instant,
    )


def _prediction(
    bundle_id: str,
    text_hash: str,
    label: str,
    probabilities: bytes,
    value: bytes | None,
    prediction_set: str,
    abstained: bool,
) -> Prediction:
    return Prediction(
        text_hash=text_hash,
        bundle_id=bundle_id,
        label=label,
        probabilities=_unpacked(probabilities),
        value=None if value is None else _unpacked(value)[0],
        prediction_set=_set_names(prediction_set),
        abstained=bool(abstained),
    )


def _packed(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _unpacked(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)


# A bundle has few sets and a store many rows: the texts are made and read once.
@lru_cache(maxsize=4096)
def _set_text(names: tuple[str, ...]) -> str:
    return json.dumps(names, ensure_ascii=False)


@lru_cache(maxsize=4096)
def _set_names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
