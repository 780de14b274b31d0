"""Batches: every chunk once, little padding, bounded size; and chunks back into documents."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapereader.bundle import Chunk
from tapereader.core import ConfigError
from tapereader.engine import merge_chunks, token_batches


def chunks_of(lengths: list[int]) -> list[Chunk]:
    return [
        Chunk(document=number, ids=list(range(1, length + 1)), type_ids=[1] * length)
        for number, length in enumerate(lengths)
    ]


def test_every_chunk_is_in_exactly_one_batch_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(1, 128, size=500).tolist()
    batches = list(token_batches(chunks_of(lengths), budget=512, pad_id=0))
    assert sorted(np.concatenate([batch.positions for batch in batches]).tolist()) == list(range(500))
    assert max(batch.input_ids.size for batch in batches) <= 512
    assert [batch.input_ids.shape[1] for batch in batches] == sorted(
        (batch.input_ids.shape[1] for batch in batches), reverse=True
    )
    padded = sum(batch.input_ids.size for batch in batches)
    assert padded < 1.1 * sum(lengths)


def test_padding_is_masked_and_carries_the_pad_id() -> None:
    (batch,) = token_batches(chunks_of([2, 9]), budget=100, pad_id=7)
    assert batch.positions.tolist() == [1, 0]
    assert batch.input_ids.tolist() == [[*range(1, 10)], [1, 2, *[7] * 7]]
    assert batch.attention_mask.tolist() == [[1] * 9, [1] * 2 + [0] * 7]
    assert batch.token_type_ids.tolist() == [[1] * 9, [1] * 2 + [0] * 7]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == batch.token_type_ids.dtype == np.int64


@given(lengths=st.lists(st.integers(0, 90), min_size=1, max_size=9), budget=st.integers(1, 300))
def test_no_other_cut_into_batches_costs_less(lengths: list[int], budget: int) -> None:
    """Against every cut of the sorted lengths there is: each of the gaps between neighbours is cut, or is not."""
    falling = sorted(lengths, reverse=True)

    def cost(sizes: list[int]) -> float:
        total, start = 0.0, 0
        for size in sizes:
            if size > 1 and size * falling[start] > budget:
                return float("inf")
            total += 64 + size * falling[start]
            start += size
        return total

    def cut(gaps: tuple[bool, ...]) -> list[int]:
        ends = [position for position, there in enumerate(gaps, start=1) if there] + [len(falling)]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    found = [len(batch.positions) for batch in token_batches(chunks_of(lengths), budget=budget, pad_id=0)]
    assert sum(found) == len(lengths)
    assert cost(found) == min(cost(cut(gaps)) for gaps in product((False, True), repeat=len(falling) - 1))


def test_a_chunk_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    batches = list(token_batches(chunks_of([50, 60, 3]), budget=40, pad_id=0))
    assert [batch.positions.tolist() for batch in batches] == [[1], [0], [2]]


def test_no_chunks_give_no_batches() -> None:
    assert list(token_batches([], budget=10, pad_id=0)) == []


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        list(token_batches(chunks_of([1]), budget=0, pad_id=0))
    assert str(caught.value) == "`budget` must be at least 1 token; got 0."


def test_documents_are_means_of_chunks_weighted_by_tokens() -> None:
    parts = [
        Chunk(document=0, ids=[1] * 3, type_ids=[0] * 3),
        Chunk(document=1, ids=[1] * 4, type_ids=[0] * 4),
        Chunk(document=1, ids=[1] * 1, type_ids=[0] * 1),
        Chunk(document=2, ids=[1] * 2, type_ids=[0] * 2),
    ]
    values = np.array([[1.0, 10.0], [2.0, 0.0], [7.0, 5.0], [4.0, 4.0]])
    # document 1: (4 x 2 + 1 x 7) / 5 = 3 and (4 x 0 + 1 x 5) / 5 = 1
    assert merge_chunks(values, parts, n_documents=3).tolist() == [[1.0, 10.0], [3.0, 1.0], [4.0, 4.0]]
