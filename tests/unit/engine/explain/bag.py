"""An engine whose answers are known exactly: every word adds its own number."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tapereader.bundle import Calibration, LabelContract, decode, output_width
from tapereader.engine.explain import split_words

NAMES = {"single-label": ("down", "up"), "multi-label": ("fraud", "default"), "ordinal": ("low", "mid", "high")}


class BagEngine:
    """Gives each raw output the sum of its words' numbers, and 0 for words it does not know."""

    def __init__(
        self, weights: dict[str, Sequence[float]], *, kind: Any = "single-label", calibration: Calibration | None = None
    ) -> None:
        contract = LabelContract(kind=kind, names=NAMES.get(kind, ("value",)))
        self.bundle = SimpleNamespace(contract=contract, calibration=calibration or Calibration())
        self.weights = {word: np.asarray(value, dtype=np.float64) for word, value in weights.items()}
        self.asked: list[str] = []

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        assert pairs is None
        assert all(text.strip() for text in texts)
        self.asked += texts
        nothing = np.zeros(output_width(self.bundle.contract))
        return np.array([sum((self._of(word.text) for word in split_words(text)), nothing) for text in texts])

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        return decode(self.bundle.contract, self.logits(texts, pairs), self.bundle.calibration)

    def _of(self, word: str) -> Any:
        return self.weights.get(word, np.zeros(output_width(self.bundle.contract)))
