"""The smallest weights go for good, and the graph that keeps the others computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="graphs are changed with the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import ConfigError
from tapereader.models.backbones import resolve_backbone
from tapereader.models.network import TextNetwork, load_backbone
from tapereader.training.compress.sparsity import store_sparse, zero_smallest
from tapereader.training.trainer import Start, finetune


def network_of(folder: Path) -> TextNetwork:
    torch.manual_seed(0)
    backbone = load_backbone(folder, encoder_dropout=0.0)
    return TextNetwork(backbone, width=32, outputs=3, pooling="mean", dropout=0.0, loss=None)


def test_the_smallest_of_every_matrix_go(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "bert")
    network, whole = network_of(folder), network_of(folder).backbone.state_dict()
    masks = zero_smallest(network, share=0.75)
    # Six matrices in each of two layers; tables, norms and biases stay whole.
    assert len(masks) == 12
    for name, value in network.backbone.state_dict().items():
        if name not in masks:
            assert torch.equal(value, whole[name])
            continue
        assert masks[name].sum() == masks[name].numel() // 4
        assert whole[name][masks[name]].abs().min() >= whole[name][~masks[name]].abs().max()
        assert torch.equal(value, whole[name] * masks[name])


def test_blocks_without_linear_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        zero_smallest(network_of(write_model(tmp_path / "gpt2", "gpt2")), share=0.5)
    assert str(caught.value) == "`sparse` needs blocks of linear layers; the model type 'gpt2' has none."


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_zero_stays_zero_through_a_training(precision: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "bert")
    network = network_of(folder)
    masks = zero_smallest(network, share=0.5)
    network.backbone.save_pretrained(tmp_path / "thin")  # type: ignore[operator]  # a model of transformers
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "thin" / name).write_bytes((folder / name).read_bytes())
    start = Start(
        resolved=resolve_backbone(str(tmp_path / "thin")), weight=network.head.weight.detach(),
        bias=network.head.bias.detach(), masks=masks,
    )  # fmt: skip
    model = finetune(labelled_rows(n=24), None, recipe(folder, epochs=2, precision=precision), start=start)
    learnt, before = model.network.backbone.state_dict(), network.backbone.state_dict()
    for name, mask in masks.items():
        assert learnt[name][~mask].abs().max() == 0
        assert not torch.equal(learnt[name][mask], before[name][mask])


@pytest.mark.parametrize("shape", [(64, 32), (5, 7)])
def test_a_graph_of_few_weights_computes_the_same_in_less_room(shape: tuple[int, int], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    matrices = {name: random.normal(size=size).astype(np.float32) for name, size in (("w", shape), ("v", shape[::-1]))}
    matrices["w"][random.random(shape) < 0.7] = 0.0
    matrices["w"][0, 0], matrices["w"][-1, -1] = 1.5, 2.5  # the first and the last place
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("MatMul", ["h", "v"], ["y"], name="second"),
    ]
    graph = helper.make_graph(
        nodes, "two", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", shape[0]])],
        [numpy_helper.from_array(value, name) for name, value in matrices.items()],
    )  # fmt: skip
    source, target = tmp_path / "dense.onnx", tmp_path / "sparse.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(source))
    store_sparse(source, target)
    stored: dict[str, Any] = {tensor.name: tensor for tensor in onnx.load(str(target)).graph.initializer}
    assert "w" not in stored
    assert stored["w_values"].dims[0] == np.count_nonzero(matrices["w"])
    assert "v" in stored  # it has no zeros that would pay
    asked = random.normal(size=(3, shape[0])).astype(np.float32)
    found = [
        onnx_runtime().InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": asked})[0]
        for path in (source, target)
    ]
    assert np.array_equal(found[0], found[1])
