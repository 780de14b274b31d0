"""The labelled texts a bundle learnt from that it sees as most like a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapereader.bundle.calibration import FloatArray
from tapereader.core.errors import DataError
from tapereader.engine.engine import Engine

if TYPE_CHECKING:
    from tapereader.sources import LabelledText


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A labelled text near to another.

    Parameters
    ----------
    row : where it stands in its data set, counted from 1
    text, pair, label : as they stand there; several labels joined by ``|``
    similarity : cosine of the embeddings; 1 is the same text
    """

    row: int
    text: str
    pair: str | None
    label: str
    similarity: float


def nearest(
    engine: Engine, texts: Sequence[str], pairs: Sequence[str] | None, known: LabelledText, *, count: int
) -> list[tuple[Neighbour, ...]]:
    """Return the nearest labelled texts of each text, by the cosine of the bundle's embeddings, nearest first.

    Parameters
    ----------
    engine : whose embeddings decide
    texts, pairs : N texts; N second texts where the bundle asks about one
    known : labelled texts, at least ``count``
    count : neighbours of each text

    Raises
    ------
    DataError
        If there are fewer labelled texts than neighbours.
    """
    if count > len(known):
        raise DataError(f"There must be at least {count} labelled texts to find {count} neighbours; got {len(known)}.")
    ours = _directions(engine.embeddings(texts, pairs))
    theirs = _directions(engine.embeddings(known.texts, known.pairs))
    rows, labels, seconds = known.frame["row"].tolist(), known.frame["label"].tolist(), known.pairs
    found = []
    for similarities in ours @ theirs.T:
        order = np.argsort(-similarities, kind="stable")[:count].tolist()
        found.append(
            tuple(
                Neighbour(
                    row=int(rows[at]),
                    text=known.texts[at],
                    pair=None if seconds is None else seconds[at],
                    label=_words(labels[at]),
                    similarity=float(similarities[at]),
                )
                for at in order
            )
        )
    return found


def _directions(embeddings: FloatArray) -> FloatArray:
    return np.asarray(embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12))


def _words(label: object) -> str:
    if isinstance(label, float):
        return f"{label:.4g}"
    return "|".join(map(str, label)) if isinstance(label, tuple | list) else str(label)
