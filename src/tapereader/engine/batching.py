"""Chunks into rectangular batches with little padding, and their answers back into one row a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.tokenizer import Chunk
from tapereader.core.errors import ConfigError

#: Batch lengths are rounded up to a multiple of this: fewer different shapes, for which a runtime keeps plans.
_STEP = 8


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some chunks of about one length, padded to the longest.

    Parameters
    ----------
    positions : array (B,), which chunks these are
    input_ids, attention_mask, token_type_ids : int64 arrays (B, L); the mask is 0 on padding
    """

    positions: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]


def token_batches(chunks: Sequence[Chunk], *, budget: int, pad_id: int) -> Iterator[Batch]:
    """Yield batches of at most ``budget`` tokens, padding included, longest chunks first.

    Sorting by length leaves almost no padding; longest first shows the greatest memory need at once. A chunk longer
    than the budget is a batch of its own. Every chunk is in exactly one batch.

    Parameters
    ----------
    chunks : K chunks
    budget : tokens in a batch, at least 1
    pad_id : token id on padding

    Raises
    ------
    ConfigError
        If the budget is below 1.
    """
    if budget < 1:
        raise ConfigError(f"`budget` must be at least 1 token; got {budget!r}.")
    lengths = np.array([len(chunk.ids) for chunk in chunks], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        width = -(-int(lengths[order[start]]) // _STEP) * _STEP
        positions = order[start : start + max(1, budget // max(width, 1))]
        yield _pad([chunks[position] for position in positions], positions, width, pad_id)
        start += len(positions)


def merge_chunks(values: NDArray[np.float64], chunks: Sequence[Chunk], *, n_documents: int) -> NDArray[np.float64]:
    """Return one row a document: the mean over its chunks, weighted by their token counts.

    For mean pooling and a linear head this is exactly the answer for the mean over the tokens of all chunks.

    Parameters
    ----------
    values : array (K, X), one row a chunk
    chunks : K chunks in document order, at least one for each document
    n_documents : N

    Returns
    -------
    array (N, X)

    Examples
    --------
    >>> long, short = Chunk(document=0, ids=[1, 2, 3], type_ids=[0, 0, 0]), Chunk(document=0, ids=[4], type_ids=[0])
    >>> merge_chunks(np.array([[1.0], [5.0]]), [long, short], n_documents=1).tolist()
    [[2.0]]
    """
    weights = np.array([len(chunk.ids) for chunk in chunks], dtype=np.float64)
    starts = np.searchsorted([chunk.document for chunk in chunks], np.arange(n_documents))
    sums = np.add.reduceat(values * weights[:, None], starts, axis=0)
    return np.asarray(sums / np.add.reduceat(weights, starts)[:, None])


def _pad(chunks: list[Chunk], positions: NDArray[np.int64], width: int, pad_id: int) -> Batch:
    input_ids = np.full((len(chunks), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(input_ids)
    types = np.zeros_like(input_ids)
    for row, chunk in enumerate(chunks):
        length = len(chunk.ids)
        input_ids[row, :length] = chunk.ids
        mask[row, :length] = 1
        types[row, :length] = chunk.type_ids
    return Batch(positions=positions, input_ids=input_ids, attention_mask=mask, token_type_ids=types)
