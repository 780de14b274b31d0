"""The converters, on tiny files whose every value is known."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tapereader.core.errors import BundleError
from tapereader.models.conversion import convert_e5, convert_llama
from tapereader.models.conversion.e5s1 import read_e5s1
from tapereader.models.conversion.gguf import read_gguf

HIDDEN, LAYERS, HEADS, INNER, VOCABULARY, POSITIONS, TYPES = 32, 2, 4, 64, 20, 16, 2
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "b", "▁profit", "～", "1", "▁营", "业", "<mask>")


def q4_blocks(rng: np.random.Generator, count: int) -> tuple[bytes, np.ndarray]:
    """Random 4-bit blocks, and their values worked out one at a time, as the format's description says."""
    raw, values = b"", []
    for _ in range(count // 32):
        scale = np.float16(rng.uniform(0.01, 0.2))
        halves = rng.integers(0, 16, size=32)
        raw += scale.tobytes() + bytes(int(halves[i]) | int(halves[i + 16]) << 4 for i in range(16))
        values += [float(scale) * (int(half) - 8) for half in halves]
    return raw, np.array(values, dtype=np.float32)


def e5s1_shapes() -> dict[str, tuple[tuple[int, ...], bool]]:
    shapes: dict[str, tuple[tuple[int, ...], bool]] = {
        "emb.word": ((VOCABULARY, HIDDEN), True),
        "emb.pos": ((POSITIONS, HIDDEN), False),
        "emb.type": ((TYPES, HIDDEN), False),
        "emb.ln.w": ((HIDDEN,), False),
        "emb.ln.b": ((HIDDEN,), False),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            *((name, HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")),
            ("fi", INNER, HIDDEN),
            ("fo", HIDDEN, INNER),
        ):
            shapes[f"l{layer}.{name}.w"] = ((rows, columns), True)
            shapes[f"l{layer}.{name}.b"] = ((rows,), False)
        for name in ("aln", "oln"):
            shapes[f"l{layer}.{name}.w"] = ((HIDDEN,), False)
            shapes[f"l{layer}.{name}.b"] = ((HIDDEN,), False)
    return shapes


def write_e5s1(path: Path, *, leave_out: str = "") -> dict[str, np.ndarray]:
    """Write a whole E5S1 file by hand; return what each tensor must come out as."""
    rng = np.random.default_rng(7)
    numbers = (HIDDEN, LAYERS, HEADS, INNER, VOCABULARY, POSITIONS, TYPES)
    encoded = [piece.encode() for piece in PIECES]
    blob = b"".join(encoded)
    head = b"E5S1" + struct.pack("<i", 1)
    head += struct.pack("<7ifi5iQ", *numbers, 1e-12, 32, len(PIECES), 0, 2, 1, 3, len(blob))
    head += np.cumsum([0, *(len(piece) for piece in encoded)]).astype("<u4").tobytes()
    head += np.array([0, 0, 0, 0, *(-3.0 - i for i in range(len(PIECES) - 5)), 0], dtype="<f4").tobytes() + blob
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0x3000, 1, 0x20)
    body, expected, rows = b"", {}, []
    for name, (shape, quantised) in e5s1_shapes().items():
        if name == leave_out:
            continue
        count = int(np.prod(shape))
        if quantised:
            raw, values = q4_blocks(rng, count)
        else:
            values = rng.normal(size=count).astype("<f4")
            raw = values.tobytes()
        rows.append((name.encode(), int(quantised), count, len(body), len(raw)))
        body += raw
        expected[name] = values.reshape(shape)
    directory = sum(2 + len(name) + 21 for name, *_ in rows)
    start = len(head) + 4 + directory
    head += struct.pack("<i", len(rows))
    for name, kind, count, first, length in rows:
        head += struct.pack("<H", len(name)) + name + struct.pack("<BIQQ", kind, count, start + first, length)
    path.write_bytes(head + body)
    return expected


@pytest.fixture
def e5_folder(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    expected = write_e5s1(tmp_path / "tiny.bin")
    folder = tmp_path / "model"
    folder.mkdir()
    convert_e5(tmp_path / "tiny.bin", folder)
    return folder, expected


def test_every_e5_tensor_comes_out_as_worked_by_hand(e5_folder: tuple[Path, dict[str, np.ndarray]]) -> None:
    load_file = pytest.importorskip("safetensors.numpy", reason="needs the extra train").load_file
    folder, expected = e5_folder
    got = load_file(folder / "model.safetensors")
    assert len(got) == len(expected) == 5 + LAYERS * 16
    pairs = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.bias": "emb.ln.b",
        "encoder.layer.0.attention.self.query.weight": "l0.q.w",
        "encoder.layer.1.attention.self.key.bias": "l1.k.b",
        "encoder.layer.1.attention.self.value.weight": "l1.v.w",
        "encoder.layer.0.attention.output.dense.weight": "l0.ao.w",
        "encoder.layer.0.attention.output.LayerNorm.weight": "l0.aln.w",
        "encoder.layer.1.intermediate.dense.weight": "l1.fi.w",
        "encoder.layer.1.output.dense.weight": "l1.fo.w",
        "encoder.layer.1.output.LayerNorm.bias": "l1.oln.b",
    }
    for ours, theirs in pairs.items():
        np.testing.assert_array_equal(got[ours], expected[theirs], err_msg=ours)


def test_the_converted_e5_opens_as_a_bert_and_misses_nothing(e5_folder: tuple[Path, dict[str, np.ndarray]]) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    from transformers import AutoModel, AutoTokenizer

    folder, _ = e5_folder
    network, report = AutoModel.from_pretrained(folder, add_pooling_layer=False, output_loading_info=True)
    assert type(network).__name__ == "BertModel"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert network.config.layer_norm_eps == 1e-12
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (
        tokenizer("a profit")["input_ids"] == Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a profit").ids
    )
    assert (tokenizer.pad_token, tokenizer.mask_token, tokenizer.model_max_length) == ("<pad>", "<mask>", POSITIONS)


def test_the_e5_tokenizer_folds_text_as_its_vocabulary_was_learnt(
    e5_folder: tuple[Path, dict[str, np.ndarray]],
) -> None:
    tokenizer = Tokenizer.from_file(str(e5_folder[0] / "tokenizer.json"))
    position = {piece: index for index, piece in enumerate(PIECES)}
    wrapped = [position["<s>"], position["▁profit"], position["</s>"]]
    assert tokenizer.encode("profit").ids == wrapped
    assert tokenizer.encode("\u3000ｐｒｏｆｉｔ\x07").ids == wrapped
    assert tokenizer.encode("a  b").tokens == ["<s>", "▁a", "▁", "b", "</s>"]
    assert tokenizer.encode("营业～１").tokens == ["<s>", "▁营", "业", "～", "1", "</s>"]
    assert tokenizer.encode("a", "profit").tokens == ["<s>", "▁a", "</s>", "</s>", "▁profit", "</s>"]
    assert tokenizer.encode("a", "profit").type_ids == [0] * 6
    assert tokenizer.encode("ж").ids[-2] == position["<unk>"]


def test_two_conversions_are_equal_to_the_byte(tmp_path: Path) -> None:
    write_e5s1(tmp_path / "tiny.bin")
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        convert_e5(tmp_path / "tiny.bin", tmp_path / name)
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(BundleError) as caught:
        read_e5s1(tmp_path / "other.bin")
    assert str(caught.value) == "An E5S1 file must start with b'E5S1'; other.bin starts with b'GGUF'."


@pytest.mark.parametrize("kept", [0, 4, 40, 200, 2000, -1])
def test_an_e5_file_cut_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    write_e5s1(tmp_path / "tiny.bin")
    data = (tmp_path / "tiny.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(data[:kept])
    with pytest.raises(BundleError, match=r"cut\.bin"):
        read_e5s1(tmp_path / "cut.bin")


def test_a_missing_e5_tensor_is_named(tmp_path: Path) -> None:
    write_e5s1(tmp_path / "tiny.bin", leave_out="l1.fo.w")
    with pytest.raises(BundleError) as caught:
        convert_e5(tmp_path / "tiny.bin", tmp_path)
    assert str(caught.value) == "An E5S1 file must hold the tensor 'l1.fo.w'; it has 36 others."


# GGUF ----------------------------------------------------------------------------------------------------------------

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"0123456789abc", "Ġ", "ab", "Ġa"]
KEYS_TYPES = {"u32": 4, "f32": 6, "text": 8}


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", KEYS_TYPES["text"]) + gguf_text(value)
    if isinstance(value, float):
        return struct.pack("<If", KEYS_TYPES["f32"], value)
    if isinstance(value, int):
        return struct.pack("<II", KEYS_TYPES["u32"], value)
    inner = gguf_value(value[0])[:4]
    return struct.pack("<I", 9) + inner + struct.pack("<Q", len(value)) + b"".join(gguf_value(v)[4:] for v in value)


def write_gguf(path: Path, keys: dict[str, Any], tensors: dict[str, tuple[tuple[int, ...], int, bytes]]) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(gguf_text(key) + gguf_value(value) for key, value in keys.items())
    body = b""
    for name, (shape, kind, raw) in tensors.items():
        head += gguf_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += struct.pack("<IQ", kind, len(body))
        body += raw + bytes(-len(raw) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)


def llama_keys() -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 64,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 5000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(TOKENS) - 3),
        "tokenizer.ggml.merges": ["a b", "Ġ a"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": "{{ messages[0]['content'] }}",
    }


def as_ggml_keeps(weight: np.ndarray, heads: int) -> np.ndarray:
    """Interleave the rotary halves row by row, the plain way."""
    size = len(weight) // heads
    out = np.empty_like(weight)
    for head in range(heads):
        for j in range(size // 2):
            out[head * size + 2 * j] = weight[head * size + j]
            out[head * size + 2 * j + 1] = weight[head * size + size // 2 + j]
    return out


def test_a_gguf_llama_converts_to_the_network_it_was_made_from(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    original = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(TOKENS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_theta": 5000.0, "rope_type": "default"},
            tie_word_embeddings=True,
        )
    ).eval()
    weights = {name: value.numpy() for name, value in original.state_dict().items()}
    named = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    for layer in range(2):
        for theirs, ours in {
            "attn_q": "self_attn.q_proj",
            "attn_k": "self_attn.k_proj",
            "attn_v": "self_attn.v_proj",
            "attn_output": "self_attn.o_proj",
            "ffn_gate": "mlp.gate_proj",
            "ffn_up": "mlp.up_proj",
            "ffn_down": "mlp.down_proj",
            "attn_norm": "input_layernorm",
            "ffn_norm": "post_attention_layernorm",
        }.items():
            named[f"blk.{layer}.{theirs}.weight"] = f"model.layers.{layer}.{ours}.weight"
    tensors = {}
    for theirs, ours in named.items():
        value = weights[ours]
        if ".attn_q." in theirs or ".attn_k." in theirs:
            value = as_ggml_keeps(value, 4 if "attn_q" in theirs else 2)
        tensors[theirs] = (value.shape, 0, value.astype("<f4").tobytes())
    write_gguf(tmp_path / "tiny.gguf", llama_keys(), tensors)
    folder = tmp_path / "model"
    folder.mkdir()
    convert_llama(tmp_path / "tiny.gguf", folder)

    copy, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ids = torch.tensor([[3, 9, 14, 5, 17, 2]])
    with torch.no_grad():
        assert torch.equal(copy.eval()(ids).logits, original(ids).logits)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("ab a12<|im_end|>") == ["ab", "Ġa", "1", "2", "<|im_end|>"]
    assert tokenizer.decode(tokenizer("ab a12")["input_ids"]) == "ab a12"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 2)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == "ab"


@pytest.mark.parametrize("kind", ["F16", "Q4_0", "Q4_1", "Q8_0"])
def test_every_gguf_type_comes_out_as_worked_by_hand(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    raw, values = b"", []
    for _ in range(4):
        scale, least = np.float16(rng.uniform(0.01, 0.2)), np.float16(rng.normal())
        halves, whole = rng.integers(0, 16, size=32), rng.integers(-128, 128, size=32)
        packed = bytes(int(halves[i]) | int(halves[i + 16]) << 4 for i in range(16))
        if kind == "F16":
            block = rng.normal(size=32).astype("<f2")
            raw, values = raw + block.tobytes(), values + block.astype(float).tolist()
        elif kind == "Q4_0":
            raw, values = raw + scale.tobytes() + packed, values + [float(scale) * (int(h) - 8) for h in halves]
        elif kind == "Q4_1":
            raw += scale.tobytes() + least.tobytes() + packed
            values += [float(scale) * int(h) + float(least) for h in halves]
        else:
            raw += scale.tobytes() + whole.astype(np.int8).tobytes()
            values += [float(scale) * int(w) for w in whole]
    number = {"F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8}[kind]
    write_gguf(tmp_path / "t.gguf", {"a": 1}, {"first": ((3,), 0, bytes(12)), "w": ((2, 64), number, raw)})
    file = read_gguf(tmp_path / "t.gguf")
    assert file.shape("w") == (2, 64)
    np.testing.assert_allclose(file.tensor("w").ravel(), values, rtol=1e-6, atol=1e-7)


def test_a_gguf_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    write_gguf(tmp_path / "t.gguf", {"a": 1}, {"w": ((256,), 14, bytes(210))})
    with pytest.raises(BundleError) as caught:
        read_gguf(tmp_path / "t.gguf")
    assert str(caught.value) == (
        "A GGUF file must be whole; t.gguf is damaged or cut short: the tensor 'w' has the type 14, which is not "
        "read here."
    )


@pytest.mark.parametrize("kept", [0, 3, 10, 60, -1])
def test_a_gguf_file_cut_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    write_gguf(tmp_path / "t.gguf", llama_keys(), {"w": ((2, 32), 0, bytes(256))})
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "t.gguf").read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"cut\.gguf"):
        read_gguf(tmp_path / "cut.gguf")


def test_a_gguf_of_another_architecture_is_refused(tmp_path: Path) -> None:
    keys = llama_keys() | {"general.architecture": "mamba"}
    write_gguf(tmp_path / "t.gguf", keys, {"w": ((2, 32), 0, bytes(256))})
    with pytest.raises(BundleError) as caught:
        convert_llama(tmp_path / "t.gguf", tmp_path)
    assert str(caught.value) == (
        "A GGUF file to convert must be a llama with a gpt2/smollm tokenizer; got ('mamba', 'gpt2', 'smollm')."
    )


def test_no_layer_of_a_gguf_may_be_missing(tmp_path: Path) -> None:
    norm = ((32,), 0, bytes(128))
    tensors = {"token_embd.weight": ((len(TOKENS), 32), 0, bytes(len(TOKENS) * 128)), "output_norm.weight": norm}
    write_gguf(tmp_path / "t.gguf", llama_keys(), tensors)
    with pytest.raises(BundleError) as caught:
        convert_llama(tmp_path / "t.gguf", tmp_path)
    assert str(caught.value) == "A GGUF file must hold the tensor 'blk.0.attn_q.weight'; it has 2 others."


def test_the_config_says_what_the_file_says(e5_folder: tuple[Path, dict[str, np.ndarray]]) -> None:
    config = json.loads((e5_folder[0] / "config.json").read_text())
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    assert [config[name] for name in sizes] == [HIDDEN, LAYERS, HEADS, INNER, VOCABULARY]
    assert (config["pad_token_id"], config["max_position_embeddings"], config["type_vocab_size"]) == (1, 16, 2)
