"""Answers that are computed once: what the store has is read, what it lacks is computed and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from tapereader.bundle import Bundle
from tapereader.bundle.calibration import FloatArray
from tapereader.core.records import Prediction
from tapereader.engine import text_faults, text_hash

if TYPE_CHECKING:
    from tapereader.store import PredictionStore


class Answers(Protocol):
    """Whatever answers texts with one bundle."""

    bundle: Bundle

    @property
    def backend(self) -> str:
        """Name of what computes."""
        ...

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool
    ) -> Sequence[Prediction | None]:
        """Return one prediction a text; None for an empty one, where those are skipped."""
        ...

    def intervals(self, values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return low and high (N,) around regression values, or None where no coverage is promised."""
        ...


class StoredAnswers:
    """The answers of a bundle through a store: a text is scored once, and every later reader gets the same bits.

    A text that stands several times in a call is scored once. What another process kept in the meantime is taken.

    Parameters
    ----------
    engine : computes what is missing
    store : open for reading and writing

    Attributes
    ----------
    n_stored : texts whose answer was read and not computed
    """

    def __init__(self, engine: Answers, store: PredictionStore) -> None:
        self.bundle = engine.bundle
        self.backend = engine.backend
        self.n_stored = 0
        self._engine = engine
        self._store = store

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool
    ) -> Sequence[Prediction | None]:
        """Return one prediction a text; None for an empty one, where those are skipped."""
        seconds: Sequence[str | None] = [None] * len(texts) if pairs is None else pairs
        faults = text_faults(texts, pairs)
        names = [
            None if fault is not None else text_hash(text, second)
            for text, second, fault in zip(texts, seconds, faults, strict=True)
        ]
        first = {name: position for position, name in reversed(list(enumerate(names))) if name is not None}
        found = self._store.find(self.bundle.id, list(first))
        self.n_stored += sum(name in found for name in names)
        # An unfit text goes along where none may be skipped: the engine refuses it in its own words.
        missing = [
            position
            for position, name in enumerate(names)
            if (name is None and not skip_empty) or (name is not None and name not in found and first[name] == position)
        ]
        if missing:
            new = self._engine.predict(
                [texts[i] for i in missing], None if pairs is None else [pairs[i] for i in missing], skip_empty=False
            )
            made = [one for one in new if one is not None]
            self._store.keep(made, backend=self.backend, made_at=datetime.now(UTC))
            # Read back: where another process was first, its answer is the stored one.
            found |= self._store.find(self.bundle.id, [one.text_hash for one in made])
        return [None if name is None else found[name] for name in names]

    def intervals(self, values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return low and high (N,) around regression values, or None where no coverage is promised."""
        return self._engine.intervals(values)
