"""Fewer bits in an exported graph: how far its numbers move, and what stays in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are changed with the extra train")

import onnx
from onnx import TensorProto, helper, numpy_helper

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import ConfigError, DataError
from tapereader.engine.batching import Batch
from tapereader.training.compress.bf16 import store_bf16
from tapereader.training.compress.graphs import product_nodes, read_graph, table_nodes, weights
from tapereader.training.compress.int8 import quantize_dynamic, quantize_static
from tapereader.training.compress.rounding import columns_to_int8

ROWS, WIDTH = 600, 64


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, one product with weights, one of activations alone, and a head: the parts of every exported network."""
    random = np.random.default_rng(3)

    def tensor(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], name="words"),
        helper.make_node("MatMul", ["words", "inner"], ["hidden"], name="inner_product"),
        helper.make_node("Transpose", ["words"], ["turned"], name="turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["hidden", "turned"], ["scores"], name="attention"),
        helper.make_node("MatMul", ["scores", "hidden"], ["mixed"], name="mix"),
        helper.make_node("Cast", ["attention_mask"], ["mask"], name="mask", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"], name="column"),
        helper.make_node("Mul", ["mixed", "column"], ["kept"], name="kept"),
        helper.make_node("ReduceMean", ["kept"], ["embedding"], name="pool", axes=[1], keepdims=0),
        helper.make_node("Gemm", ["embedding", "head", "bias"], ["logits"], name="head", transB=1),
    ]
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "l"]) for n in ("input_ids", "attention_mask")]
    out = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 3]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", WIDTH]),
    ]
    stored = [tensor("table", ROWS, WIDTH), tensor("inner", WIDTH, WIDTH), tensor("head", 3, WIDTH), tensor("bias", 3)]
    stored.append(numpy_helper.from_array(np.array([2]), "last"))
    graph = helper.make_graph(nodes, "network", ids, out, stored)
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def batch(seed: int) -> Batch:
    ids = np.random.default_rng(seed).integers(0, ROWS, (4, 8))
    return Batch(
        positions=np.arange(4), input_ids=ids, attention_mask=np.ones_like(ids), token_type_ids=np.zeros_like(ids)
    )


def answer(path: Path, asked: Batch) -> np.ndarray[Any, Any]:
    session = onnx_runtime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {"input_ids": asked.input_ids, "attention_mask": asked.attention_mask}
    return np.asarray(session.run(["logits"], given)[0])


def distance(path: Path, other: Path) -> float:
    """Root mean square of the difference, as a share of that of the logits."""
    ours, theirs = (np.concatenate([answer(one, batch(n)) for n in range(20, 28)]) for one in (path, other))
    return float(np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()))


def test_products_with_weights_and_large_tables_are_found_and_the_head_is_not(network: Path) -> None:
    model = read_graph(network)
    assert product_nodes(model) == ["inner_product"]
    assert [node.name for node in table_nodes(model).values()] == ["words"]


def test_dynamic_eight_bits_answer_nearly_the_same_in_a_quarter_of_the_room(network: Path, tmp_path: Path) -> None:
    target = tmp_path / "onnx" / "model.onnx"
    quantize_dynamic(network, target, [batch(0)])
    found = weights(read_graph(target))
    assert found["table_row_int8"].data_type == found["inner_int8"].data_type == TensorProto.INT8
    assert [one.data_type for name, one in found.items() if name.startswith("head")] == [TensorProto.FLOAT]
    assert "table" not in found
    # One scale an output channel, and a seventh bit at most: two products then never overflow sixteen bits.
    assert list(found["inner_scale"].dims) == [WIDTH]
    assert np.abs(numpy_helper.to_array(found["inner_int8"])).max() <= 63
    assert target.stat().st_size < 0.32 * network.stat().st_size
    assert 0 < distance(target, network) < 0.04


def test_dynamic_eight_bits_answer_a_text_alike_in_every_batch(network: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    quantize_dynamic(network, target, [batch(0)], bits=8)
    whole = batch(30)
    alone = Batch(
        positions=np.arange(1), input_ids=whole.input_ids[:1], attention_mask=whole.attention_mask[:1],
        token_type_ids=whole.token_type_ids[:1],
    )  # fmt: skip
    assert np.allclose(answer(target, whole)[:1], answer(target, alone), rtol=1e-5)


def test_weights_are_rounded_with_an_eye_on_what_they_are_multiplied_with() -> None:
    random = np.random.default_rng(5)
    matrix = random.normal(size=(96, 40)).astype(np.float32)
    rows = random.normal(size=(2000, 12)) @ random.normal(size=(12, 96)) + 0.1 * random.normal(size=(2000, 96))
    errors = []
    for covariance in (None, rows.T @ rows / len(rows)):
        values, scales = columns_to_int8(matrix, bits=7, covariance=covariance)
        assert np.abs(values).max() <= 63
        errors.append(float(np.square(rows @ (values * scales - matrix)).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_static_eight_bits_answer_a_text_alike_in_every_batch(network: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    quantize_static(network, target, [batch(number) for number in range(8)])
    assert 0 < distance(target, network) < 0.06
    whole = batch(30)
    alone = Batch(
        positions=np.arange(1), input_ids=whole.input_ids[:1], attention_mask=whole.attention_mask[:1],
        token_type_ids=whole.token_type_ids[:1],
    )  # fmt: skip
    assert np.abs(answer(target, whole)[:1] - answer(target, alone)).max() < 1e-3


def test_a_graph_in_sixteen_bits_is_not_kept_in_eight(network: Path, tmp_path: Path) -> None:
    model = read_graph(network)
    model.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.zeros((WIDTH, WIDTH + 1), dtype=np.float32), "inner")  # large enough to be narrowed
    )
    onnx.save(model, str(tmp_path / "wide.onnx"))
    store_bf16(tmp_path / "wide.onnx", tmp_path / "half.onnx")
    with pytest.raises(ConfigError, match="or it was stored in sixteen bits or sparsely already"):
        quantize_dynamic(tmp_path / "half.onnx", tmp_path / "model.onnx", [batch(0)])


def test_static_scales_need_text(network: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        quantize_static(network, tmp_path / "model.onnx", [])
    assert str(caught.value) == ("There must be at least one batch of training text to fix the scales on; got none.")


def test_sixteen_bits_are_the_nearest_ones_in_half_the_room(network: Path, tmp_path: Path) -> None:
    import torch

    target = tmp_path / "model.onnx"
    store_bf16(network, target)
    found = weights(read_graph(target))
    exact = numpy_helper.to_array(weights(read_graph(network))["table"])
    stored = np.frombuffer(found["table_bf16"].raw_data, dtype="<u2").reshape(exact.shape)
    expected = torch.from_numpy(exact.copy()).to(torch.bfloat16).view(torch.int16).numpy().view("<u2")
    assert np.array_equal(stored, expected)
    assert found["head"].data_type == TensorProto.FLOAT  # too small to save anything
    assert target.stat().st_size < 0.55 * network.stat().st_size
    assert 0 < distance(target, network) < 0.01
