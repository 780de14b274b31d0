"""The store on PostgreSQL gives what a file gives; runs where ``TAPEREADER_TEST_POSTGRESQL`` names a database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from tapereader.core import DataError
from tapereader.core.records import Prediction
from tapereader.store import PredictionStore

URL = os.environ.get("TAPEREADER_TEST_POSTGRESQL", "")
NOW = datetime(2026, 1, 2, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not URL, reason="TAPEREADER_TEST_POSTGRESQL names no database to test on")


def run_sql(*statements: str) -> None:
    engine = create_engine(URL)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def store() -> Iterator[PredictionStore]:
    drop = "DROP TABLE IF EXISTS predictions, tapereader_version, trials"
    run_sql(drop, "CREATE TABLE trials (n INTEGER)")
    with PredictionStore.open(URL) as opened:
        yield opened
    run_sql(drop)


def answers(n: int, label: str = "涨|跌") -> list[Prediction]:
    return [
        Prediction(
            text_hash=f"{row:016x}",
            bundle_id="7f3a",
            label=label,
            probabilities=(row / 7, float("inf"), 5e-324),
            value=-0.0,
            prediction_set=("涨", "|"),
            abstained=row % 2 == 0,
        )
        for row in range(n)
    ]


def test_a_server_keeps_the_first_answer_to_the_bit(store: PredictionStore) -> None:
    assert store.keep(answers(2500), backend="onnxruntime", made_at=NOW) == 2500
    assert store.keep(answers(2501, "other"), backend="onnxruntime", made_at=NOW) == 1
    found = store.find("7f3a", [one.text_hash for one in answers(2500)])
    assert [found[one.text_hash] for one in answers(2500)] == answers(2500)
    assert str(found["0" * 16].value) == "-0.0"
    assert (store.count(), store.count("7f3a"), store.forget("7f3a"), store.count()) == (2501, 2501, 2501, 0)


def test_a_failed_call_keeps_nothing(store: PredictionStore) -> None:
    with pytest.raises(DataError, match="must do what it is asked; got 'PostgreSQL text fields cannot contain NUL"):
        store.keep(
            [*answers(3), Prediction(text_hash="x", bundle_id="x", label="\x00", probabilities=())],
            backend="x",
            made_at=NOW,
        )
    assert store.count() == 0
    PredictionStore.open(URL).close()
