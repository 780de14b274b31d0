"""One node where an exported network has many: the answers stay, whatever kind of network it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are changed with the extra train")
pytest.importorskip("torch", reason="the networks are exported with the extra train")

import onnx
from tests.tiny_models import POSITIONS, VOCABULARY, labelled_rows, recipe, write_model

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import ConfigError
from tapereader.engine.batching import Batch
from tapereader.training.compress.fusing import _hides_padding_alone, fuse_attention, merge_products
from tapereader.training.compress.int8 import quantize_dynamic
from tapereader.training.export import export_onnx
from tapereader.training.trainer import finetune


@pytest.fixture(scope="module", params=["bert", "roberta", "gpt2"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(str(request.param))
    path = folder / "onnx" / "model.onnx"
    taught = finetune(labelled_rows(), None, recipe(write_model(folder / "model", str(request.param)), epochs=1))
    export_onnx(taught, path)
    return str(request.param), path


def feed(seed: int, *, rows: int = 3) -> Batch:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, POSITIONS // 2, rows)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = random.integers(6, len(VOCABULARY), mask.shape) * mask
    return Batch(positions=np.arange(rows), input_ids=ids, attention_mask=mask, token_type_ids=np.zeros_like(ids))


def answer(model: Any, asked: Batch) -> Any:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnx_runtime().InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {one.name: getattr(asked, one.name) for one in session.get_inputs()})[0]


def test_answers_stay_when_attention_and_products_become_one_node_each(exported: tuple[str, Path]) -> None:
    kind, path = exported
    model = onnx.load(str(path))
    fused, merged = fuse_attention(model), merge_products(model)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["MultiHeadAttention"] == fused
    assert kinds["Split"] >= merged
    if kind == "bert":  # as exported here; what is not recognised stays, and that is right too
        assert (fused, merged, kinds["Softmax"]) == (2, 2, 0)
        assert {node.input[4] for node in model.graph.node if node.op_type == "MultiHeadAttention"} == {"padding_mask"}
    whole = onnx.load(str(path))
    for seed in range(4):
        assert np.abs(answer(model, feed(seed)) - answer(whole, feed(seed))).max() < 1e-5


@pytest.mark.parametrize(("causal", "alone"), [(False, True), (True, False)])
def test_a_mask_that_hides_the_future_is_not_taken_for_one_of_padding(causal: bool, alone: bool) -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Unsqueeze", ["attention_mask", "middle"], ["wide"]),
        helper.make_node("Sub", ["one", "wide"], ["hidden"]),
        helper.make_node("Cast", ["hidden"], ["share"], to=kinds.FLOAT),
        helper.make_node("Mul", ["share", "least"], ["padding"]),
        helper.make_node("Add", ["padding", "future"], ["mask"]),
    ]
    future = np.triu(np.full((5, 5), -1e9 if causal else 0.0, dtype=np.float32), k=1)
    stored = {"middle": np.array([1, 2]), "one": np.array(1), "least": np.float32(-1e9), "future": future}
    graph = helper.make_graph(
        nodes, "mask", [helper.make_tensor_value_info("attention_mask", kinds.INT64, ["b", "l"])],
        [helper.make_tensor_value_info("mask", kinds.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert _hides_padding_alone(model, "mask") is alone


def test_eight_bits_answer_nearly_the_same_and_alike_in_every_batch(exported: tuple[str, Path], tmp_path: Path) -> None:
    kind, path = exported
    if kind == "gpt2":
        with pytest.raises(ConfigError, match=r"they are of another kind, as GPT-2's are"):
            quantize_dynamic(path, tmp_path / "small.onnx", [feed(0)])
        return
    quantize_dynamic(path, tmp_path / "small.onnx", [feed(seed) for seed in range(8)], bits=8)
    small, whole = (tmp_path / "small.onnx").read_bytes(), path.read_bytes()
    asked = feed(20, rows=6)
    exact, found = answer(whole, asked), answer(small, asked)
    assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    for row in range(6):
        length = int(asked.attention_mask[row].sum())
        parts = {
            name: getattr(asked, name)[row : row + 1, :length]
            for name in ("input_ids", "attention_mask", "token_type_ids")
        }
        alone = answer(small, Batch(positions=np.arange(1), **parts))
        assert np.abs(alone[0] - found[row]).max() < 1e-5 * max(1.0, np.abs(exact).max())
