"""What each way of learning lets move, and that nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("peft", reason="adapters need the extra train")

import torch
from tests.tiny_models import KINDS, write_model
from torch import nn

from tapereader.core.errors import ConfigError
from tapereader.models.adapters import FROZEN_BACKBONE, AdapterConfig, Bottleneck, attach, merge, trainable_share
from tapereader.models.network import TextNetwork, embedding_parameters, load_backbone, transformer_layers

METHODS = ("full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind) for kind in KINDS}


def network_on(folder: Path, *, pooling: str = "mean") -> TextNetwork:
    backbone = load_backbone(folder, encoder_dropout=0.0)
    torch.manual_seed(0)
    return TextNetwork(backbone, width=32, outputs=3, pooling=pooling, dropout=0.0, loss=None)  # type: ignore[arg-type]


def answers(network: TextNetwork) -> torch.Tensor:
    ids = torch.tensor([[7, 8, 9, 10], [11, 12, 13, 0]])
    extra = {"token_type_ids": torch.zeros_like(ids)} if network.takes_type_ids else {}
    with torch.no_grad():
        out: torch.Tensor = network.eval()((ids > 0).long(), torch.arange(2), 2, input_ids=ids, **extra)["logits"]
    return out


def learning(network: TextNetwork) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("method", METHODS)
def test_the_head_always_learns_and_a_frozen_backbone_never_does(method: str, folders: dict[str, Path]) -> None:
    network = network_on(folders["bert"])
    own = {id(parameter) for parameter in network.backbone.parameters()}
    attach(network, AdapterConfig(method=method, layers=1, rank=4), total_steps=40)  # type: ignore[arg-type]
    free = {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert {id(parameter) for parameter in network.head.parameters()} <= free
    assert bool(own & free) == (method not in FROZEN_BACKBONE)
    learns, everything = trainable_share(network)
    assert 0 < learns < everything


def test_full_learning_leaves_embeddings_alone_unless_asked(folders: dict[str, Path]) -> None:
    for freeze in (True, False):
        network = network_on(folders["bert"])
        attach(network, AdapterConfig(freeze_embeddings=freeze), total_steps=1)
        assert {p.requires_grad for p in embedding_parameters(network.backbone)} == {not freeze}
        assert all(p.requires_grad for p in transformer_layers(network.backbone).parameters())


def test_top_k_frees_the_top_layers_and_knows_how_many_there_are(folders: dict[str, Path]) -> None:
    network = network_on(folders["bert"])
    attach(network, AdapterConfig(method="top-k", layers=1), total_steps=1)
    below, above = transformer_layers(network.backbone)
    assert not any(p.requires_grad for p in below.parameters())
    assert all(p.requires_grad for p in above.parameters())
    with pytest.raises(ConfigError) as caught:
        attach(network_on(folders["bert"]), AdapterConfig(method="top-k", layers=3), total_steps=1)
    assert str(caught.value) == "`adapter.layers` must be at most the backbone's 2; got 3."


def test_gradual_unfreezing_goes_from_the_top_down(tmp_path: Path) -> None:
    network = network_on(write_model(tmp_path / "deep", layers=4))
    (hook,) = attach(network, AdapterConfig(method="gradual"), total_steps=1)
    layers = transformer_layers(network.backbone)

    def free(done: float) -> list[bool]:
        hook.at(done)
        return [all(p.requires_grad for p in layer.parameters()) for layer in layers]

    assert free(0.0) == [False, False, False, True]
    assert free(0.2) == [False, False, True, True]
    assert free(0.5) == [True, True, True, True]
    assert free(1.0) == [True, True, True, True]


@pytest.mark.parametrize("method", ["lora", "adalora", "ia3", "bottleneck"])
def test_an_update_starts_from_the_pretrained_network_exactly(method: str, folders: dict[str, Path]) -> None:
    network = network_on(folders["bert"])
    before = answers(network)
    attach(network, AdapterConfig(method=method, rank=4), total_steps=40)  # type: ignore[arg-type]
    assert torch.allclose(answers(network), before, atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "adalora", "ia3"])
def test_a_merged_update_answers_as_it_did_beside_the_backbone(method: str, folders: dict[str, Path]) -> None:
    network = network_on(folders["bert"])
    config = AdapterConfig(method=method, rank=4)  # type: ignore[arg-type]
    attach(network, config, total_steps=40)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.backbone.named_parameters():
            if parameter.requires_grad:
                assert any(part in name for part in ("lora", "ia3"))
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    moved = answers(network)
    merge(network, config)
    assert not hasattr(network.backbone, "peft_config")
    assert torch.allclose(answers(network), moved, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_network_takes_an_update(kind: str, method: str, folders: dict[str, Path]) -> None:
    network = network_on(folders[kind], pooling="last" if kind in ("gpt2", "llama") else "mean")
    if (kind, method) == ("t5", "prefix"):
        with pytest.raises(ConfigError) as caught:
            attach(network, AdapterConfig(method="prefix"), total_steps=40)
        assert str(caught.value) == (
            "`prefix` gives attention learnt keys and values, which the model type 't5' has no place for. Use `prompt` "
            "or `lora` with it."
        )
        return
    attach(network, AdapterConfig(method=method, layers=1, rank=4), total_steps=40)  # type: ignore[arg-type]
    assert len(learning(network)) > (1 if method == "head" else 2)
    assert answers(network).shape == (2, 3)


def test_a_bottleneck_adds_a_correction_that_starts_at_nothing() -> None:
    torch.manual_seed(0)
    inner = nn.Linear(6, 4)
    adapter = Bottleneck(inner, width=3)
    states = torch.randn(2, 6)
    assert torch.equal(adapter(states), inner(states))
    nn.init.ones_(adapter.up.weight)
    out = inner(states)
    by_hand = out + nn.functional.gelu(adapter.down(out)).sum(dim=1, keepdim=True)
    assert torch.allclose(adapter(states), by_hand, atol=1e-6)


def test_bottlenecks_stand_after_attention_and_after_the_feed_forward_part(folders: dict[str, Path]) -> None:
    network = network_on(folders["bert"])
    attach(network, AdapterConfig(method="bottleneck", bottleneck_width=5), total_steps=1)
    found = [name for name, module in network.backbone.named_modules() if isinstance(module, Bottleneck)]
    assert found == [
        f"encoder.layer.{layer}.{place}" for layer in range(2) for place in ("attention.output.dense", "output.dense")
    ]
    # Per adapter 32 x 5 + 5 down and 5 x 32 + 32 up; two a layer, two layers; and the head.
    assert trainable_share(network)[0] == 4 * (32 * 5 + 5 + 5 * 32 + 32) + 32 * 3 + 3
