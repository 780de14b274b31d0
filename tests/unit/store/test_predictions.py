"""The store of predictions: the first answer stays, and it is read back to the bit, whoever writes beside."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapereader.core import ConfigError, DataError
from tapereader.core.records import Prediction
from tapereader.store import PredictionStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
#: Names as they come: several joined by a bar, Chinese, empty, with quotes, beyond the basic plane, with a zero.
NAMES = st.one_of(
    st.text(max_size=20), st.sampled_from(["上涨", "up|down", "", "a'b\"c", "涨|跌|平", "\x00", "📈", "e\u0301"])
)
#: Any 64 bits: NaN with a payload, infinities, -0.0 and the smallest numbers are among them.
BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
FLOATS = st.one_of(BITS, st.floats(), st.floats(0, 1), st.sampled_from([-0.0, 5e-324, float("inf"), float("nan")]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore.open(tmp_path / "predictions.db") as opened:
        yield opened


def said(text_hash: str, **changes: Any) -> Prediction:
    fields: dict[str, Any] = {"bundle_id": "7f3a", "label": "up", "probabilities": (0.25, 0.75)}
    return Prediction(text_hash=text_hash, **(fields | changes))


def bits(prediction: Prediction) -> tuple[object, ...]:
    """A prediction with its numbers as bytes, since NaN is not equal to itself."""
    numbers = struct.pack(f"<{len(prediction.probabilities)}d", *prediction.probabilities)
    value = None if prediction.value is None else struct.pack("<d", prediction.value)
    return (*dataclasses.astuple(dataclasses.replace(prediction, probabilities=(), value=None)), numbers, value)


def refusal(kind: type[Exception], call: Any) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answers=st.lists(
        st.builds(
            Prediction,
            text_hash=st.text(max_size=16),
            bundle_id=st.just("7f3a"),
            label=NAMES,
            probabilities=st.lists(FLOATS, max_size=5).map(tuple),
            value=st.none() | FLOATS,
            prediction_set=st.lists(NAMES, max_size=4).map(tuple),
            abstained=st.booleans(),
        ),
        max_size=6,
        unique_by=lambda answer: answer.text_hash,
    )
)
def test_what_is_found_equals_to_the_bit_what_was_kept(store: PredictionStore, answers: list[Prediction]) -> None:
    store.forget("7f3a")
    assert store.keep(answers, backend="onnxruntime", made_at=NOW) == len(answers)
    found = store.find("7f3a", [answer.text_hash for answer in answers])
    assert {name: bits(answer) for name, answer in found.items()} == {a.text_hash: bits(a) for a in answers}


def test_numbers_of_numpy_are_kept_as_the_numbers_they_are(store: PredictionStore) -> None:
    third = np.float32(1 / 3)
    store.keep([said("a", probabilities=(third, np.float64(0.1)), abstained=np.True_)], backend="x", made_at=NOW)
    assert store.find("7f3a", ["a"]) == {"a": said("a", probabilities=(float(third), 0.1), abstained=True)}


def test_the_first_answer_stays(store: PredictionStore) -> None:
    first, second = said("a"), said("a", label="down", probabilities=(0.5, 0.5))
    assert store.keep([first], backend="onnxruntime", made_at=NOW) == 1
    assert store.keep([second, said("b")], backend="openvino", made_at=NOW) == 1
    assert store.find("7f3a", ["a", "b"]) == {"a": first, "b": said("b")}


def test_the_first_of_twins_in_one_call_stays(store: PredictionStore) -> None:
    twins = [said("b"), said("a", label="one"), said("a", label="two")]
    assert store.keep(twins, backend="onnxruntime", made_at=NOW) == 2
    assert store.find("7f3a", ["a"])["a"].label == "one"


def test_bundles_do_not_meet(store: PredictionStore) -> None:
    ours, theirs = said("a"), said("a", bundle_id="0c1d", label="down")
    assert store.keep([ours, theirs], backend="onnxruntime", made_at=NOW) == 2
    assert store.find("7f3a", ["a"]) == {"a": ours}
    assert store.find("0c1d", ["a"]) == {"a": theirs}
    assert store.find("none", ["a"]) == {}
    assert (store.count(), store.count("0c1d"), store.count("none")) == (2, 1, 0)


def test_a_forgotten_bundle_leaves_the_others(store: PredictionStore) -> None:
    store.keep([said("a"), said("b"), said("a", bundle_id="0c1d")], backend="onnxruntime", made_at=NOW)
    assert store.forget("7f3a") == 2
    assert store.forget("7f3a") == 0
    assert (store.count("7f3a"), store.count("0c1d")) == (0, 1)
    assert store.keep([said("a", label="new")], backend="onnxruntime", made_at=NOW) == 1
    assert store.find("7f3a", ["a"])["a"].label == "new"


def test_nothing_asked_and_nothing_given(store: PredictionStore) -> None:
    assert store.find("7f3a", []) == {}
    assert store.keep([], backend="onnxruntime", made_at=NOW) == 0
    assert store.count() == 0


def test_more_hashes_than_a_statement_takes(store: PredictionStore) -> None:
    answers = [said(f"{n:016x}", probabilities=(n / 7,)) for n in range(40_000)]
    assert store.keep(answers, backend="onnxruntime", made_at=NOW) == 40_000
    asked = [answer.text_hash for answer in reversed(answers)] + ["none", answers[0].text_hash]
    assert store.find("7f3a", asked) == {answer.text_hash: answer for answer in answers}


def test_what_was_kept_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    with PredictionStore.open(where) as store:
        store.keep([said("a")], backend="onnxruntime", made_at=NOW)
    assert os.listdir(tmp_path) == ["predictions.db"]
    with PredictionStore.open(f"sqlite:///{where}") as store:
        assert store.find("7f3a", ["a"]) == {"a": said("a")}


def test_a_row_says_what_computed_it_and_when_in_utc(store: PredictionStore, tmp_path: Path) -> None:
    shanghai = timezone(timedelta(hours=8))
    store.keep([said("a", value=1.5)], backend="openvino-bf16", made_at=datetime(2026, 1, 2, tzinfo=shanghai))
    connection = sqlite3.connect(tmp_path / "predictions.db")
    (row,) = connection.execute("SELECT * FROM predictions").fetchall()
    connection.close()
    numbers = struct.pack("<2d", 0.25, 0.75), struct.pack("<d", 1.5)
    assert row == ("7f3a", "a", "up", *numbers, "[]", 0, "openvino-bf16", "2026-01-01T16:00:00.000000+00:00")


def test_an_instant_without_a_time_zone_is_refused(store: PredictionStore) -> None:
    naive = datetime(2026, 1, 2)  # noqa: DTZ001 (the case)
    assert refusal(ConfigError, lambda: store.keep([said("a")], backend="x", made_at=naive)) == (
        "`made_at` must be an instant with its time zone; got datetime.datetime(2026, 1, 2, 0, 0). "
        "Use `datetime.now(UTC)`."
    )


def test_a_label_that_is_no_text_is_refused_and_nothing_kept(store: PredictionStore, tmp_path: Path) -> None:
    answers = [said("a"), said("b", label="u\ud800p")]
    assert refusal(DataError, lambda: store.keep(answers, backend="x", made_at=NOW)) == (
        "Names and labels must be text that UTF-8 can hold; got 'u\\ud800p' for the store "
        f"{str(tmp_path / 'predictions.db')!r}. Nothing of this call was kept: rename the label."
    )
    assert store.count() == 0


def test_a_closed_store_is_not_used(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    store = PredictionStore.open(where)
    store.close()
    assert (
        refusal(ConfigError, store.count)
        == f"The store {str(where)!r} must be open to be used; it was closed. Open it again."
    )


WRITER = """
import sys
from datetime import UTC, datetime
from tapereader.core.records import Prediction
from tapereader.store import PredictionStore

where, label, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
answers = [
    Prediction(text_hash=f"{n:016x}", bundle_id="7f3a", label=label, probabilities=(n / 7,)) for n in range(first, last)
]
sys.stdin.readline()
with PredictionStore.open(where) as store:
    new = 0
    for start in range(0, len(answers), 100):
        new += store.keep(answers[start : start + 100], backend=label, made_at=datetime.now(UTC))
print(new)
"""


def test_processes_that_write_at_once_lose_nothing_and_keep_each_answer_once(tmp_path: Path) -> None:
    """They also make the file at once: none of them finds it half made."""
    where = tmp_path / "predictions.db"
    ranges = {"one": (0, 3000), "two": (1500, 4500), "three": (0, 4500)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, where, label, str(first), str(last)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for label, (first, last) in ranges.items()
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    new = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    with PredictionStore.open(where) as store:
        found = store.find("7f3a", [f"{n:016x}" for n in range(4500)])
    assert sum(new) == len(found) == 4500
    labels = [answer.label for answer in found.values()]
    assert [labels.count(label) for label in ranges] == new
    for n in range(4500):
        answer = found[f"{n:016x}"]
        assert answer.probabilities == (n / 7,)
        first, last = ranges[answer.label]
        assert first <= n < last


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from sqlalchemy import Engine, event
from tapereader.core.records import Prediction
from tapereader.store import PredictionStore

store = PredictionStore.open(sys.argv[1])

def keep(first, last):
    answers = [
        Prediction(text_hash=f"{n:016x}", bundle_id="7f3a", label="up", probabilities=(n / 7,))
        for n in range(first, last)
    ]
    store.keep(answers, backend="onnxruntime", made_at=datetime.now(UTC))

keep(0, 1000)
# All rows are written, more than memory may hold back from the file, and the transaction is not yet complete.
event.listen(Engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA cache_size=10"))
event.listen(Engine, "commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
keep(1000, 21_000)
"""


def test_a_writer_that_is_killed_leaves_whole_calls_only(tmp_path: Path) -> None:
    where = tmp_path / "predictions.db"
    done = subprocess.run([sys.executable, "-c", KILLED, where], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    log = where.with_name("predictions.db-wal")
    assert log.stat().st_size > 2_000_000, "the killed call had reached the disk"
    with PredictionStore.open(where) as store:
        assert store.count() == 1000
        assert store.find("7f3a", ["00000000000003e7", "00000000000003e8"]) == {
            "00000000000003e7": said("00000000000003e7", probabilities=(999 / 7,))
        }
        assert store.keep([said("new")], backend="onnxruntime", made_at=NOW) == 1
    connection = sqlite3.connect(where)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_reader_does_not_wait_for_a_writer(store: PredictionStore, tmp_path: Path) -> None:
    store.keep([said("a")], backend="onnxruntime", made_at=NOW)
    other = sqlite3.connect(tmp_path / "predictions.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM predictions")
    assert store.find("7f3a", ["a"]) == {"a": said("a")}
    other.execute("ROLLBACK")
    other.close()
