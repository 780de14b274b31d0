"""Texts to batches: encoded once, grouped by length, padded only to the longest in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tapereader.bundle.tokenizer import Chunk, ChunkingTokenizer


@dataclass(frozen=True)
class EncodedText:
    """One document as the network sees it.

    Parameters
    ----------
    chunks : at least one
    label : position, 0/1 row or standardised value; None when only predicting
    hidden : outputs of frozen lower layers, one (L, D) tensor a chunk, or None
    """

    chunks: tuple[Chunk, ...]
    label: Any = None
    hidden: tuple[Tensor, ...] | None = None

    @property
    def tokens(self) -> int:
        """Real tokens in all chunks."""
        return sum(len(chunk.ids) for chunk in self.chunks)


class EncodedDataset(Dataset[EncodedText]):
    """Encoded documents with their labels, in the order given."""

    def __init__(self, documents: list[EncodedText]) -> None:
        self.documents = documents

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, position: int) -> EncodedText:
        return self.documents[position]


def encode(
    tokenizer: ChunkingTokenizer, texts: list[str], pairs: list[str] | None, targets: NDArray[Any] | None = None
) -> EncodedDataset:
    """Encode N texts, keeping every chunk.

    Parameters
    ----------
    tokenizer : of the backbone
    texts, pairs : N texts; N second texts or None
    targets : array (N,) or (N, C), or None
    """
    chunks: list[list[Chunk]] = [[] for _ in texts]
    for chunk in tokenizer.encode(texts, pairs):
        chunks[chunk.document].append(chunk)
    labels = [None] * len(texts) if targets is None else list(targets)
    return EncodedDataset([EncodedText(tuple(own), label) for own, label in zip(chunks, labels, strict=True)])


class Collator:
    """Pad the chunks of several documents into one batch.

    Parameters
    ----------
    pad_id : token id for padding; it is masked, so any id will do
    type_ids : whether the backbone reads segment ids
    """

    def __init__(self, *, pad_id: int, type_ids: bool) -> None:
        self.pad_id = pad_id
        self.type_ids = type_ids

    def __call__(self, documents: list[EncodedText]) -> dict[str, Any]:
        """Return what :meth:`TextNetwork.forward` takes."""
        chunks = [chunk for document in documents for chunk in document.chunks]
        length = max(len(chunk.ids) for chunk in chunks)
        mask = np.zeros((len(chunks), length), dtype=np.int64)
        for row, chunk in enumerate(chunks):
            mask[row, : len(chunk.ids)] = 1
        owners = [n for n, document in enumerate(documents) for _ in document.chunks]
        batch: dict[str, Any] = {
            "attention_mask": torch.from_numpy(mask),
            "document": torch.tensor(owners),
            "n_documents": len(documents),
        }
        if documents[0].hidden is not None:
            hidden = [states for document in documents for states in document.hidden or ()]
            batch["inputs_embeds"] = torch.nn.utils.rnn.pad_sequence(hidden, batch_first=True)
        else:
            batch["input_ids"] = self._pad([chunk.ids for chunk in chunks], length, self.pad_id)
            if self.type_ids:
                batch["token_type_ids"] = self._pad([chunk.type_ids for chunk in chunks], length, 0)
        if documents[0].label is not None:
            batch["labels"] = torch.from_numpy(np.asarray([document.label for document in documents]))
        return batch

    @staticmethod
    def _pad(rows: list[list[int]], length: int, value: int) -> Tensor:
        out = np.full((len(rows), length), value, dtype=np.int64)
        for position, row in enumerate(rows):
            out[position, : len(row)] = row
        return torch.from_numpy(out)


class LengthGroupedSampler(Sampler[int]):
    """A new random order each epoch, in which neighbours have like lengths.

    The order depends on seed and epoch alone, so a resumed run sees the batches it would have seen.

    Parameters
    ----------
    lengths : tokens of each document
    batch_size : documents in a batch
    seed : of the run
    """

    def __init__(self, lengths: list[int], *, batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        # Noise on the length keeps batches from being the same companions in every epoch.
        noisy = self.lengths * random.uniform(0.9, 1.1, len(self.lengths))
        order = np.argsort(noisy, kind="stable")
        full = len(order) // self.batch_size * self.batch_size
        batches = [order[start : start + self.batch_size] for start in range(0, full, self.batch_size)]
        random.shuffle(batches)
        # The short batch goes last: the loader cuts fixed-size batches, and it would shift all that follow.
        return iter(np.concatenate([*batches, order[full:]]).tolist())


def batches_by_length(dataset: EncodedDataset, *, token_budget: int) -> Iterator[list[int]]:
    """Yield positions of documents, longest first, so that a padded batch holds about ``token_budget`` tokens."""
    order = sorted(range(len(dataset)), key=lambda position: -dataset[position].tokens)
    batch: list[int] = []
    padded = 0
    longest = 0
    for position in order:
        document = dataset[position]
        longest = max(longest, *(len(chunk.ids) for chunk in document.chunks))
        padded += len(document.chunks)
        if batch and padded * longest > token_budget:
            yield batch
            batch, padded, longest = [], len(document.chunks), max(len(chunk.ids) for chunk in document.chunks)
        batch.append(position)
    if batch:
        yield batch
