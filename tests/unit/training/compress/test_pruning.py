"""What goes out of a network: found by its worth, and gone without a trace in the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import contract_of, labelled_rows, write_model

from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.core.errors import ConfigError
from tapereader.models.heads import ObjectiveConfig, build_loss, build_taught_loss
from tapereader.models.network import TextNetwork, load_backbone
from tapereader.training.batches import EncodedDataset, encode
from tapereader.training.compress.dropping import drop_layers
from tapereader.training.compress.pruning import (
    Importance,
    audible_heads,
    blocks_of,
    cut_heads,
    kept_parts,
    measure_importance,
    narrow_width,
    silence_heads,
)
from tapereader.training.scoring import predict_logits

ROWS = labelled_rows(n=24)
LOSS = build_loss(ROWS.card.contract, ObjectiveConfig(), ROWS.targets())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert", layers=3)


def network_of(folder: Path) -> TextNetwork:
    torch.manual_seed(0)
    backbone = load_backbone(folder, encoder_dropout=0.0)
    network = TextNetwork(backbone, width=32, outputs=3, pooling="mean", dropout=0.0, loss=None)
    torch.nn.init.normal_(network.head.weight)
    return network.requires_grad_(False).eval()


def data_of(folder: Path) -> EncodedDataset:
    tokenizer = ChunkingTokenizer(folder / "tokenizer.json", max_length=16, prefix="")
    return encode(tokenizer, ROWS.texts, None, ROWS.targets())


def test_importance_is_the_gradient_of_a_gate(folder: Path) -> None:
    """The gate of one head is moved a little, for one text, and the loss followed: a difference quotient."""
    network, data = network_of(folder), EncodedDataset([data_of(folder).documents[0]])
    found = measure_importance(network, data, LOSS)
    labels = torch.as_tensor([data[0].label])

    def gated(head: int, by: float) -> float:
        def hook(_layer: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            gates = torch.ones(32)
            gates[16 * head : 16 * head + 16] += by
            return (given[0] * gates,)

        handle = blocks_of(network.backbone)[1].reader.register_forward_pre_hook(hook)
        logits = torch.as_tensor(predict_logits(network, data)).double()
        handle.remove()
        return float(LOSS(logits, labels))

    for head in (0, 1):
        quotient = (gated(head, 0.01) - gated(head, -0.01)) / 0.02
        assert found.heads[1, head] == pytest.approx(abs(quotient), rel=0.02, abs=1e-6)
    assert found.neurons.shape == (3, 64)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_as_many_stay_in_every_block_and_they_are_the_best() -> None:
    importance = Importance(
        heads=np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 3.0]]), neurons=np.tile(np.arange(64.0), (2, 1))
    )
    heads, neurons = kept_parts(importance, head_share=0.5, width_share=0.6)
    assert [row.tolist() for row in heads] == [[0, 2], [2, 3]]
    # 0.4 of 64 is 25.6; 32 is the nearest multiple of 16.
    assert [row.tolist() for row in neurons] == [list(range(32, 64))] * 2
    heads, neurons = kept_parts(importance, head_share=0.99, width_share=0.0)
    assert [row.tolist() for row in heads] == [[0], [3]]
    assert len(neurons[0]) == 64


def test_silent_heads_can_be_cut_without_changing_an_answer(folder: Path) -> None:
    network, data = network_of(folder), data_of(folder)
    kept = [np.array([at % 2]) for at in range(3)]
    silence_heads(network, kept)
    silent = predict_logits(network, data)
    assert [heads.tolist() for heads in audible_heads(network)] == [[0], [1], [0]]
    cut_heads(network, audible_heads(network))
    assert np.abs(predict_logits(network, data) - silent).max() < 1e-5
    assert all(block.reader.in_features == 16 for block in blocks_of(network.backbone))


def test_no_gradient_wakes_a_silent_head(folder: Path) -> None:
    network = network_of(folder)
    silence_heads(network, [np.array([0])] * 3)
    network.requires_grad_(True)
    encoder: Any = network.backbone
    ids = torch.randint(6, 30, (2, 8), generator=torch.Generator().manual_seed(0))
    network.embed(torch.ones_like(ids), input_ids=ids).square().sum().backward()
    for layer in encoder.encoder.layer:
        for name in ("query", "key", "value"):
            assert getattr(layer.attention.self, name).weight.grad[16:].abs().max() == 0
            assert getattr(layer.attention.self, name).bias.grad[16:].abs().max() == 0
        assert layer.attention.output.dense.weight.grad[:, 16:].abs().max() == 0
        assert layer.attention.self.value.weight.grad[:16].abs().max() > 0


def test_neurons_that_do_nothing_go_without_changing_an_answer(folder: Path) -> None:
    network, data = network_of(folder), data_of(folder)
    kept = [np.arange(0, 64, 2)] * 3
    with torch.no_grad():
        for block in blocks_of(network.backbone):
            getattr(*block.narrow).weight[:, 1::2] = 0.0
    before = predict_logits(network, data)
    narrow_width(network, kept)
    assert np.abs(predict_logits(network, data) - before).max() < 1e-5
    config: Any = network.backbone.config
    assert config.intermediate_size == 32


def test_the_layer_that_does_nothing_goes(folder: Path) -> None:
    """The middle layer hands on what it was given, up to a norm that was already done."""
    network, data = network_of(folder), data_of(folder)
    encoder: Any = network.backbone
    with torch.no_grad():
        for dense in (encoder.encoder.layer[1].attention.output.dense, encoder.encoder.layer[1].output.dense):
            dense.weight.zero_()
            dense.bias.zero_()
    before = predict_logits(network, data)
    moved = drop_layers(
        network, data, lambda logits, _labels: (logits - torch.as_tensor(before)).square().mean(), count=1
    )
    assert moved == (0, 2)
    assert encoder.config.num_hidden_layers == 2
    assert np.abs(predict_logits(network, data) - before).max() < 1e-3


def test_another_architecture_is_named(tmp_path: Path) -> None:
    backbone = load_backbone(write_model(tmp_path / "llama", "llama"), encoder_dropout=0.0)
    with pytest.raises(ConfigError, match=r"got the model type 'llama'. Take `drop-layers`"):
        blocks_of(backbone)


@pytest.mark.parametrize("kind", ["single-label", "ordinal", "multi-label", "regression"])
def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn_from_it(kind: str) -> None:
    contract = contract_of(kind)
    width, n_hard = {"single-label": (3, 1), "ordinal": (2, 1), "multi-label": (2, 2), "regression": (1, 1)}[kind]
    torch.manual_seed(1)
    teacher = torch.randn(6, width)
    loss = build_taught_loss(contract, lambda logits, _labels: logits.sum() * 0.0, temperature=2.0, share=1.0)

    def slope(logits: torch.Tensor) -> float:
        asked = logits.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(asked, torch.hstack([teacher, torch.zeros(6, n_hard)])), asked)
        return float(gradient.abs().max())

    assert slope(teacher) < 1e-6
    assert slope(teacher + torch.randn(6, width)) > 1e-2


def test_labels_count_for_the_rest_of_the_loss() -> None:
    logits, teacher = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 0.0]])
    hard = build_loss(contract_of("single-label"), ObjectiveConfig(), np.array([0, 1, 2]))
    labels = torch.hstack([teacher, torch.tensor([[2.0]])])
    found = build_taught_loss(contract_of("single-label"), hard, temperature=1.0, share=0.0)(logits, labels)
    assert float(found) == pytest.approx(float(hard(logits, torch.tensor([2]))))
