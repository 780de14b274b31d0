"""Which documents repeat, whole or in a sentence, a text that must not be learnt from."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapereader.dataset.documents import distinct, masked_texts, normalise
from tapereader.dataset.shingles import near_pairs

#: Parts shorter than this say too little to be a copy of anything ("Shares fell."); whole documents always count.
SHORTEST_PART = 20
_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


def overlaps(
    texts: Sequence[str], against: Sequence[str], *, threshold: float, seed: int, sentences: bool
) -> NDArray[np.int64]:
    r"""Say of each text whether it, or a sentence of it, is a copy or near-copy of another text.

    A banned sentence inside an article is a small part of it, and whole documents compared would not show it.

    Parameters
    ----------
    texts : N texts
    against : what they must not repeat; blank ones match nothing
    threshold : Jaccard similarity in [0.5, 1] of the masked texts' shingle sets
    seed : of the MinHash functions
    sentences : look at each line and sentence of 20 characters or more too

    Returns
    -------
    array (N,): 2 for a copy, 1 for a near-copy (also one with other numbers), 0 for neither

    Examples
    --------
    >>> banned = ["Operating profit rose to EUR 13.1 mn from EUR 8.7 mn."]
    >>> texts = ["Oil fell.", "Nokia up.\nOperating profit rose to EUR 9 mn from EUR 8 mn.", "News. " + banned[0]]
    >>> overlaps(texts, banned, threshold=0.8, seed=0, sentences=True).tolist()
    [0, 1, 2]
    """
    found = np.zeros(len(texts), dtype=np.int64)
    exact = {key for key in map(normalise, against) if key}
    if not exact or not len(texts):
        return found
    parts, owners = list(texts), list(range(len(texts)))
    if sentences:
        for position, text in enumerate(texts):
            pieces = [piece.strip() for line in text.splitlines() for piece in (line, *_ENDS.split(line))]
            own = {piece for piece in pieces if len(piece) >= SHORTEST_PART and piece != text.strip()}
            parts += sorted(own)
            owners += [position] * len(own)
    ours, node = distinct(masked_texts(parts))
    theirs, _ = distinct(masked_texts([text for text in against if text.strip()]))
    side = np.arange(len(ours) + len(theirs)) >= len(ours)
    pairs = near_pairs([*ours, *theirs], threshold=threshold, seed=seed, side=side)
    near = np.isin(np.arange(len(ours)), np.minimum(pairs.left, pairs.right))
    # Equal after masking is near without being searched for: texts too short for a shingle set are found so too.
    near |= np.isin(np.asarray(ours, dtype=object), list(set(ours) & set(theirs)))
    for part, owner, hit in zip(parts, owners, near[node].tolist(), strict=True):
        if hit:
            found[owner] = max(found[owner], 2 if normalise(part) in exact else 1)
    return found
