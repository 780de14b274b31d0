"""Chunks into rectangular batches with little padding, and their answers back into one row a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.tokenizer import Chunk
from tapereader.core.errors import ConfigError

#: What one more batch costs, in tokens that could be computed in its time: a small network's calls on one processor
#: core were fastest, and alike within 3 %, from 32 to 64; more cores compute more tokens meanwhile.
_CALL = 64


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

    Chunks sorted by length are cut where it costs least: padding is computed for nothing, and every batch is one more
    call. Longest first shows the greatest memory need at once. A chunk longer than the budget is a batch of its own.
    Every chunk is in exactly one batch.

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
    for part in _cuts(lengths[order].tolist(), budget):
        positions = order[part]
        yield _pad([chunks[position] for position in positions], positions, lengths[positions], pad_id)


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
    if len(chunks) == n_documents:
        return values
    weights = np.array([len(chunk.ids) for chunk in chunks], dtype=np.float64)
    starts = np.searchsorted([chunk.document for chunk in chunks], np.arange(n_documents))
    sums = np.add.reduceat(values * weights[:, None], starts, axis=0)
    return np.asarray(sums / np.add.reduceat(weights, starts)[:, None])


def _cuts(lengths: list[int], budget: int) -> list[slice]:
    """Return the batches of lengths that fall, so that tokens with padding plus ``_CALL`` for each batch are fewest.

    The least cost of the first ``end`` chunks is that of the first ``begin`` plus one batch of the others, for the best
    ``begin``: all are tried, from the front, as far back as the budget reaches.
    """
    sizes = np.array(lengths, dtype=np.float64)
    rest = np.empty(len(lengths))  # what is spent before a batch that begins here, less its length for each before it
    begins = [0] * (len(lengths) + 1)
    cost, first = 0.0, 0
    for end in range(1, len(lengths) + 1):
        rest[end - 1] = cost - (end - 1) * lengths[end - 1]
        while first < end - 1 and (end - first) * lengths[first] > budget:
            first += 1
        totals = rest[first:end] + end * sizes[first:end]
        best = int(totals.argmin())
        cost, begins[end] = float(totals[best]) + _CALL, first + best
    found = []
    end = len(lengths)
    while end:
        found.append(slice(begins[end], end))
        end = begins[end]
    return found[::-1]


def _pad(chunks: list[Chunk], positions: NDArray[np.int64], lengths: NDArray[np.int64], pad_id: int) -> Batch:
    # The longest is first. All rows are filled at once: one by one took as long as a tenth of a small network.
    mask = np.arange(lengths[0]) < lengths[:, None]
    size = int(lengths.sum())
    input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
    input_ids[mask] = np.fromiter(chain.from_iterable(chunk.ids for chunk in chunks), np.int64, size)
    types = np.zeros_like(input_ids)
    types[mask] = np.fromiter(chain.from_iterable(chunk.type_ids for chunk in chunks), np.int64, size)
    return Batch(positions=positions, input_ids=input_ids, attention_mask=mask.astype(np.int64), token_type_ids=types)
