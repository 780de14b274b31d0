"""Fewer attention heads and a narrower feed-forward layer, the same number in every block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tapereader.core.errors import ConfigError
from tapereader.models.heads import Loss
from tapereader.models.network import TextNetwork, transformer_layers
from tapereader.training.batches import Collator, EncodedDataset, batches_by_length

#: The width that is left is a multiple of this, which the products of every runtime like.
_STEP = 16
_TOKENS = 4096


@dataclass(frozen=True)
class Block:
    """The parts of one transformer block that can be cut.

    Parameters
    ----------
    attention : module that holds the head count
    inward : names in ``attention`` of the layers whose outputs are heads side by side
    outward : (module, name) of the layer that reads the heads
    widen, narrow : feed-forward layers in and out of the inner width
    """

    attention: Any
    inward: tuple[str, ...]
    outward: tuple[Any, str]
    widen: tuple[Any, str]
    narrow: tuple[Any, str]

    @property
    def reader(self) -> nn.Linear:
        """The layer that reads the heads."""
        found: nn.Linear = getattr(*self.outward)
        return found


@dataclass(frozen=True)
class Importance:
    """How much the loss would change without a part, of L blocks.

    Parameters
    ----------
    heads : array (L, H)
    neurons : array (L, F)
    """

    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]


def measure_importance(network: TextNetwork, data: EncodedDataset, loss: Loss) -> Importance:
    """Estimate what each head and each inner neuron is worth: the absolute gradient of the loss by a gate on it.

    The gate stands on what a head, or a neuron, hands on; its gradient is the sum of value times gradient, taken for
    each text by itself and added up in absolute value, so that texts that pull in two directions do not cancel.

    Parameters
    ----------
    network : finished; not changed
    data : encoded training text with labels
    loss : that the labels go with

    References
    ----------
    Michel, Levy and Neubig (2019), Are Sixteen Heads Really Better than One?, NeurIPS, sec. 4.1.
    """
    blocks = blocks_of(network.backbone)
    n_heads, width = blocks[0].attention.num_attention_heads, getattr(*blocks[0].narrow).in_features
    heads, neurons = np.zeros((len(blocks), n_heads)), np.zeros((len(blocks), width))
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)
    network.eval().requires_grad_(True)
    try:
        for positions in batches_by_length(data, token_budget=_TOKENS):
            batch = collator([data[position] for position in positions])
            labels = batch.pop("labels")
            with _watched([one.reader for one in blocks] + [getattr(*one.narrow) for one in blocks]) as seen:
                # The sum over texts: each text's gradient is then its own.
                (loss(network(**batch)["logits"], labels) * len(positions)).backward()  # type: ignore[no-untyped-call]
            owners = batch["document"]
            for at in range(len(blocks)):
                gates = _by_text(seen[at], owners, len(positions))
                heads[at] += gates.view(len(positions), n_heads, -1).sum(-1).abs().sum(0).double().numpy()
                inner = _by_text(seen[len(blocks) + at], owners, len(positions))
                neurons[at] += inner.abs().sum(0).double().numpy()
            network.zero_grad(set_to_none=True)
    finally:
        network.requires_grad_(False)
    return Importance(heads=heads, neurons=neurons)


def kept_parts(importance: Importance, *, head_share: float, width_share: float) -> tuple[list[Any], list[Any]]:
    """Return, for each block, the heads and the inner neurons that stay: equally many in every block.

    Parameters
    ----------
    importance : of both
    head_share, width_share : share that goes, in [0, 1); at least one head and sixteen neurons stay

    Returns
    -------
    two lists of sorted int arrays, one a block
    """
    n_heads, width = importance.heads.shape[1], importance.neurons.shape[1]
    heads = max(1, round(n_heads * (1.0 - head_share)))
    neurons = width if width_share == 0 else min(width, max(_STEP, round(width * (1.0 - width_share) / _STEP) * _STEP))
    best = [
        [np.sort(np.argsort(-row, kind="stable")[:count]) for row in table]
        for table, count in ((importance.heads, heads), (importance.neurons, neurons))
    ]
    return best[0], best[1]


@torch.no_grad()
def silence_heads(network: TextNetwork, kept: list[NDArray[np.int64]]) -> None:
    """Set the weights of all other heads to zero, in place.

    No gradient reaches such a head: what it hands on is zero, and so is what reads it. It stays silent through any
    training, and :func:`cut_heads` takes it out afterwards without changing an answer. In the meantime the shapes are
    those that the network's config states: it has no word for fewer heads of the same size.
    """
    for block, heads in zip(blocks_of(network.backbone), kept, strict=True):
        silent = _columns(block, heads, keep=False)
        for name in block.inward:
            layer = getattr(block.attention, name)
            layer.weight[silent] = 0.0
            layer.bias[silent] = 0.0
        block.reader.weight[:, silent] = 0.0


@torch.no_grad()
def audible_heads(network: TextNetwork) -> list[NDArray[np.int64]]:
    """Return the heads of each block that hand anything on; nothing for an architecture that cannot be cut."""
    try:
        blocks = blocks_of(network.backbone)
    except ConfigError:
        return []
    found = []
    for block in blocks:
        said = block.reader.weight.abs().sum(dim=0).view(block.attention.num_attention_heads, -1).sum(dim=1)
        # A block in which all are silent keeps its first head: a product of no width is none.
        found.append(np.flatnonzero(said.numpy() > 0) if bool(said.any()) else np.array([0]))
    return found


@torch.no_grad()
def narrow_width(network: TextNetwork, kept: list[NDArray[np.int64]]) -> None:
    """Take all other inner neurons out of the feed-forward layers, in place, and write the width into the config."""
    backbone: Any = network.backbone
    for block, neurons in zip(blocks_of(backbone), kept, strict=True):
        rows = torch.as_tensor(neurons)
        setattr(*block.widen, _cut(getattr(*block.widen), rows=rows))
        setattr(*block.narrow, _cut(getattr(*block.narrow), columns=rows))
    backbone.config.intermediate_size = len(kept[0])


@torch.no_grad()
def cut_heads(network: TextNetwork, kept: list[NDArray[np.int64]]) -> None:
    """Take silent heads out of the network, in place; for the exported graph, whose products become smaller.

    Parameters
    ----------
    network : changed
    kept : of each block, the heads that stay; an empty list leaves everything as it is
    """
    for block, heads in zip(blocks_of(network.backbone) if kept else [], kept, strict=True):
        if len(heads) == block.attention.num_attention_heads:
            continue
        rows = _columns(block, heads, keep=True)
        for name in block.inward:
            setattr(block.attention, name, _cut(getattr(block.attention, name), rows=rows))
        setattr(*block.outward, _cut(block.reader, columns=rows))
        size = block.attention.attention_head_size
        block.attention.num_attention_heads, block.attention.all_head_size = len(heads), size * len(heads)


def blocks_of(backbone: nn.Module) -> list[Block]:
    """Return what can be cut in each block.

    Raises
    ------
    ConfigError
        If the architecture is not one of the BERT family.
    """
    config: Any = backbone.config
    try:
        return [_block(layer) for layer in transformer_layers(backbone)]
    except AttributeError as error:
        raise ConfigError(
            "Heads and widths can be cut in networks built as BERT is (bert, roberta, xlm-roberta, electra); got the "
            f"model type {config.model_type!r}. Take `drop-layers`, `distil`, an int8 method or bf16."
        ) from error


def _block(layer: Any) -> Block:
    attention = layer.attention.self
    found = Block(
        attention=attention, inward=("query", "key", "value"), outward=(layer.attention.output, "dense"),
        widen=(layer.intermediate, "dense"), narrow=(layer.output, "dense"),
    )  # fmt: skip
    for owner, name in (*((attention, name) for name in found.inward), found.outward, found.widen, found.narrow):
        if not isinstance(getattr(owner, name), nn.Linear):
            raise AttributeError(name)
    return found


def _columns(block: Block, heads: NDArray[np.int64], *, keep: bool) -> Tensor:
    """Return the places of the heads' numbers, or of all others."""
    chosen = torch.zeros(block.attention.num_attention_heads, dtype=torch.bool)
    chosen[torch.as_tensor(heads)] = True
    wanted = chosen if keep else ~chosen
    return wanted.repeat_interleave(block.attention.attention_head_size).nonzero().squeeze(1)


def _cut(layer: nn.Linear, *, rows: Tensor | None = None, columns: Tensor | None = None) -> nn.Linear:
    weight = layer.weight if rows is None else layer.weight[rows]
    bias = layer.bias if rows is None else layer.bias[rows]
    weight = weight if columns is None else weight[:, columns]
    out = nn.Linear(weight.shape[1], weight.shape[0])
    out.weight.copy_(weight)
    out.bias.copy_(bias)
    out.requires_grad_(layer.weight.requires_grad)
    return out


def _by_text(value: Tensor, owners: Tensor, n: int) -> Tensor:
    """Return value times gradient (N, X), added up over the tokens and chunks of each text."""
    assert value.grad is not None  # noqa: S101  (it was asked for before the backward pass)
    product = (value.detach() * value.grad).sum(dim=1)
    return torch.zeros(n, product.shape[1]).index_add_(0, owners, product)


@contextmanager
def _watched(layers: list[nn.Linear]) -> Iterator[list[Tensor]]:
    """Keep what goes into each layer, with its gradient."""
    seen: list[Tensor] = [torch.empty(0)] * len(layers)

    def keep(at: int) -> Any:
        def hook(_layer: nn.Module, given: tuple[Tensor, ...]) -> None:
            given[0].retain_grad()
            seen[at] = given[0]

        return hook

    handles = [layer.register_forward_pre_hook(keep(at)) for at, layer in enumerate(layers)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
