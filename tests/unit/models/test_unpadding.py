"""Real tokens alone give what the padded rectangle gives, forwards and backwards."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="networks need the extra train")

import torch
from tests.tiny_models import VOCABULARY, write_model

from tapereader.models.adapters import AdapterConfig, attach
from tapereader.models.network import TextNetwork, hidden_width, load_backbone
from tapereader.models.unpadding import Layout, can_unpad, unpadded

LENGTHS = (7, 3, 12, 1)


def batch() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    mask = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.long)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
    ids = torch.randint(6, len(VOCABULARY), mask.shape, generator=random) * mask
    return {"attention_mask": mask, "input_ids": ids}


def network(folder: Path) -> TextNetwork:
    torch.manual_seed(5)
    backbone = load_backbone(folder, encoder_dropout=0.0)
    return TextNetwork(backbone, width=hidden_width(backbone), outputs=3, pooling="mean", dropout=0.0, loss=None)


def run(net: TextNetwork, *, slice_tokens: int | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    net.train()
    net.slice_tokens = slice_tokens
    net.zero_grad()
    logits = net(**batch(), document=torch.arange(len(LENGTHS)), n_documents=len(LENGTHS))["logits"]
    logits.square().sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("method", ["full", "lora", "bottleneck"])
@pytest.mark.parametrize("slice_tokens", [None, 12], ids=["whole", "in slices"])
def test_answers_and_gradients_are_those_of_the_rectangle(
    tmp_path: Path, kind: str, method: str, slice_tokens: int | None
) -> None:
    net = network(write_model(tmp_path / kind, kind))
    attach(net, AdapterConfig.model_validate({"method": method, "freeze_embeddings": False}), total_steps=1)
    wanted, moves = run(net, slice_tokens=slice_tokens)
    with unpadded(net):
        found, gradients = run(net, slice_tokens=slice_tokens)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert gradients.keys() == moves.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, moves[name], rtol=1e-4, atol=1e-6, msg=name)
    assert moves


def test_the_network_is_as_before_when_the_block_ends(tmp_path: Path) -> None:
    net = network(write_model(tmp_path / "bert", "bert"))
    with pytest.raises(RuntimeError, match="stop"), unpadded(net):
        raise RuntimeError("stop")
    assert not net.unpads
    assert net.backbone.config._attn_implementation == "eager"  # type: ignore[union-attr]  # a transformers model


def test_linear_layers_see_real_tokens_alone(tmp_path: Path) -> None:
    net = network(write_model(tmp_path / "bert", "bert"))
    seen = []
    dense = net.backbone.encoder.layer[0].intermediate.dense  # type: ignore[union-attr,index]  # a BERT model
    dense.register_forward_hook(lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape)))  # type: ignore[union-attr]  # a module
    with unpadded(net):
        run(net)
    assert seen == [(1, sum(LENGTHS), 32)]


def test_decoders_and_relative_positions_stay_padded(tmp_path: Path) -> None:
    kinds = {kind: load_backbone(write_model(tmp_path / kind, kind), encoder_dropout=0.0) for kind in ("gpt2", "t5")}
    assert not any(can_unpad(backbone) for backbone in kinds.values())


def test_a_layout_worked_by_hand() -> None:
    layout = Layout.of(torch.tensor([[1, 1, 0], [1, 0, 0]]), torch.float32)
    assert layout.places.tolist() == [0, 1, 3]
    assert layout.empty.tolist() == [2, 4, 5]
    assert layout.positions(2).tolist() == [[2, 3, 2]]
    row = layout.row(torch.tensor([[[1.0], [2.0], [9.0]], [[3.0], [9.0], [9.0]]]))
    assert row.tolist() == [[[1.0], [2.0], [3.0]]]
    assert layout.rectangle(row).flatten()[layout.places].tolist() == [1.0, 2.0, 3.0]
