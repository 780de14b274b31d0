"""Cutting documents into chunks that together hold every token."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapereader.bundle import ChunkingTokenizer
from tapereader.core import BundleError


@pytest.fixture
def path(tiny_bundle: Path) -> Path:
    return tiny_bundle / "model" / "tokenizer.json"


def test_a_short_text_is_one_chunk_between_its_special_tokens(path: Path) -> None:
    (chunk,) = ChunkingTokenizer(path, max_length=16).encode(["Profit rose"])
    assert (chunk.document, chunk.ids, chunk.type_ids) == (0, [2, 4, 6, 3], [0, 0, 0, 0])


def test_a_long_text_loses_no_token_and_no_chunk_is_too_long(path: Path) -> None:
    words = ["profit", "loss", "rose", "fell", "sales"] * 9
    chunks = ChunkingTokenizer(path, max_length=16).encode(["up", " ".join(words), "down"])
    assert [chunk.document for chunk in chunks] == [0, 1, 1, 1, 1, 2]
    assert max(len(chunk.ids) for chunk in chunks) <= 16
    inner = [token for chunk in chunks if chunk.document == 1 for token in chunk.ids[1:-1]]
    assert inner == [4, 5, 6, 7, 8] * 9


def test_the_pair_is_whole_in_every_chunk(path: Path) -> None:
    chunks = ChunkingTokenizer(path, max_length=16).encode(["profit " * 30], ["acme globex"])
    assert len(chunks) == 3
    assert all(chunk.ids[-3:] == [31, 32, 3] and chunk.type_ids[-3:] == [1, 1, 1] for chunk in chunks)
    assert sum(chunk.ids.count(4) for chunk in chunks) == 30


@pytest.mark.parametrize("max_length", [8, 32, 128])
@pytest.mark.parametrize("pair", ["营" * 200, "a.b.c." * 40, "acme " * 200], ids=["Chinese", "marks", "words"])
def test_a_pair_leaves_the_text_half_a_chunk(path: Path, max_length: int, pair: str) -> None:
    tokenizer = ChunkingTokenizer(path, max_length=max_length)
    chunks = tokenizer.encode(["profit rose " * 100], [pair])
    assert all(len(chunk.ids) <= max_length for chunk in chunks)
    assert sum(chunk.type_ids.count(0) for chunk in chunks) - 2 * len(chunks) == 200
    assert all(chunk.type_ids.count(1) - 1 <= max(1, (max_length - 4) // 2) for chunk in chunks)


def test_the_prefix_stands_before_the_text(path: Path) -> None:
    with_prefix = ChunkingTokenizer(path, max_length=16, prefix="the ").encode(["profit"])
    assert with_prefix == ChunkingTokenizer(path, max_length=16).encode(["the profit"])


def test_the_fingerprint_follows_what_the_tokenizer_does(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    other = tmp_path / "other.json"
    other.write_text(text.replace('"lowercase": true', '"lowercase": false'), encoding="utf-8")
    assert other.read_text(encoding="utf-8") != text
    same = tmp_path / "same.json"
    same.write_text(text + "\n", encoding="utf-8")
    found = [ChunkingTokenizer(place, max_length=16).fingerprint for place in (path, same, other)]
    assert found[0] == found[1] != found[2]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match=r"^A model folder must hold a readable tokenizer\.json; .*tokenizer\.json: "):
        ChunkingTokenizer(tmp_path / "tokenizer.json", max_length=16)
