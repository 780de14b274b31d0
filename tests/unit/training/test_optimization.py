"""Who learns how fast, in which arithmetic, and what a step does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="optimizers need the extra train")

import torch
from tests.tiny_models import write_model
from torch import Tensor, nn

from tapereader.models.adapters import AdapterConfig, attach
from tapereader.models.network import TextNetwork, load_backbone, transformer_layers
from tapereader.training.optimization import (
    MasterWeightOptimizer,
    OptimizerConfig,
    build_optimizer,
    cpu_has_bfloat16,
    parameter_groups,
    peak_rate,
    resolve_precision,
)


def network_on(folder: Path, **adapter: Any) -> TextNetwork:
    backbone = load_backbone(folder, encoder_dropout=0.0)
    network = TextNetwork(backbone, width=32, outputs=3, pooling="mean", dropout=0.0, loss=None)
    attach(network, AdapterConfig(**adapter), total_steps=1)
    return network


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert")


def rate_of(groups: list[dict[str, Any]], parameter: Tensor) -> float:
    return next(float(g["lr"]) for g in groups if any(p is parameter for p in g["params"]))


def test_every_learning_parameter_is_in_exactly_one_group(bert: Path) -> None:
    network = network_on(bert)
    groups = parameter_groups(network, OptimizerConfig(layer_decay=0.5), 1e-4)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in network.parameters() if p.requires_grad}


def test_biases_and_norms_do_not_decay(bert: Path) -> None:
    network = network_on(bert)
    names = {id(p): name for name, p in network.named_parameters()}
    for group in parameter_groups(network, OptimizerConfig(weight_decay=0.05), 1e-4):
        for parameter in group["params"]:
            plain = names[id(parameter)].endswith("bias") or "LayerNorm" in names[id(parameter)]
            assert group["weight_decay"] == (0.0 if plain else 0.05)


def test_each_layer_learns_at_a_share_of_the_one_above_it(bert: Path) -> None:
    network = network_on(bert, freeze_embeddings=False)
    config = OptimizerConfig(layer_decay=0.5, head_learning_rate=1e-3)
    groups = parameter_groups(network, config, 1e-4)
    below, above = transformer_layers(network.backbone)
    assert rate_of(groups, above.output.dense.weight) == pytest.approx(1e-4)
    assert rate_of(groups, below.output.dense.weight) == pytest.approx(5e-5)
    words = network.backbone.get_input_embeddings().weight  # type: ignore[operator]  # a transformers model
    assert rate_of(groups, words) == pytest.approx(2.5e-5)
    assert rate_of(groups, network.head.weight) == 1e-3


def test_without_decay_all_layers_learn_alike(bert: Path) -> None:
    network = network_on(bert)
    rates = {group["lr"] for group in parameter_groups(network, OptimizerConfig(), 1e-4)}
    assert rates == {1e-4, 1e-3}


@pytest.mark.parametrize(
    ("method", "width", "rate"),
    [
        ("full", 384, 1e-4), ("full", 768, 4e-5), ("full", 2048, 1e-5), ("top-k", 768, 8e-5), ("lora", 768, 1e-3),
        ("head", 768, 1e-3),
    ],
)  # fmt: skip
def test_a_wide_network_takes_a_lower_rate_where_its_own_weights_move(method: Any, width: int, rate: float) -> None:
    assert peak_rate(OptimizerConfig(), AdapterConfig(method=method), width) == pytest.approx(rate)
    assert peak_rate(OptimizerConfig(learning_rate=0.5), AdapterConfig(method=method), width) == 0.5


def test_plain_descent_takes_a_rate_of_its_own() -> None:
    assert peak_rate(OptimizerConfig(name="sgd"), AdapterConfig(), 384) == pytest.approx(1e-2)


def one_weight(value: float, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.full((1, 1), value, dtype=dtype))


def test_a_step_of_each_rule_against_a_hand_worked_one() -> None:
    """Gradient 2 at weight 1, rate 0.1, no decay: SGD 1 - 0.2; AdamW's first step is the rate; Adafactor's too."""
    for name, after in (("sgd", 0.8), ("adamw", 0.9), ("adafactor", 0.9)):
        weight = one_weight(1.0)
        config = OptimizerConfig(name=name)  # type: ignore[arg-type]
        optimizer = build_optimizer([{"params": [weight], "lr": 0.1, "weight_decay": 0.0}], config)
        weight.grad = torch.full((1, 1), 2.0)
        optimizer.step()
        assert float(weight.detach()) == pytest.approx(after, abs=1e-3), name


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor"])
def test_decay_pulls_towards_zero_in_every_rule(name: Any) -> None:
    """Rate 0.1 and decay 0.5 with no gradient to speak of take a twentieth of the weight."""
    weight = one_weight(1.0)
    optimizer = build_optimizer([{"params": [weight], "lr": 0.1, "weight_decay": 0.5}], OptimizerConfig(name=name))
    weight.grad = torch.zeros(1, 1)
    optimizer.step()
    assert float(weight.detach()) == pytest.approx(0.95, abs=1e-6)


def test_momentum_carries_on() -> None:
    """Gradient 1 twice at rate 0.1 and momentum 0.9: 0.1, then 0.19."""
    weight = one_weight(1.0)
    config = OptimizerConfig(name="sgd", momentum=0.9)
    optimizer = build_optimizer([{"params": [weight], "lr": 0.1, "weight_decay": 0.0}], config)
    for _ in range(2):
        weight.grad = torch.ones(1, 1)
        optimizer.step()
    assert float(weight.detach()) == pytest.approx(1 - 0.1 - 0.19, abs=1e-6)


def run(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Descend on a fixed sequence of gradients, which do not depend on the weights."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator).bfloat16().to(weight.dtype)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor"])
def test_masters_move_as_float32_weights_do(name: Any) -> None:
    """The same gradients move masters and plain float32 weights to the same place, to the bit."""
    start = torch.randn(8, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    config = OptimizerConfig(name=name)
    plain, live = nn.Parameter(start.float()), nn.Parameter(start.clone())
    group = {"lr": 1e-3, "weight_decay": 0.01}
    run([plain], build_optimizer([{"params": [plain], **group}], config), 20)
    optimizer = build_optimizer([{"params": [live], **group}], config)
    assert isinstance(optimizer, MasterWeightOptimizer)
    run([live], optimizer, 20)
    assert torch.equal(optimizer.masters_of()[id(live)], plain)
    assert torch.equal(live, plain.bfloat16())


def test_masters_keep_what_bfloat16_would_lose() -> None:
    """A thousand steps of 1e-5 at weight 1 are a hundredth; a bfloat16 weight alone would not have moved at all."""
    live = one_weight(1.0, torch.bfloat16)
    optimizer = build_optimizer(
        [{"params": [live], "lr": 1e-5, "weight_decay": 0.0}], OptimizerConfig(name="sgd", momentum=0.0)
    )
    for _ in range(1000):
        live.grad = torch.ones(1, 1, dtype=torch.bfloat16)
        optimizer.step()
    assert float(live.detach()) == pytest.approx(0.99, abs=0.004)
    assert isinstance(optimizer, MasterWeightOptimizer)
    assert float(optimizer.masters[0].detach()) == pytest.approx(0.99, abs=1e-4)


def test_a_scheduler_over_masters_sets_the_rate_that_is_stepped_with() -> None:
    live = one_weight(1.0, torch.bfloat16)
    optimizer = build_optimizer(
        [{"params": [live], "lr": 1.0, "weight_decay": 0.0}], OptimizerConfig(name="sgd", momentum=0.0)
    )
    assert isinstance(optimizer, MasterWeightOptimizer)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for _ in range(2):
        live.grad = torch.full((1, 1), 0.25, dtype=torch.bfloat16)
        optimizer.step()
        scheduler.step()
    assert float(optimizer.masters[0].detach()) == pytest.approx(1 - 0.25 - 0.125)
    assert optimizer.inner.param_groups[0]["lr"] == 0.25


def test_masters_and_moments_survive_saving(tmp_path: Path) -> None:
    def make() -> tuple[nn.Parameter, nn.Parameter, torch.optim.Optimizer]:
        half = nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3).bfloat16())
        full = nn.Parameter(torch.ones(3))
        return (
            half,
            full,
            build_optimizer([{"params": [half, full], "lr": 1e-3, "weight_decay": 0.1}], OptimizerConfig()),
        )

    half, full, optimizer = make()
    run([half, full], optimizer, 3)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    again_half, again_full, again = make()
    with torch.no_grad():
        again_half.copy_(half)
        again_full.copy_(full)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    run([half, full], optimizer, 3)
    run([again_half, again_full], again, 3)
    assert torch.equal(half, again_half)
    assert torch.equal(full, again_full)
    assert isinstance(again, MasterWeightOptimizer)
    assert torch.equal(optimizer.masters[0], again.masters[0])  # type: ignore[attr-defined]


def test_precision_is_what_was_asked_or_what_the_machine_has() -> None:
    for asked in ("float32", "bfloat16", "autocast"):
        assert resolve_precision(asked) == asked  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        assert resolve_precision("auto") == ("bfloat16" if cpu_has_bfloat16() else "float32")
