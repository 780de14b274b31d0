"""What every inference backend must do, whichever library runs the network."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tapereader.bundle import Bundle
from tapereader.core import BundleError
from tapereader.engine import BACKEND_NAMES, Engine
from tapereader.engine.backends import network_path, open_backend

Make = Callable[..., Bundle]
TEXTS = ["profit rose", "loss " * 40, "sales flat in the year", "营业利润增长", "fraud"] * 6


@pytest.fixture(params=BACKEND_NAMES)
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name.startswith("openvino") and importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    return name


@pytest.fixture
def shipped(make_bundle: Make, tmp_path: Path) -> Path:
    """A bundle with a network for every backend."""
    return make_bundle(tmp_path / "shipped", int8=True).path


def test_answers_equal_those_of_onnx_runtime_within_the_stated_rounding(backend: str, shipped: Path) -> None:
    opened = Engine(shipped, backend=backend, threads=1)
    reference = Engine(shipped, backend="onnxruntime", threads=1)
    gap = np.abs(opened.outputs(TEXTS) - reference.outputs(TEXTS)).max()
    assert gap <= 1e-5 + opened._backend.rounding


def test_order_and_batch_do_not_change_an_answer(backend: str, shipped: Path) -> None:
    opened = Engine(shipped, backend=backend, threads=1)
    together = opened.outputs(TEXTS)
    alone = np.concatenate([opened.outputs([text]) for text in TEXTS])
    assert np.abs(together - alone).max() <= 1e-5 + opened._backend.rounding
    assert np.abs(opened.outputs(TEXTS[::-1])[::-1] - together).max() <= 1e-5 + opened._backend.rounding


def test_an_answer_stays_after_the_next_question(backend: str, shipped: Path) -> None:
    """A runtime that hands out its own memory would fill it again."""
    opened = Engine(shipped, backend=backend, threads=1)
    first = opened.logits(["profit rose"])
    before = first.copy()
    opened.logits(["loss fell"])
    assert np.array_equal(first, before)


def test_a_swapped_network_is_refused(backend: str, make_bundle: Make, tmp_path: Path) -> None:
    bundle, other = make_bundle(tmp_path / "a", int8=True), make_bundle(tmp_path / "b", seed=1)
    network_path(bundle, backend).write_bytes(other.onnx_path.read_bytes())
    with pytest.raises(BundleError, match=r"must answer 'profit rose strong' with"):
        Engine(bundle, backend=backend, threads=1)


def test_a_damaged_network_is_refused(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(
        BundleError, match=r"^model\.onnx must be a readable ONNX network; (ONNX Runtime|OpenVINO) says: "
    ):
        open_backend(backend, path, threads=1)


def test_a_network_with_other_inputs_is_refused(backend: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the package onnx builds the network of this test")
    helper, whole = onnx.helper, onnx.TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Identity", ["tokens"], ["scores"])],
        "stranger",
        [helper.make_tensor_value_info("tokens", whole, ["B", "L"])],
        [helper.make_tensor_value_info("scores", whole, ["B", "L"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "model.onnx"))
    with pytest.raises(BundleError) as caught:
        open_backend(backend, tmp_path / "model.onnx", threads=1)
    assert str(caught.value) == (
        "model.onnx must take input_ids and attention_mask (and may take token_type_ids) and give logits and "
        "embedding; got the inputs ['tokens'] and the outputs ['scores']."
    )
