"""Bundles that answer in words, asked in the form in which the engine answers; needs the extra ``train``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle
from tapereader.core.errors import BundleError, missing_extra
from tapereader.core.records import Prediction
from tapereader.engine.texts import refuse_faults, text_faults, text_hash

#: Beside the weights: what the model is asked.
INSTRUCTION = "instruction.json"


class WordsEngine:
    """Ask a generating bundle, in the form in which :class:`tapereader.engine.Engine` answers.

    The probability of the label said is 1, of the others 0; of an answer that cannot be read all are 0 and the label
    is ``unparsed``.

    Parameters
    ----------
    bundle : a loaded bundle of kind ``generation``

    Raises
    ------
    MissingExtraError
        If the extra ``train`` is not installed.
    BundleError
        If the bundle does not say what is to be asked.
    """

    def __init__(self, bundle: Bundle) -> None:
        try:
            from tapereader.training.generation import open_generating
        except ModuleNotFoundError as error:
            raise missing_extra("train", needed_for="A bundle that answers in words") from error
        self.bundle = bundle
        path = bundle.path / "model" / INSTRUCTION
        if not path.is_file():
            raise BundleError(f"A bundle that answers in words must hold model/{INSTRUCTION}; {bundle.id!r} has none.")
        asked = json.loads(path.read_text(encoding="utf-8"))
        self._model = open_generating(
            bundle.path / "model", bundle.contract, question=asked["question"], max_length=bundle.max_length
        )

    def intervals(self, values: NDArray[np.float64]) -> None:  # the engine's signature
        """Return None: words have no intervals."""

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool = False
    ) -> list[Prediction | None]:
        """Return one prediction a text; None for an empty one where that is allowed.

        Raises
        ------
        DataError
            If a text is missing or empty and not skipped.
        """
        faults = text_faults(texts, pairs)
        if not skip_empty:
            refuse_faults(faults)
        keep = [position for position, fault in enumerate(faults) if fault is None]
        said = iter(self._model.answer([texts[position] for position in keep])) if keep else iter(())
        return [
            None if fault is not None else self._prediction(text, next(said))
            for text, fault in zip(texts, faults, strict=True)
        ]

    def _prediction(self, text: str, label: str) -> Prediction:
        return Prediction(
            text_hash=text_hash(text, None), bundle_id=self.bundle.id, label=label,
            probabilities=tuple(float(name == label) for name in self.bundle.contract.names),
        )  # fmt: skip
