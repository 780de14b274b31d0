"""From an E5S1 file to a Hugging Face folder: a plain BERT encoder and its Unigram tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from tapereader.core.errors import BundleError
from tapereader.models.conversion.e5s1 import E5S1File, E5S1Header, read_e5s1
from tapereader.models.conversion.safetensors import PlannedTensor, write_safetensors

_MASK = "<mask>"
#: Stands for the full-width tilde while NFKC runs: the vocabulary was learnt on text that kept it.
_TILDE, _KEPT_TILDE = "\uff5e", "\uf8fe"
_CONTROLS = r"[\x00-\x08\x0B\x0E-\x1F\x7F\x8F\x9F]"
_SPACES = r"[\t\n\x0C\r\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}]"


def convert_e5(source: Path, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``tokenizer_config.json``.

    The result opens with ``transformers`` as a ``BertModel`` without pooler. No torch is needed to write it, and
    equal input gives equal files.

    Parameters
    ----------
    source : the E5S1 file
    folder : an existing folder to write into

    Raises
    ------
    BundleError
        If the file is damaged, or a tensor is missing or of the wrong size.
    """
    file = read_e5s1(source)
    write_safetensors(folder / "model.safetensors", _plan(file))
    _write_json(folder / "config.json", _config(file.header))
    tokenizer = _tokenizer(file)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(file))


def _plan(file: E5S1File) -> list[PlannedTensor]:
    header = file.header
    wide, inner = header.hidden, header.feed_forward
    rows: list[tuple[str, str, tuple[int, ...]]] = [
        ("embeddings.word_embeddings.weight", "emb.word", (header.vocabulary, wide)),
        ("embeddings.position_embeddings.weight", "emb.pos", (header.positions, wide)),
        ("embeddings.token_type_embeddings.weight", "emb.type", (header.token_types, wide)),
        ("embeddings.LayerNorm.weight", "emb.ln.w", (wide,)),
        ("embeddings.LayerNorm.bias", "emb.ln.b", (wide,)),
    ]
    for layer in range(header.layers):
        blocks: tuple[tuple[str, str, tuple[int, ...]], ...] = (
            ("attention.self.query", "q", (wide, wide)),
            ("attention.self.key", "k", (wide, wide)),
            ("attention.self.value", "v", (wide, wide)),
            ("attention.output.dense", "ao", (wide, wide)),
            ("attention.output.LayerNorm", "aln", (wide,)),
            ("intermediate.dense", "fi", (inner, wide)),
            ("output.dense", "fo", (wide, inner)),
            ("output.LayerNorm", "oln", (wide,)),
        )
        for ours, theirs, shape in blocks:
            rows.append((f"encoder.layer.{layer}.{ours}.weight", f"l{layer}.{theirs}.w", shape))
            rows.append((f"encoder.layer.{layer}.{ours}.bias", f"l{layer}.{theirs}.b", shape[:1]))
    for _, theirs, shape in rows:
        if file.count(theirs) != int(np.prod(shape)):
            raise BundleError(f"The tensor {theirs!r} must have the shape {shape}; got {file.count(theirs)} elements.")
    return [PlannedTensor(name=ours, shape=shape, read=_reader(file, theirs)) for ours, theirs, shape in rows]


def _reader(file: E5S1File, name: str) -> Callable[[], NDArray[np.float32]]:
    return lambda: file.tensor(name)


def _config(header: E5S1Header) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": header.bos,
        "dtype": "float32",
        "eos_token_id": header.eos,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": header.hidden,
        "initializer_range": 0.02,
        "intermediate_size": header.feed_forward,
        "layer_norm_eps": float(f"{header.epsilon:.6g}"),  # stored as float32: 1e-12 came back as 9.99999996e-13
        "max_position_embeddings": header.positions,
        "num_attention_heads": header.heads,
        "num_hidden_layers": header.layers,
        "pad_token_id": header.pad,
        "type_vocab_size": header.token_types,
        "vocab_size": header.vocabulary,
    }


def _tokenizer(file: E5S1File) -> Tokenizer:
    header, pieces = file.header, file.pieces
    scored = list(zip(pieces, (float(score) for score in file.scores), strict=True))
    tokenizer = Tokenizer(Unigram(scored, unk_id=header.unk, byte_fallback=False))
    # The vocabulary was learnt on text folded this way: controls dropped, odd spaces made plain, NFKC (but for the
    # full-width tilde, frequent in Chinese ranges), runs of spaces joined.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_CONTROLS), ""),
            normalizers.Replace(Regex(_SPACES), " "),
            normalizers.Replace(_TILDE, _KEPT_TILDE),
            normalizers.NFKC(),
            normalizers.Replace(_KEPT_TILDE, _TILDE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    bos, eos = pieces[header.bos], pieces[header.eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos}:0 $A:0 {eos}:0",
        pair=f"{bos}:0 $A:0 {eos}:0 {eos}:0 $B:0 {eos}:0",
        special_tokens=[(bos, header.bos), (eos, header.eos)],
    )
    special: list[str | AddedToken] = [
        AddedToken(piece, special=True, normalized=False) for piece in _special(file) if piece != _MASK
    ]
    if _MASK in pieces:
        special.append(AddedToken(_MASK, lstrip=True, special=True, normalized=False))
    tokenizer.add_special_tokens(special)
    return tokenizer


def _special(file: E5S1File) -> list[str]:
    header, pieces = file.header, file.pieces
    marks = [pieces[position] for position in (header.bos, header.pad, header.eos, header.unk)]
    return [*marks, _MASK] if _MASK in pieces else marks


def _tokenizer_config(file: E5S1File) -> dict[str, Any]:
    bos, pad, eos, unk, *mask = _special(file)
    marks = {"bos_token": bos, "cls_token": bos, "eos_token": eos, "sep_token": eos, "pad_token": pad, "unk_token": unk}
    if mask:
        marks["mask_token"] = mask[0]
    return {
        # The generic class reads tokenizer.json as it is; the named ones would rebuild the normaliser.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": file.header.positions,
        **marks,
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
