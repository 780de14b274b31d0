"""How many rows of one data set also stand, word for word or nearly, in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tapereader.dataset.documents import check_threshold, distinct, masked_texts, normalise
from tapereader.dataset.shingles import near_pairs
from tapereader.sources.labelled import LabelledText

_EXAMPLES = 20
_EXAMPLE_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """One row and its closest counterpart.

    Parameters
    ----------
    row, against_row : positions in the two sources, counted from 1
    similarity : exact Jaccard similarity of the masked texts' shingles; 1 also for copies with other numbers
    exact : whether the normalised texts are equal
    text, against_text : the first 200 characters of each
    """

    row: int
    against_row: int
    similarity: float
    exact: bool
    text: str
    against_text: str


@dataclass(frozen=True, kw_only=True)
class ContaminationReport:
    """How much of a data set stands in another.

    Parameters
    ----------
    n_rows, n_against : rows looked at on either side
    n_exact : rows whose normalised text stands in the other set
    n_near : further rows with a near-copy there, numbers aside
    share : ``(n_exact + n_near) / n_rows``
    threshold : Jaccard similarity that makes two texts near
    examples : at most 20, exact copies first, then by similarity
    complete : False where so many texts look alike that ``n_near`` is a lower bound
    """

    n_rows: int
    n_against: int
    n_exact: int
    n_near: int
    share: float
    threshold: float
    examples: tuple[Overlap, ...]
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self) | {"examples": [asdict(example) for example in self.examples]}


def contamination(
    labelled: LabelledText, against: LabelledText | Sequence[str], *, threshold: float = 0.8, seed: int = 0
) -> ContaminationReport:
    """Measure how many rows have a copy or near-copy in another data set or corpus.

    The direction matters: the share is of ``labelled``, say a test set, found in ``against``, say what a model was
    trained on. Texts alone count, not labels or pairs; empty texts match nothing.

    Parameters
    ----------
    labelled : N rows that should be new
    against : another data set, or texts, which then have rows 1..M
    threshold : Jaccard similarity in [0.5, 1] of the masked texts' shingle sets
    seed : of the MinHash functions

    Raises
    ------
    ConfigError
        If ``threshold`` is out of range.
    DataError
        If a text is not text.
    """
    check_threshold(threshold)
    texts = labelled.texts
    others = against.texts if isinstance(against, LabelledText) else list(against)
    rows = labelled.frame["row"].to_numpy()
    other_rows = against.frame["row"].to_numpy() if isinstance(against, LabelledText) else np.arange(1, len(others) + 1)
    ours, theirs = masked_texts(texts), masked_texts(others)
    # A text on both sides is two nodes, so that it can meet near-copies on either; equal ones are paired by name.
    our_nodes, our_node = distinct(ours)
    their_nodes, their_node = distinct(theirs)
    side = np.arange(len(our_nodes) + len(their_nodes)) >= len(our_nodes)
    pairs = near_pairs([*our_nodes, *their_nodes], threshold=threshold, seed=seed, side=side)
    best = np.zeros(len(our_nodes))
    best_other = np.full(len(our_nodes), -1, dtype=np.int64)
    # Ascending by similarity, then by descending position, so that the last write is the best and first counterpart.
    order = np.lexsort((-pairs.right, pairs.similarity))
    best[pairs.left[order]] = pairs.similarity[order]
    best_other[pairs.left[order]] = pairs.right[order] - len(our_nodes)
    first_of_their_node = np.full(len(their_nodes), len(others), dtype=np.int64)
    np.minimum.at(first_of_their_node, their_node, np.arange(len(others)))
    exact_position: dict[str, int] = {}
    for position, text in enumerate(others):
        exact_position.setdefault(normalise(text), position)
    exact, near = [], []
    for position, text in enumerate(texts):
        key = normalise(text)
        node = int(our_node[position])
        if not key:
            continue
        if key in exact_position:
            exact.append((position, exact_position[key], 1.0))
        elif best_other[node] >= 0:
            near.append((position, int(first_of_their_node[best_other[node]]), float(best[node])))
    near.sort(key=lambda found: (-found[2], found[0]))
    examples = tuple(
        Overlap(
            row=int(rows[position]),
            against_row=int(other_rows[other]),
            similarity=similarity,
            exact=number < len(exact),
            text=texts[position][:_EXAMPLE_CHARACTERS],
            against_text=others[other][:_EXAMPLE_CHARACTERS],
        )
        for number, (position, other, similarity) in enumerate([*exact, *near][:_EXAMPLES])
    )
    found = len(exact) + len(near)
    return ContaminationReport(
        n_rows=len(texts),
        n_against=len(others),
        n_exact=len(exact),
        n_near=len(near),
        share=found / len(texts) if texts else 0.0,
        threshold=threshold,
        examples=examples,
        complete=pairs.complete,
    )
