"""What learns: everything, the head, the top, or a small update beside frozen weights."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tapereader.core.config import Config
from tapereader.core.errors import ConfigError
from tapereader.models.network import TextNetwork, embedding_parameters, transformer_layers

#: GPT-2 keeps its linear maps in a class of its own, with the weight the other way round.
_LINEAR = (nn.Linear, Conv1D)
Method = Literal[
    "full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck"
]  # fmt: skip
#: Methods whose update can be folded into the backbone's own weights when training ends.
MERGEABLE = ("lora", "adalora", "ia3")
#: Methods that keep the backbone as it was.
FROZEN_BACKBONE = ("head", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck")


class AdapterConfig(Config):
    """Which parameters training may move."""

    method: Method = "full"
    """`full`, `head`, `top-k` layers, `gradual` unfreezing from the top, or a parameter-efficient update: `lora`,
    `adalora`, `prefix`, `prompt`, `ia3`, `bottleneck` (Houlsby)."""
    layers: int = Field(default=2, ge=1)
    """Top layers that learn, for `top-k`."""
    rank: int = Field(default=16, ge=1)
    """Rank of the update, for `lora` and (as the final average) `adalora`."""
    alpha: int = Field(default=32, ge=1)
    """Scale of the update: it is multiplied by `alpha / rank`."""
    virtual_tokens: int = Field(default=16, ge=1)
    """Learnt tokens put before the text, for `prompt` and `prefix`."""
    bottleneck_width: int = Field(default=48, ge=1)
    """Hidden width of a Houlsby adapter."""
    freeze_embeddings: bool = True
    """Leave word, position and type embeddings as pretrained, for `full` and `gradual`: half the parameters of a
    small encoder, and their dense gradient is a large share of a step."""


def attach(network: TextNetwork, config: AdapterConfig, *, total_steps: int) -> list[Any]:
    """Freeze what must not move and add what learns, in place.

    Parameters
    ----------
    network : its ``backbone`` may be wrapped
    config : the method
    total_steps : optimizer steps to come; AdaLoRA plans its ranks over them

    Returns
    -------
    list of trainer callbacks the method needs

    Raises
    ------
    ConfigError
        If the backbone has too few layers, or no place for the update.
    """
    backbone = network.backbone
    if config.method in ("full", "gradual"):
        if config.freeze_embeddings:
            _freeze(embedding_parameters(backbone))
        return [_GradualUnfreezing(transformer_layers(backbone))] if config.method == "gradual" else []
    _freeze(backbone.parameters())
    if config.method == "head":
        return []
    if config.method == "top-k":
        layers = transformer_layers(backbone)
        if config.layers > len(layers):
            raise ConfigError(f"`adapter.layers` must be at most the backbone's {len(layers)}; got {config.layers}.")
        for layer in layers[-config.layers :]:
            layer.requires_grad_(True)
        return []
    if config.method == "bottleneck":
        _insert_bottlenecks(backbone, config.bottleneck_width)
        return []
    if config.method == "prefix" and "past_key_values" not in inspect.signature(backbone.forward).parameters:
        kind: Any = backbone.config
        raise ConfigError(
            f"`prefix` gives attention learnt keys and values, which the model type {kind.model_type!r} has no place "
            "for. Use `prompt` or `lora` with it."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by an old name; neither is ours
        network.backbone = _peft(backbone, config, total_steps)
    if config.method in ("prefix", "prompt"):
        # PEFT drops segment ids where virtual tokens come first.
        network.takes_type_ids = False
    return [_RankAllocation(network.backbone)] if config.method == "adalora" else []


def merge(network: TextNetwork, config: AdapterConfig) -> None:
    """Fold a mergeable update into the backbone, in place; others stay beside it."""
    if config.method in MERGEABLE:
        network.backbone = network.backbone.merge_and_unload()  # type: ignore[operator]  # a PEFT model


def trainable_share(network: nn.Module) -> tuple[int, int]:
    """Return how many parameters learn, and how many there are."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes)


class Bottleneck(nn.Module):
    """Down, non-linearity, up, plus the way around: a Houlsby adapter after one sub-layer's output.

    The up-projection starts at zero, so that training starts from the pretrained network exactly.

    References
    ----------
    Houlsby et al. (2019), Parameter-Efficient Transfer Learning for NLP, ICML, fig. 2.
    """

    def __init__(self, inner: nn.Linear | Conv1D, width: int) -> None:
        super().__init__()
        self.inner = inner
        out = inner.nf if isinstance(inner, Conv1D) else inner.out_features
        self.down = nn.Linear(out, width)
        self.up = nn.Linear(width, out)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.to(inner.weight.dtype)

    @property
    def weight(self) -> Tensor:
        """The wrapped map's own weight, whose type T5 asks for."""
        return self.inner.weight

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the sub-layer's output with the learnt correction."""
        out: Tensor = self.inner(hidden)
        correction: Tensor = self.up(torch.nn.functional.gelu(self.down(out)))
        return out + correction


def _insert_bottlenecks(backbone: nn.Module, width: int) -> None:
    """Wrap the last linear of attention and of the feed-forward part in every layer."""
    for layer in transformer_layers(backbone):
        linears = [name for name, module in layer.named_modules() if isinstance(module, _LINEAR)]
        attention = [name for name in linears if "att" in name.lower()]
        feed_forward = [name for name in linears if "att" not in name.lower()]
        if not attention or not feed_forward:
            raise ConfigError("Bottleneck adapters need layers of linear attention and feed-forward parts.")
        for name in (attention[-1], feed_forward[-1]):
            parent = layer.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], Bottleneck(layer.get_submodule(name), width))  # type: ignore[arg-type]  # a Linear by the filter above


def _peft(backbone: nn.Module, config: AdapterConfig, total_steps: int) -> nn.Module:
    import peft

    linear = [name for name, module in backbone.named_modules() if isinstance(module, _LINEAR)]
    turned = any(isinstance(module, Conv1D) for module in backbone.modules())
    kind = peft.TaskType.FEATURE_EXTRACTION
    settings: peft.PeftConfig
    if config.method == "lora":
        settings = peft.LoraConfig(
            task_type=kind, r=config.rank, lora_alpha=config.alpha, target_modules=linear, lora_dropout=0.0,
            fan_in_fan_out=turned,
        )  # fmt: skip
    elif config.method == "adalora":
        settings = peft.AdaLoraConfig(
            task_type=kind, init_r=config.rank * 3 // 2, target_r=config.rank, lora_alpha=config.alpha,
            target_modules=linear, total_step=total_steps, tinit=total_steps // 10, tfinal=total_steps // 3,
            fan_in_fan_out=turned,
        )  # fmt: skip
    elif config.method == "ia3":
        # GPT-2 makes queries, keys and values in one map, `c_attn`.
        scaled = ("key", "value", "k", "v", "k_proj", "v_proj", "c_attn")
        keys = [name for name in linear if name.rpartition(".")[2] in scaled]
        ends = ("output.dense", "wo", "down_proj", "mlp.c_proj")
        inner = [name for name in linear if name.endswith(ends) and "att" not in name]
        settings = peft.IA3Config(
            task_type=kind, target_modules=keys + inner, feedforward_modules=inner, fan_in_fan_out=turned
        )
    elif config.method == "prefix":
        settings = peft.PrefixTuningConfig(task_type=kind, num_virtual_tokens=config.virtual_tokens)
    else:
        settings = peft.PromptTuningConfig(task_type=kind, num_virtual_tokens=config.virtual_tokens)
    return peft.get_peft_model(backbone, settings)


def _freeze(parameters: Any) -> None:
    for parameter in parameters:
        parameter.requires_grad_(False)


class _GradualUnfreezing:
    """Let one more layer learn in each part of the run, from the top down.

    References
    ----------
    Howard and Ruder (2018), Universal Language Model Fine-tuning for Text Classification, ACL, sec. 3.3.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        self.layers = layers

    def at(self, done: float) -> None:
        """Set what learns when the share ``done`` of the run is over; all layers learn in the last third."""
        free = min(len(self.layers), 1 + int(done * 1.5 * len(self.layers)))
        for position, layer in enumerate(self.layers):
            layer.requires_grad_(position >= len(self.layers) - free)


class _RankAllocation:
    """Tell AdaLoRA that a step was made, so that it moves rank to where it helps."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def at_step(self, step: int) -> None:
        """Re-allocate ranks after optimizer step ``step``."""
        self.model.base_model.update_and_allocate(step)
