"""From a GGUF file to a Hugging Face folder: a Llama decoder with its byte-level BPE tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from tapereader.core.errors import BundleError
from tapereader.models.conversion.gguf import GgufFile, read_gguf
from tapereader.models.conversion.safetensors import PlannedTensor, write_safetensors

_CONTROL = 3  # ggml's token type of marks such as <|im_start|>
_LAYER = (
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
)


def convert_llama(source: Path, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json``, the chat template and the rest of a folder.

    The result opens with ``transformers`` as a ``LlamaForCausalLM`` and takes gradients; no torch is needed to write
    it. (transformers itself can open the file, but refuses to save what it opened.)

    Parameters
    ----------
    source : the GGUF file
    folder : an existing folder to write into

    Raises
    ------
    BundleError
        If the file is damaged, is no Llama, or its tokenizer is not the byte-level BPE of the SmolLM family.
    """
    file = read_gguf(source)
    kind = (file.need("general.architecture"), file.need("tokenizer.ggml.model"), file.need("tokenizer.ggml.pre"))
    if kind != ("llama", "gpt2", "smollm"):
        raise BundleError(f"A GGUF file to convert must be a llama with a gpt2/smollm tokenizer; got {kind!r}.")
    write_safetensors(folder / "model.safetensors", _plan(file))
    tokens = file.need("tokenizer.ggml.tokens")
    marks = {
        f"{name}_token": int(file.need(f"tokenizer.ggml.{key}_token_id"))
        for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
    }
    ids = {f"{name}_id": position for name, position in marks.items() if name != "unk_token"}
    _write_json(folder / "config.json", _config(file) | ids)
    _write_json(folder / "generation_config.json", ids)
    _tokenizer(file).save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": int(file.need("llama.context_length")),
        "clean_up_tokenization_spaces": False,
        **{name: tokens[position] for name, position in marks.items()},
    }
    if "tokenizer.chat_template" in file.metadata:
        settings["chat_template"] = file.metadata["tokenizer.chat_template"]
    _write_json(folder / "tokenizer_config.json", settings)


def _plan(file: GgufFile) -> list[PlannedTensor]:
    heads, groups = int(file.need("llama.attention.head_count")), int(file.need("llama.attention.head_count_kv"))
    names = [("model.embed_tokens.weight", "token_embd.weight", 0), ("model.norm.weight", "output_norm.weight", 0)]
    for layer in range(int(file.need("llama.block_count"))):
        for ours, theirs in _LAYER:
            turns = {"attn_q": heads, "attn_k": groups}.get(theirs, 0)
            names.append((f"model.layers.{layer}.{ours}.weight", f"blk.{layer}.{theirs}.weight", turns))
    if "output.weight" in file.entries:
        names.append(("lm_head.weight", "output.weight", 0))
    return [
        PlannedTensor(name=ours, shape=file.shape(theirs), read=_reader(file, theirs, turns))
        for ours, theirs, turns in names
    ]


def _reader(file: GgufFile, name: str, turns: int) -> Callable[[], NDArray[np.float32]]:
    if not turns:
        return lambda: file.tensor(name)

    def turned() -> NDArray[np.float32]:
        # GGUF keeps the two halves of each rotary pair side by side; transformers keeps all first halves, then all
        # second halves.
        values = file.tensor(name)
        pairs = values.reshape(turns, values.shape[0] // turns // 2, 2, values.shape[1])
        return pairs.swapaxes(1, 2).reshape(values.shape)

    return turned


def _config(file: GgufFile) -> dict[str, Any]:
    heads, width = int(file.need("llama.attention.head_count")), int(file.need("llama.embedding_length"))
    theta = float(file.metadata.get("llama.rope.freq_base", 10000.0))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "dtype": "float32",
        "head_dim": width // heads,
        "hidden_act": "silu",
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": int(file.need("llama.feed_forward_length")),
        "max_position_embeddings": int(file.need("llama.context_length")),
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": int(file.need("llama.block_count")),
        "num_key_value_heads": int(file.need("llama.attention.head_count_kv")),
        "rms_norm_eps": float(f"{file.need('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},
        "rope_theta": theta,
        "tie_word_embeddings": "output.weight" not in file.entries,
        "vocab_size": file.shape("token_embd.weight")[0],
    }


def _tokenizer(file: GgufFile) -> Tokenizer:
    tokens = file.need("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in file.need("tokenizer.ggml.merges")]
    vocabulary = {token: position for position, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    # The SmolLM family reads each digit by itself.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = file.need("tokenizer.ggml.token_type")
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind == _CONTROL
        ]
    )
    return tokenizer


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
