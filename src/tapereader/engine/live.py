"""Single texts from many threads, answered together: the wait is bounded, and so is the queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from tapereader.bundle.folder import Bundle
from tapereader.core.errors import BusyError, ConfigError, DataError
from tapereader.core.records import Prediction
from tapereader.engine.texts import refuse_faults, text_faults


class _Asked(Protocol):
    """What answers: an engine."""

    bundle: Bundle

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Sequence[Prediction]: ...


@dataclass(frozen=True, kw_only=True)
class _Request:
    text: str
    pair: str | None
    arrived: float
    answer: Future[Prediction] = field(default_factory=Future)


class LiveEngine:
    """Answer single texts as they come, those that come at about the same time in one batch.

    One thread asks the engine. It takes what is waiting as soon as there are ``max_batch`` texts, or the oldest has
    waited ``max_wait_ms``: a text that comes alone waits that long and no longer, and while the engine is busy the next
    batch gathers by itself, with no wait added. What is not answered yet is bounded too: a queue that is full refuses,
    so that a flood is felt by its senders and not by the memory.

    Nobody else may use the engine meanwhile. Use it as a context, or close it.

    Parameters
    ----------
    engine : an opened engine
    max_batch : texts asked at once
    max_wait_ms : how long a text may wait for company
    max_queue : texts that may wait; those the engine is at do not count

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    def __init__(self, engine: _Asked, *, max_batch: int = 32, max_wait_ms: float = 2.0, max_queue: int = 1024) -> None:
        for name, value in (("max_batch", max_batch), ("max_queue", max_queue)):
            if value < 1:
                raise ConfigError(f"`{name}` must be at least 1 text; got {value!r}.")
        if not 0 <= max_wait_ms < float("inf"):
            raise ConfigError(f"`max_wait_ms` must be 0 or more milliseconds; got {max_wait_ms!r}.")
        self.bundle = engine.bundle
        self._engine = engine
        self._max_batch, self._max_wait, self._max_queue = max_batch, max_wait_ms / 1000, max_queue
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # A daemon: who forgets to close must not keep the interpreter from leaving.
        self._worker = threading.Thread(target=self._work, name=f"live-{self.bundle.id}", daemon=True)
        self._worker.start()

    @property
    def n_waiting(self) -> int:
        """Texts in the queue now."""
        return len(self._waiting)

    def submit(self, text: str, pair: str | None = None) -> Future[Prediction]:
        """Take a text, from any thread, and return the future of its answer; cancelling it before its turn is free.

        Parameters
        ----------
        text : the text
        pair : its second text, exactly where the bundle asks about one

        Raises
        ------
        DataError
            If the text is empty, or a pair is missing or not asked for.
        BusyError
            If the queue is full, or closed; a service answers 503.
        """
        if self.bundle.has_pair != (pair is not None):
            wanted = "asks about a second text, a named company" if self.bundle.has_pair else "takes a text alone"
            raise DataError(f"Bundle {self.bundle.id!r} {wanted}; got {'none' if pair is None else f'{pair!r} too'}.")
        refuse_faults(text_faults([text], None if pair is None else [pair]))
        request = _Request(text=text, pair=pair, arrived=time.monotonic())
        with self._changed:
            if self._closed:
                raise BusyError("A text must come before the engine is closed; this one came later. Open it again.")
            if len(self._waiting) >= self._max_queue:
                raise BusyError(
                    f"At most {self._max_queue} texts may wait for an answer, and so many do. Send this one later."
                )
            self._waiting.append(request)
            self._changed.notify()
        return request.answer

    def close(self, *, answer_waiting: bool = True) -> None:
        """Take no more texts, and return when the last is answered; closing twice does nothing more.

        Parameters
        ----------
        answer_waiting : False cancels the texts that still wait; those the engine is at are answered in any case
        """
        with self._changed:
            self._closed = True
            if not answer_waiting:
                for request in self._waiting:
                    request.answer.cancel()
                self._waiting.clear()
            self._changed.notify()
        self._worker.join()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; after an error nobody waits for the answers."""
        self.close(answer_waiting=kind is None)

    def _work(self) -> None:
        while batch := self._gather():
            # Of a cancelled future nobody wants the answer; from here on the others can no longer be cancelled.
            running = [request for request in batch if request.answer.set_running_or_notify_cancel()]
            if running:
                self._answer(running)

    def _gather(self) -> list[_Request]:
        """Return the next texts to ask, or none once closed and all are answered."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            while self._waiting and len(self._waiting) < self._max_batch and not self._closed:
                left = self._waiting[0].arrived + self._max_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]

    def _answer(self, batch: list[_Request]) -> None:
        pairs = [request.pair or "" for request in batch] if self.bundle.has_pair else None
        try:
            found = self._engine.predict([request.text for request in batch], pairs)
            answered = list(zip(batch, found, strict=True))
        except BaseException as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            # Only whose text it is gets an error: each is asked again alone.
            for request in batch:
                self._answer([request])
            return
        for request, prediction in answered:
            request.answer.set_result(prediction)
