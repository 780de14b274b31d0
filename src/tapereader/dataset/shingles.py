"""All pairs of texts whose shingle sets overlap by a stated share: MinHash finds them, exact Jaccard confirms them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Characters in a shingle. A character of a script written without spaces says about as much as half a word.
SHINGLE, SHINGLE_CJK = 5, 2
_CJK = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3134F))
_HASHES = 128
# A bucket with more texts than this (one template, thousands of names) is compared only inside blocks of neighbours in
# sorted order. The blocks are the same in every band, so all comparisons together stay linear in the number of texts.
_FULL_BUCKET, _BLOCK = 400, 200
_CHARACTERS_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 1 << 15
_SHINGLES_AT_ONCE = 1 << 24
# The MinHash estimate of a pair may fall this far below the threshold before the pair is dropped uncounted: over
# five standard errors at 0.8, so what is lost is far below what the bands miss.
_MARGIN = 0.25


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of texts at or above a Jaccard threshold.

    Parameters
    ----------
    left, right : int arrays (P,) of positions, ``left < right``, each pair once
    similarity : float array (P,), exact Jaccard similarity of the two shingle sets
    complete : False where a bucket was so large that it was compared in blocks and pairs may be missing
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]
    complete: bool


def near_pairs(
    texts: Sequence[str], *, threshold: float, seed: int, side: NDArray[np.bool_] | None = None
) -> NearPairs:
    """Find the pairs of distinct texts whose shingle sets have a Jaccard similarity of at least ``threshold``.

    A shingle is ``SHINGLE`` characters, or ``SHINGLE_CJK`` where its first character is Chinese, Japanese or Korean;
    texts are padded at the end so that every character starts one. MinHash signatures in bands propose candidates
    and each candidate is confirmed on the sets themselves (as 64-bit hashes of shingles), so no reported pair is
    below the threshold. A pair exactly at it is missed with a probability below 1 in 10,000, a more similar one
    less often.

    Parameters
    ----------
    texts : N texts, already masked and distinct
    threshold : in [0.5, 1]
    seed : of the hash functions
    side : bool array (N,); when given, only pairs with one text on either side are looked at

    References
    ----------
    Broder (1997), On the resemblance and containment of documents; Leskovec, Rajaraman and Ullman (2014), Mining of
    Massive Datasets, ch. 3.4.
    """
    size, bands = _bands(threshold)
    rng = np.random.default_rng(seed)
    sets, signatures = _sets_and_signatures(texts, rng, size * bands)
    lengths = np.diff(sets.indptr)
    keys, complete = _bucket_keys(signatures, size, bands, rng)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for band in range(bands):
        for left, right in _candidates(keys, band):
            shorter, longer = np.minimum(lengths[left], lengths[right]), np.maximum(lengths[left], lengths[right])
            keep = (shorter > 0) & (shorter >= threshold * longer)
            if side is not None:
                keep &= side[left] != side[right]
            left, right = left[keep], right[keep]
            estimate = (signatures[left] == signatures[right]).mean(axis=1)
            likely = estimate >= threshold - _MARGIN
            left, right = left[likely], right[likely]
            similarity = _jaccard(sets, left, right)
            near = similarity >= threshold
            found.append((left[near], right[near], similarity[near]))
    if not found:
        none = np.empty(0, dtype=np.int64)
        return NearPairs(left=none, right=none, similarity=np.empty(0), complete=complete)
    return NearPairs(
        left=np.concatenate([pair[0] for pair in found]),
        right=np.concatenate([pair[1] for pair in found]),
        similarity=np.concatenate([pair[2] for pair in found]),
        complete=complete,
    )


def _bands(threshold: float) -> tuple[int, int]:
    # The widest band that still misses a pair at the threshold less than once in 10,000 gives the fewest candidates.
    best = (1, _HASHES)
    for size in range(1, 17):
        bands = _HASHES // size
        if (1.0 - threshold**size) ** bands < 1e-4:
            best = (size, bands)
    return best


def _sets_and_signatures(
    texts: Sequence[str], rng: np.random.Generator, n_hashes: int
) -> tuple[sparse.csr_matrix, NDArray[np.uint32]]:
    weights = _odd(rng, SHINGLE + SHINGLE_CJK)
    multipliers, offsets = _odd(rng, n_hashes), _odd(rng, n_hashes)
    signatures = np.zeros((len(texts), n_hashes), dtype=np.uint32)
    hashes, counts = [np.empty(0, dtype=np.uint64)], [np.zeros(1, dtype=np.int64)]
    start = 0
    while start < len(texts):
        stop, characters = start, 0
        while stop < len(texts) and (stop == start or characters + len(texts[stop]) <= _CHARACTERS_AT_ONCE):
            characters += len(texts[stop])
            stop += 1
        values, sizes = _shingle_sets(texts[start:stop], weights)
        hashes.append(values)
        counts.append(sizes)
        filled = np.flatnonzero(sizes)
        if len(filled):
            firsts = (np.cumsum(sizes) - sizes)[filled]
            for n in range(n_hashes):
                permuted = ((values * multipliers[n] + offsets[n]) >> np.uint64(32)).astype(np.uint32)
                signatures[start + filled, n] = np.minimum.reduceat(permuted, firsts)
        start = stop
    indices = (np.concatenate(hashes) >> np.uint64(1)).view(np.int64)
    matrix = sparse.csr_matrix(
        (np.ones(len(indices), dtype=np.int32), indices, np.cumsum(np.concatenate(counts))),
        shape=(len(texts), np.iinfo(np.int64).max),
    )
    return matrix, signatures


def _shingle_sets(texts: Sequence[str], weights: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    # One pass over all characters of the chunk, then one small sort a text.
    padding = "\0" * (SHINGLE - 1)
    joined = "".join(text + padding for text in texts)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    starts = np.cumsum(lengths + len(padding)) - lengths - len(padding)
    n = len(codes) - len(padding)
    long = sum((codes[i : n + i] * weights[i] for i in range(SHINGLE)), np.zeros(n, dtype=np.uint64))
    short = sum((codes[i : n + i] * weights[SHINGLE + i] for i in range(SHINGLE_CJK)), np.zeros(n, dtype=np.uint64))
    cjk = np.zeros(n, dtype=np.bool_)
    for low, high in _CJK:
        cjk |= (codes[:n] >= low) & (codes[:n] <= high)
    values = _mixed(np.where(cjk, short, long))
    real = np.zeros(n, dtype=np.bool_)
    for begin, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        values[begin : begin + length].sort()
        real[begin : begin + length] = True
    # The lowest bit is dropped where sets are stored, so it must not tell two shingles apart here either.
    real[1:] &= (values[1:] >> np.uint64(1) != values[:-1] >> np.uint64(1)) | ~real[:-1]
    owner = np.repeat(np.arange(len(texts)), lengths + len(padding))[:n]
    return values[real], np.bincount(owner[real], minlength=len(texts)).astype(np.int64)


def _bucket_keys(
    signatures: NDArray[np.uint32], size: int, bands: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint64], bool]:
    weights = _odd(rng, size)
    keys = np.empty((bands, len(signatures)), dtype=np.uint64)
    complete = True
    for band in range(bands):
        columns = signatures[:, band * size : (band + 1) * size].astype(np.uint64)
        key = _mixed((columns * weights).sum(axis=1, dtype=np.uint64))
        order = np.argsort(key, kind="stable")
        first = np.r_[True, key[order][1:] != key[order][:-1]] if len(order) else np.empty(0, dtype=np.bool_)
        bucket = np.cumsum(first) - 1
        crowded = np.zeros(len(order), dtype=np.bool_)
        crowded[order] = np.bincount(bucket)[bucket] > _FULL_BUCKET if len(order) else False
        if crowded.any():
            complete = False
            block = np.flatnonzero(crowded) // _BLOCK
            key[crowded] = _mixed(key[crowded] + block.astype(np.uint64))
        keys[band] = key
    return keys, complete


def _candidates(keys: NDArray[np.uint64], band: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    # Pairs that share this band's bucket and none of an earlier band, so that each pair is looked at once.
    order = np.argsort(keys[band], kind="stable")
    key = keys[band][order]
    batches = []
    index = np.arange(len(order))
    for distance in range(1, _FULL_BUCKET):
        index = index[index + distance < len(order)]
        index = index[key[index] == key[index + distance]]
        if not len(index):
            break
        for begin in range(0, len(index), _PAIRS_AT_ONCE):
            part = index[begin : begin + _PAIRS_AT_ONCE]
            left, right = order[part], order[part + distance]
            new = np.ones(len(part), dtype=np.bool_)
            for earlier in range(band):
                new &= keys[earlier][left] != keys[earlier][right]
            batches.append((np.minimum(left, right)[new], np.maximum(left, right)[new]))
    return batches


def _jaccard(sets: sparse.csr_matrix, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    lengths = np.diff(sets.indptr)
    out = np.empty(len(left))
    begin = 0
    cost = np.cumsum(lengths[left] + lengths[right])
    while begin < len(left):
        spent = cost[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(cost, spent + _SHINGLES_AT_ONCE, side="right")))
        i, j = left[begin:stop], right[begin:stop]
        shared = np.asarray(sets[i].multiply(sets[j]).sum(axis=1)).ravel()
        out[begin:stop] = shared / (lengths[i] + lengths[j] - shared)
        begin = stop
    return out


def _odd(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    return rng.integers(0, 2**64, size=n, dtype=np.uint64) | np.uint64(1)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit.
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
