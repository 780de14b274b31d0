"""Text to token ids with the Rust tokenizer alone; documents longer than the encoder come back in chunks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tapereader.core.errors import BundleError

#: What the fingerprint encodes: Latin, digits, signs, Chinese, an emoji and a word no vocabulary holds whole.
_PROBE = "Operating profit rose 12.5% to EUR 3,041m; 营业利润同比下降8.2%。 📉 Xyzzyvale-Östersund"
#: The most special tokens any supported tokenizer puts around two texts.
_SPECIAL = 4


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One piece of one text, special tokens included, no padding.

    Parameters
    ----------
    document : position of its text in the call
    ids, type_ids : L token ids and segment ids
    """

    document: int
    ids: list[int]
    type_ids: list[int]


@dataclass(frozen=True, kw_only=True)
class LocatedChunk:
    """A chunk, and where its tokens stand in the text.

    Parameters
    ----------
    chunk : as the network reads it
    spans : for each token first and last character position (the last one excluded) in the text, or None for special
        tokens, the prefix and the second text
    """

    chunk: Chunk
    spans: tuple[tuple[int, int] | None, ...]


class ChunkingTokenizer:
    """The tokenizer of a model folder, cutting long documents into chunks that are all read.

    Training and scoring use this one class, so that a text becomes the same ids in both.

    Parameters
    ----------
    path : a ``tokenizer.json``
    max_length : tokens in a chunk, special tokens included
    prefix : put before every text (``query: `` for the e5 family)

    Raises
    ------
    BundleError
        If the file is missing or damaged.
    """

    def __init__(self, path: Path, *, max_length: int, prefix: str = "") -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust side raises a bare Exception, whatever went wrong
            raise BundleError(f"A model folder must hold a readable tokenizer.json; {path}: {error}.") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_length, stride=0, strategy="only_first")
        self.max_length = max_length
        self.prefix = prefix

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over what the tokenizer does to a fixed probe: equal only for equal tokenizers."""
        encoding = self._tokenizer.encode(_PROBE, "ACME")
        pieces = [encoding, *encoding.overflowing]
        payload = repr([(piece.ids, piece.type_ids) for piece in pieces] + [self._tokenizer.get_vocab_size()])
        return hashlib.sha256(payload.encode()).hexdigest()[:12]

    def encode(self, texts: list[str], pairs: list[str] | None = None) -> list[Chunk]:
        """Return all chunks of all texts, in order; every text has at least one.

        Parameters
        ----------
        texts : N texts
        pairs : N second texts, repeated in every chunk, or None; one that takes more than half a chunk is cut there
        """
        return [
            Chunk(document=document, ids=piece.ids, type_ids=piece.type_ids)
            for document, encoding in enumerate(self._tokenizer.encode_batch_fast(self._inputs(texts, pairs)))
            for piece in (encoding, *encoding.overflowing)
        ]

    def locate(self, text: str, pair: str | None = None) -> list[LocatedChunk]:
        """Return the chunks of one text, as :meth:`encode` makes them, with the place of every token in the text.

        A token that covers part of the prefix too keeps the part that is text.

        Parameters
        ----------
        text : one text
        pair : its second text, or None
        """
        encoding = self._tokenizer.encode_batch(self._inputs([text], None if pair is None else [pair]))[0]
        shift = len(self.prefix)
        return [
            LocatedChunk(
                chunk=Chunk(document=0, ids=piece.ids, type_ids=piece.type_ids),
                spans=tuple(
                    (max(start - shift, 0), end - shift) if sequence == 0 and end > shift else None
                    for sequence, (start, end) in zip(piece.sequence_ids, piece.offsets, strict=True)
                ),
            )
            for piece in (encoding, *encoding.overflowing)
        ]

    def _inputs(self, texts: list[str], pairs: list[str] | None) -> list[str] | list[tuple[str, str]]:
        firsts = [self.prefix + text for text in texts]
        return firsts if pairs is None else list(zip(firsts, (self._fit(pair) for pair in pairs), strict=True))

    def _fit(self, pair: str) -> str:
        # Only the first text is cut into chunks. A second one that leaves it no room would make the tokenizer fail.
        most = max(1, (self.max_length - _SPECIAL) // 2)
        encoding = self._tokenizer.encode(pair, add_special_tokens=False)
        return pair if len(encoding.ids) <= most else pair[: encoding.offsets[most - 1][1]]
