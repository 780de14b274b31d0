"""Documents as chunks of tokens, and batches of chunks with something to guess in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from tapereader.training.batches import LengthGroupedSampler

Objective = Literal["masked", "contrastive", "causal"]
#: Positions with this label add nothing to the loss; the number is transformers' convention.
IGNORED = -100
#: A longer run of tokens is no word to guess whole: some tokenizers make one of a Chinese sentence.
_LONGEST_WORD = 8
_AT_ONCE = 512


@dataclass(frozen=True)
class TextChunk:
    """One chunk of one document.

    Parameters
    ----------
    position : of the chunk in its corpus
    document : position of its document
    ids : int array (L,), special tokens included
    words : int array (L,), tokens of one word have one number; -1 for special tokens
    """

    position: int
    document: int
    ids: NDArray[np.int32]
    words: NDArray[np.int32]


class ChunkedTexts(Dataset[TextChunk]):
    """All chunks of N texts, kept as flat arrays: a corpus may have hundreds of millions of tokens.

    Parameters
    ----------
    tokenizer_path : a ``tokenizer.json``
    texts : N texts
    max_length : tokens in a chunk, special tokens included
    prefix : put before every text
    end_id : put after the last token of each text, for decoders; None puts nothing
    """

    def __init__(
        self, tokenizer_path: Path, texts: Sequence[str], *, max_length: int, prefix: str, end_id: int | None
    ) -> None:
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=max_length if end_id is None else max_length - 1)
        end = [] if end_id is None else [end_id]
        ids: list[NDArray[np.int32]] = []
        words: list[NDArray[np.int32]] = []
        owners = []
        for start in range(0, len(texts), _AT_ONCE):
            encodings = tokenizer.encode_batch([prefix + text for text in texts[start : start + _AT_ONCE]])
            for document, encoding in enumerate(encodings, start=start):
                pieces = [encoding, *encoding.overflowing]
                for piece in pieces:
                    own = _word_numbers(piece)
                    # What has fewer than two tokens has nothing to be guessed from.
                    if len(own) < 2 or not (own >= 0).any():
                        continue
                    closing = end if piece is pieces[-1] else []
                    ids.append(np.asarray([*piece.ids, *closing], dtype=np.int32))
                    words.append(np.concatenate([own, np.full(len(closing), -1, dtype=np.int32)]))
                    owners.append(document)
        self.lengths = [len(own) for own in ids]
        self.documents = np.asarray(owners, dtype=np.int64)
        self._starts = np.cumsum([0, *self.lengths])
        self._ids = np.concatenate([*ids, np.empty(0, dtype=np.int32)])
        self._words = np.concatenate([*words, np.empty(0, dtype=np.int32)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, position: int) -> TextChunk:
        part = slice(self._starts[position], self._starts[position + 1])
        return TextChunk(position, int(self.documents[position]), self._ids[part], self._words[part])

    @property
    def tokens(self) -> int:
        """Tokens in all chunks."""
        return len(self._ids)

    def frequencies(self, vocabulary: int) -> NDArray[np.float64]:
        """Return the share (V,) of each token among all, each counted once more than it occurs."""
        counts = np.bincount(self._ids, minlength=vocabulary)[:vocabulary] + 1.0
        return np.asarray(counts / counts.sum())


class Collator:
    """Pad chunks into a batch and choose what is to be guessed.

    Masked: whole words are drawn until their tokens reach the share, and of those tokens 80 % become the mask, 10 %
    another token, and 10 % stay. The draw depends on seed, epoch and chunk alone, so that a resumed run masks what it
    would have masked.

    Parameters
    ----------
    objective : what is guessed
    pad_id : token id for padding
    vocabulary : V, other tokens are drawn from it
    mask_id : token id of the mask; None where nothing is masked
    mask_share : share of a chunk's tokens to be guessed
    seed : of the run
    order : tells the epoch; None stays in the first

    References
    ----------
    Devlin et al. (2019), BERT, NAACL, sec. 3.1; whole words: its repository's release of May 2019.
    """

    def __init__(
        self, objective: Objective, *, pad_id: int, vocabulary: int, mask_id: int | None, mask_share: float, seed: int,
        order: LengthGroupedSampler | None,
    ) -> None:  # fmt: skip
        self.objective = objective
        self.pad_id = pad_id
        self.vocabulary = vocabulary
        self.mask_id = mask_id
        self.mask_share = mask_share
        self.seed = seed
        self.order = order

    def __call__(self, chunks: list[TextChunk]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` (B, L) and ``labels`` (B, L), or ``document`` (B,)."""
        shape = (len(chunks), max(len(chunk.ids) for chunk in chunks))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        for row, chunk in enumerate(chunks):
            length = len(chunk.ids)
            mask[row, :length] = 1
            ids[row, :length] = chunk.ids
            if self.objective == "masked":
                ids[row, :length], labels[row, :length] = self._masked(chunk)
            elif self.objective == "causal":
                labels[row, :length] = chunk.ids
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.objective == "contrastive":
            return batch | {"document": torch.tensor([chunk.document for chunk in chunks])}
        return batch | {"labels": torch.from_numpy(labels)}

    def _masked(self, chunk: TextChunk) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        epoch = 0 if self.order is None else self.order.epoch
        random = np.random.default_rng((self.seed, epoch, chunk.position))
        sizes = np.bincount(chunk.words[chunk.words >= 0])
        order = random.permutation(np.flatnonzero(sizes))
        # A word is taken when more than half of it lies within the share: the mean share is then the asked one.
        middle = np.cumsum(sizes[order]) - sizes[order] / 2
        taken = order[: max(1, int((middle <= self.mask_share * sizes.sum()).sum()))]
        places = np.flatnonzero(np.isin(chunk.words, taken))
        ids = chunk.ids.astype(np.int64)
        labels = np.full(len(ids), IGNORED, dtype=np.int64)
        labels[places] = ids[places]
        fate = random.random(len(places))
        ids[places[fate < 0.8]] = self.mask_id if self.mask_id is not None else self.pad_id
        other = places[(fate >= 0.8) & (fate < 0.9)]
        ids[other] = random.integers(0, self.vocabulary, len(other))
        return ids, labels


def _word_numbers(piece: Encoding) -> NDArray[np.int32]:
    special = np.asarray(piece.special_tokens_mask, dtype=bool)
    word = np.asarray([-1 if own is None else own for own in piece.word_ids], dtype=np.int64)
    starts = np.ones(len(word), dtype=bool)
    starts[1:] = (word[1:] != word[:-1]) | special[1:] | special[:-1] | (word[1:] < 0)
    run = np.cumsum(starts) - 1
    if len(run):
        starts |= np.bincount(run)[run] > _LONGEST_WORD
    numbers = np.cumsum(starts) - 1
    numbers[special] = -1
    return numbers.astype(np.int32)
