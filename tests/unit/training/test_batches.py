"""Texts to batches: nothing lost, nothing padded that could be spared, the same order for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="batches are tensors, which need the extra train")

from tests.tiny_models import write_model

from tapereader.bundle import ChunkingTokenizer
from tapereader.training.batches import Collator, LengthGroupedSampler, batches_by_length, encode

TEXTS = ["sales rose", "the company fell", "profit " * 30, "weak", "record sales in the quarter of the year"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ChunkingTokenizer:
    folder = write_model(tmp_path_factory.mktemp("models") / "bert")
    return ChunkingTokenizer(folder / "tokenizer.json", max_length=12)


def test_a_long_document_keeps_every_word(tokenizer: ChunkingTokenizer) -> None:
    (document,) = encode(tokenizer, [TEXTS[2]], None).documents
    # 10 words fit between the two marks of a 12-token chunk.
    assert [len(chunk.ids) for chunk in document.chunks] == [12, 12, 12]
    assert document.tokens == 36


def test_labels_stay_beside_their_documents(tokenizer: ChunkingTokenizer) -> None:
    data = encode(tokenizer, TEXTS, None, np.arange(5))
    assert [data[n].label for n in range(len(data))] == [0, 1, 2, 3, 4]
    batch = Collator(pad_id=0, type_ids=False)([data[3], data[1]])
    assert batch["labels"].tolist() == [3, 1]
    assert "labels" not in Collator(pad_id=0, type_ids=False)(encode(tokenizer, TEXTS, None).documents)


def test_a_batch_is_padded_to_its_longest_and_says_whose_each_chunk_is(tokenizer: ChunkingTokenizer) -> None:
    data = encode(tokenizer, TEXTS, None)
    batch = Collator(pad_id=0, type_ids=True)([data[0], data[2], data[3]])
    assert batch["document"].tolist() == [0, 1, 1, 1, 2]
    assert batch["n_documents"] == 3
    assert batch["attention_mask"].sum(dim=1).tolist() == [4, 12, 12, 12, 3]
    assert batch["input_ids"].shape == batch["token_type_ids"].shape == (5, 12)
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()
    short = Collator(pad_id=0, type_ids=False)([data[0], data[3]])
    assert short["input_ids"].shape == (2, 4)
    assert "token_type_ids" not in short


def test_a_second_text_stands_in_every_chunk_with_its_own_segment(tokenizer: ChunkingTokenizer) -> None:
    (document,) = encode(tokenizer, [TEXTS[2]], ["acme"]).documents
    acme = tokenizer.encode(["acme"])[0].ids[1]
    assert len(document.chunks) > 3
    assert all(chunk.ids[-2] == acme and chunk.type_ids[-2] == 1 for chunk in document.chunks)


@pytest.mark.parametrize("n", [1, 7, 32, 45])
def test_every_row_comes_once_an_epoch(n: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 60, n).tolist()
    sampler = LengthGroupedSampler(lengths, batch_size=8, seed=0)
    assert sorted(sampler) == list(range(n))
    assert len(sampler) == n


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 40).tolist()

    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthGroupedSampler(lengths, batch_size=8, seed=seed)
        list(sampler)  # having been read before changes nothing
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_neighbours_have_like_lengths_and_the_short_batch_is_the_last() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 100).tolist()
    order = list(LengthGroupedSampler(lengths, batch_size=8, seed=0))
    batches = [[lengths[n] for n in order[start : start + 8]] for start in range(0, 100, 8)]
    padded = sum(max(batch) * len(batch) for batch in batches)
    assert sum(lengths) / padded > 0.85
    mixed = [lengths[start : start + 8] for start in range(0, 100, 8)]
    assert sum(lengths) / sum(max(batch) * len(batch) for batch in mixed) < 0.7
    assert len(batches[-1]) == 4


def test_batches_hold_every_document_once_and_about_their_budget(tokenizer: ChunkingTokenizer) -> None:
    data = encode(tokenizer, TEXTS * 10, None)
    batches = list(batches_by_length(data, token_budget=60))
    assert sorted(n for batch in batches for n in batch) == list(range(50))
    for batch in batches:
        chunks = [len(chunk.ids) for n in batch for chunk in data[n].chunks]
        assert len(chunks) * max(chunks) <= 60 or len(batch) == 1


def test_a_document_above_the_budget_is_a_batch_of_its_own(tokenizer: ChunkingTokenizer) -> None:
    data = encode(tokenizer, TEXTS, None)
    assert list(batches_by_length(data, token_budget=1)) == [[2], [4], [1], [0], [3]]
