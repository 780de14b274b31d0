"""Where tokens stand in the text: word pieces, bytes and sentence pieces; prefix, chunks and pairs left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tapereader.bundle import ChunkingTokenizer


def word_pieces() -> Tokenizer:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##profit", "##able", "year", "利", "润"]
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))  # noqa: S106 (a mark)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["unprofitable year unprofitable year"], trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def sentence_pieces() -> Tokenizer:
    scores = {"<unk>": 0.0, "<mask>": 0.0, "▁": -4.0, "▁query": -1.0, ":": -1.0, "▁un": -1.0, "profitable": -1.0,
              "▁year": -1.0, "利润": -1.0, "利": -3.0, "润": -3.0}  # fmt: skip
    tokenizer = Tokenizer(models.Unigram(list(scores.items()), unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., ChunkingTokenizer]:
    def write(tokenizer: Tokenizer, *, max_length: int = 32, prefix: str = "") -> ChunkingTokenizer:
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        return ChunkingTokenizer(tmp_path / "tokenizer.json", max_length=max_length, prefix=prefix)

    return write


TEXT = "Unprofitable year 利润"


@pytest.mark.parametrize(
    ("make", "text"), [(word_pieces, TEXT), (byte_level, TEXT), (sentence_pieces, "unprofitable year 利润")]
)
@pytest.mark.parametrize("prefix", ["", "query: "])
def test_the_tokens_of_every_kind_cover_the_text_and_nothing_else(
    opened: Callable[..., ChunkingTokenizer], make: Callable[[], Tokenizer], text: str, prefix: str
) -> None:
    tokenizer = opened(make(), prefix=prefix)
    (located,) = tokenizer.locate(text)
    assert located.chunk == tokenizer.encode([text])[0]
    assert len(located.spans) == len(located.chunk.ids)
    covered = {at for span in located.spans if span is not None for at in range(*span)}
    assert {at for at in covered if not text[at].isspace()} == {
        at for at, mark in enumerate(text) if not mark.isspace()
    }
    assert all(0 <= span[0] <= span[1] <= len(text) for span in located.spans if span is not None)


def test_word_pieces_stand_where_their_characters_are(opened: Callable[..., ChunkingTokenizer]) -> None:
    (located,) = opened(word_pieces()).locate(TEXT)
    assert located.spans == (None, (0, 2), (2, 8), (8, 12), (13, 17), (18, 19), (19, 20), None)


def test_a_sentence_piece_of_two_ideographs_is_one_span(opened: Callable[..., ChunkingTokenizer]) -> None:
    (located,) = opened(sentence_pieces(), prefix="query: ").locate("利润")
    assert located.spans[-1] == (0, 2)
    assert located.spans[:2] == (None, None)


def test_every_byte_of_a_character_stands_where_the_character_does(opened: Callable[..., ChunkingTokenizer]) -> None:
    (located,) = opened(byte_level()).locate("利")
    assert located.spans == ((0, 1), (0, 1), (0, 1))


def test_chunks_go_on_where_the_last_one_ended_and_the_pair_has_no_place(
    opened: Callable[..., ChunkingTokenizer],
) -> None:
    tokenizer = opened(word_pieces(), max_length=8)
    text = "year " * 9
    located = tokenizer.locate(text, "year 利")
    assert [piece.chunk for piece in located] == tokenizer.encode([text], ["year 利"])
    spans = [span for piece in located for span in piece.spans if span is not None]
    assert spans == [(start, start + 4) for start in range(0, 45, 5)]
    assert all(piece.spans[-4:] == (None, None, None, None) for piece in located)
