"""Single texts answered together: who waits how long, what a full queue does, and whose error is whose.

Real threads, and no clock: what the engine is at is held open by an event, so that what must wait is known to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tapereader.bundle import Bundle
from tapereader.core import BusyError, ConfigError, DataError, Prediction
from tapereader.engine import Engine, LiveEngine, text_hash

Make = Callable[..., Bundle]
#: Longer than any answer takes; a future that does not come by then never does.
SOON = 60
#: A text that waits for company this long waits for ever, as far as a test is concerned.
NEVER_MS = 1e9


class Held:
    """Answers when it is let; remembers what was asked together."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.calls: list[list[str]] = []
        self.asked = threading.Semaphore(0)
        self.gate = threading.Event()

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Prediction]:
        assert pairs is None
        self.calls.append(list(texts))
        self.asked.release()
        assert self.gate.wait(SOON)
        if any("poison" in text for text in texts):
            raise ValueError(f"cannot read {texts!r}")
        return [
            Prediction(text_hash=text_hash(text), bundle_id="b", label=text, probabilities=(1.0,)) for text in texts
        ]


@pytest.fixture
def held(tiny_bundle: Path) -> Iterator[Held]:
    engine = Held(Bundle.load(tiny_bundle))
    yield engine
    engine.gate.set()


def busy(held: Held, **options: Any) -> tuple[LiveEngine, Future[Prediction]]:
    """Return a live engine that is at its first text, and the future of that."""
    live = LiveEngine(held, **({"max_wait_ms": 0.0} | options))
    first = live.submit("first")
    assert held.asked.acquire(timeout=SOON)
    return live, first


def label(future: Future[Prediction]) -> str:
    return future.result(SOON).label


def test_what_comes_while_the_engine_is_busy_is_asked_together(held: Held) -> None:
    live, first = busy(held)
    others = [live.submit(f"text {number}") for number in range(5)]
    assert live.n_waiting == 5
    held.gate.set()
    assert [label(future) for future in [first, *others]] == ["first", *(f"text {number}" for number in range(5))]
    live.close()
    assert held.calls == [["first"], [f"text {number}" for number in range(5)]]


def test_no_batch_is_larger_than_allowed_and_the_order_is_kept(held: Held) -> None:
    live, _ = busy(held, max_batch=3)
    others = [live.submit(str(number)) for number in range(7)]
    held.gate.set()
    live.close()
    assert held.calls == [["first"], ["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [label(future) for future in others] == [str(number) for number in range(7)]


def test_a_full_batch_does_not_wait_for_more(held: Held) -> None:
    held.gate.set()
    with LiveEngine(held, max_batch=3, max_wait_ms=NEVER_MS) as live:
        futures = [live.submit(str(number)) for number in range(3)]
        assert [label(future) for future in futures] == ["0", "1", "2"]
    assert held.calls == [["0", "1", "2"]]


def test_a_text_without_company_is_answered_after_its_wait(held: Held) -> None:
    held.gate.set()
    with LiveEngine(held, max_batch=1000, max_wait_ms=1.0) as live:
        assert label(live.submit("alone")) == "alone"


def test_closing_answers_what_waits_for_company_at_once(held: Held) -> None:
    held.gate.set()
    live = LiveEngine(held, max_wait_ms=NEVER_MS)
    future = live.submit("alone")
    live.close()
    assert label(future) == "alone"


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(held: Held) -> None:
    live, first = busy(held, max_queue=2)
    kept = [live.submit("second"), live.submit("third")]
    with pytest.raises(BusyError) as caught:
        live.submit("fourth")
    assert str(caught.value) == ("At most 2 texts may wait for an answer, and so many do. Send this one later.")
    held.gate.set()
    assert [label(future) for future in (first, *kept)] == ["first", "second", "third"]
    assert label(live.submit("fourth")) == "fourth"
    live.close()


def test_after_closing_a_text_is_refused_and_closing_again_does_nothing(held: Held) -> None:
    held.gate.set()
    live = LiveEngine(held)
    live.close()
    live.close()
    with pytest.raises(BusyError) as caught:
        live.submit("late")
    assert str(caught.value) == ("A text must come before the engine is closed; this one came later. Open it again.")


def test_closing_without_answers_cancels_what_waits_and_finishes_what_runs(held: Held) -> None:
    live, first = busy(held)
    waiting = live.submit("waiting")
    closer = threading.Thread(target=live.close, kwargs={"answer_waiting": False})
    closer.start()
    with pytest.raises(CancelledError):
        waiting.result(SOON)
    held.gate.set()
    assert label(first) == "first"
    closer.join(SOON)
    assert not closer.is_alive()
    assert held.calls == [["first"]]


def test_an_error_inside_the_context_cancels_what_waits(held: Held) -> None:
    held.gate.set()
    futures = []

    def fail() -> None:
        with LiveEngine(held, max_wait_ms=NEVER_MS) as live:
            futures.append(live.submit("waiting"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert futures[0].cancelled()
    assert held.calls == []


def test_an_error_goes_to_the_text_that_made_it_and_to_no_other(held: Held) -> None:
    live, _ = busy(held)
    futures = [live.submit(text) for text in ("good", "poison", "fine")]
    held.gate.set()
    live.close()
    assert [label(futures[0]), label(futures[2])] == ["good", "fine"]
    with pytest.raises(ValueError, match=r"^cannot read \['poison'\]$"):
        futures[1].result(SOON)
    assert held.calls == [["first"], ["good", "poison", "fine"], ["good"], ["poison"], ["fine"]]


def test_the_engine_goes_on_after_an_error(held: Held) -> None:
    held.gate.set()
    with LiveEngine(held, max_wait_ms=0.0) as live:
        assert isinstance(live.submit("poison").exception(SOON), ValueError)
        assert label(live.submit("good")) == "good"


def test_an_engine_that_loses_an_answer_leaves_nobody_waiting(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "predict", lambda *_: [])
    with LiveEngine(held, max_wait_ms=0.0) as live:
        assert isinstance(live.submit("lost").exception(SOON), ValueError)


def test_a_cancelled_text_is_not_asked(held: Held) -> None:
    live, _ = busy(held)
    cancelled, kept = live.submit("cancelled"), live.submit("kept")
    assert cancelled.cancel()
    held.gate.set()
    live.close()
    assert label(kept) == "kept"
    assert held.calls == [["first"], ["kept"]]


def test_many_threads_get_each_their_own_answer(tiny_bundle: Path) -> None:
    engine = Engine(tiny_bundle, threads=1)
    words = ("profit", "loss", "rose", "fell", "sales", "strong", "weak", "flat")
    texts = [f"{first} {second} {third}" for first in words for second in words for third in words]
    wanted = {found.text_hash: found for found in engine.predict(texts)}
    with LiveEngine(engine, max_batch=16, max_wait_ms=1.0) as live, ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda text: live.submit(text).result(SOON), texts))
    assert [one.text_hash for one in found] == [text_hash(text) for text in texts]
    for one in found:
        assert one.label == wanted[one.text_hash].label
        assert one.probabilities == pytest.approx(wanted[one.text_hash].probabilities, abs=1e-5)


def test_what_cannot_be_scored_is_refused_to_its_sender_at_once(held: Held, make_bundle: Make, tmp_path: Path) -> None:
    with LiveEngine(held) as live:
        with pytest.raises(DataError, match="where the text is empty"):
            live.submit(" ")
        with pytest.raises(DataError) as alone:
            live.submit("profit rose", "ACME")
        assert str(alone.value) == f"Bundle {held.bundle.id!r} takes a text alone; got 'ACME' too."
    held.bundle = make_bundle(tmp_path / "b", kind="single-label", names=("down", "up"), has_pair=True)
    with LiveEngine(held) as live, pytest.raises(DataError) as pair:
        live.submit("profit rose")
    assert str(pair.value) == f"Bundle {held.bundle.id!r} asks about a second text, a named company; got none."
    assert held.calls == []


def test_a_second_text_goes_with_its_first(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", kind="single-label", names=("down", "up"), has_pair=True)
    engine = Engine(bundle, threads=1)
    with LiveEngine(engine, max_batch=2, max_wait_ms=NEVER_MS) as live:
        futures = [live.submit("profit rose", name) for name in ("acme", "globex")]
        found = [future.result(SOON).text_hash for future in futures]
    assert found == [text_hash("profit rose", name) for name in ("acme", "globex")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "`max_batch` must be at least 1 text; got 0."),
        ({"max_queue": 0}, "`max_queue` must be at least 1 text; got 0."),
        ({"max_wait_ms": -1}, "`max_wait_ms` must be 0 or more milliseconds; got -1."),
        ({"max_wait_ms": float("nan")}, "`max_wait_ms` must be 0 or more milliseconds; got nan."),
    ],
)
def test_numbers_out_of_range_are_refused(held: Held, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LiveEngine(held, **options)
    assert str(caught.value) == message
