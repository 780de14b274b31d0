"""Optimizers, learning-rate groups and the arithmetic they run in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tapereader.core.config import Config
from tapereader.models.adapters import AdapterConfig
from tapereader.models.network import TextNetwork, transformer_layers

Precision = Literal["auto", "float32", "bfloat16", "autocast"]


class OptimizerConfig(Config):
    """How weights move."""

    name: Literal["adamw", "sgd", "adafactor"] = "adamw"
    """Update rule."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Peak rate of the backbone; None takes the measured rate for the method and the backbone's width."""
    head_learning_rate: float = Field(default=1e-3, gt=0.0)
    """Peak rate of the output layer, which starts from nothing."""
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    """Each layer learns at this share of the rate of the layer above it; 1 gives all the same."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Decoupled decay, not applied to biases and norms."""
    warmup_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of all steps over which the rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant_with_warmup", "constant", "polynomial", "inverse_sqrt"] = "linear"
    """Shape of the rate after warm-up."""
    clip_norm: float = Field(default=1.0, gt=0.0)
    """Gradients are scaled down to this norm."""
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    """For `sgd`."""


#: Peak rates that worked for each method on a backbone of width 384, measured on Financial PhraseBank; full and partial
#: fine-tuning take less on wider ones.
_RATES = {
    "full": 1e-4, "gradual": 1e-4, "top-k": 2e-4, "head": 1e-3, "lora": 1e-3, "adalora": 2e-3, "bottleneck": 1e-3,
    "ia3": 1e-2, "prefix": 1e-2, "prompt": 3e-2,
}  # fmt: skip


def peak_rate(config: OptimizerConfig, adapter: AdapterConfig, width: int) -> float:
    """Return the backbone's peak learning rate.

    Examples
    --------
    >>> peak_rate(OptimizerConfig(), AdapterConfig(), width=384)
    0.0001
    """
    if config.learning_rate is not None:
        return config.learning_rate
    rate = _RATES[adapter.method] * (100.0 if config.name == "sgd" else 1.0)
    moves_weights = adapter.method in ("full", "gradual", "top-k")
    return rate if width <= 512 or not moves_weights else rate * (0.4 if width <= 1024 else 0.1)


def resolve_precision(precision: Precision) -> Literal["float32", "bfloat16", "autocast"]:
    """Choose the arithmetic for this machine.

    On a CPU with bfloat16 instructions the weights are kept in bfloat16 with float32 masters, which spares autocast's
    casts; on an accelerator autocast is used; elsewhere float32.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "autocast" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if cpu_has_bfloat16() else "float32"


def cpu_has_bfloat16() -> bool:
    """Say whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())


def parameter_groups(network: TextNetwork, config: OptimizerConfig, rate: float) -> list[dict[str, Any]]:
    """Split what learns by rate and decay.

    Returns
    -------
    list of optimizer groups: head, and for each layer depth one with and one without weight decay
    """
    head = {id(parameter) for parameter in network.head.parameters()}
    depth: dict[int, int] = {}
    if config.layer_decay < 1.0:
        layers = transformer_layers(network.backbone)
        depth = {id(p): len(layers) - 1 - i for i, layer in enumerate(layers) for p in layer.parameters()}
        bottom = len(layers)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in head:
            own_rate = config.head_learning_rate * (100.0 if config.name == "sgd" else 1.0)
        elif config.layer_decay < 1.0:
            own_rate = rate * config.layer_decay ** depth.get(id(parameter), bottom)
        else:
            own_rate = rate
        plain = parameter.ndim < 2 or name.endswith("bias")
        groups.setdefault((own_rate, 0.0 if plain else config.weight_decay), []).append(parameter)
    return [{"params": group, "lr": lr, "weight_decay": decay} for (lr, decay), group in groups.items()]


def build_optimizer(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimizer over groups whose weights may be bfloat16."""

    def build(inner: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        inner = list(inner)
        if config.name == "sgd":
            return torch.optim.SGD(inner, lr=inner[0]["lr"], momentum=config.momentum)
        if config.name == "adafactor":
            from transformers import Adafactor

            # Adafactor multiplies decay by the rate itself, as AdamW does; its own relative steps are off so that the
            # stated schedule is the one that runs.
            return Adafactor(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
                inner, lr=inner[0]["lr"], scale_parameter=False, relative_step=False, warmup_init=False
            )
        return torch.optim.AdamW(inner, lr=inner[0]["lr"], fused=True)

    if any(p.dtype == torch.bfloat16 for group in groups for p in group["params"]):
        return MasterWeightOptimizer(groups, build)
    return build(groups)


class MasterWeightOptimizer(torch.optim.Optimizer):
    """Step float32 copies of bfloat16 weights, then round them back.

    bfloat16 keeps 8 bits of mantissa, so an update smaller than 1/256 of its weight would vanish; the float32 masters
    keep it. Weights that are float32 already are stepped in place.

    Parameters
    ----------
    groups : optimizer groups of live parameters
    build : makes the inner optimizer from groups of masters

    References
    ----------
    Micikevicius et al. (2018), Mixed Precision Training, ICLR, sec. 3.1.
    """

    def __init__(
        self, groups: list[dict[str, Any]], build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    ) -> None:
        self.live = [parameter for group in groups for parameter in group["params"]]
        self.masters = [p if p.dtype == torch.float32 else p.detach().float().requires_grad_(True) for p in self.live]
        masters = iter(self.masters)
        self.inner = build([{**group, "params": [next(masters) for _ in group["params"]]} for group in groups])
        super().__init__(self.inner.param_groups, {})
        # One list of groups for both, so that a scheduler which sets the outer rate sets the inner one.
        self.param_groups = self.inner.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the masters by the live gradients, and round the result into the live weights."""
        rounded = [(m, p) for m, p in zip(self.masters, self.live, strict=True) if m is not p]
        for master, parameter in rounded:
            master.grad = None if parameter.grad is None else parameter.grad.float()
        out = self.inner.step(closure)
        torch._foreach_copy_([parameter for _, parameter in rounded], [master for master, _ in rounded])
        return out

    @torch.no_grad()
    def take_zeros(self) -> None:
        """Set masters to zero where their live weight is: what was pruned there would come back with the next copy.

        bfloat16 has the exponents of float32, so rounding alone makes no zero.
        """
        for master, parameter in zip(self.masters, self.live, strict=True):
            if master is not parameter:
                master.masked_fill_(parameter == 0, 0.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of live weights and masters."""
        for parameter in (*self.live, *self.masters):
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state and the masters."""
        return {"inner": self.inner.state_dict(), "masters": [master.detach() for master in self.masters]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        for master, saved in zip(self.masters, state_dict["masters"], strict=True):
            master.copy_(saved)
        self.inner.load_state_dict(state_dict["inner"])
        self.param_groups = self.inner.param_groups

    def masters_of(self) -> dict[int, Tensor]:
        """Return the master of each live parameter, by the parameter's identity."""
        return {id(parameter): master for parameter, master in zip(self.live, self.masters, strict=True)}
