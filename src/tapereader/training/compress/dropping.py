"""Fewer layers: those go whose absence the training text notices least."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tapereader.core.errors import ConfigError
from tapereader.models.heads import Loss
from tapereader.models.network import TextNetwork, transformer_layers
from tapereader.training.batches import EncodedDataset
from tapereader.training.scoring import predict_logits

_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")


@torch.no_grad()
def drop_layers(network: TextNetwork, data: EncodedDataset, loss: Loss, *, count: int) -> tuple[int, ...]:
    """Take layers out of a network, in place, and write their number into its config.

    One after the other: each time the layer goes without which the loss on the training text is smallest, given those
    that went before. Trying every set of layers would cost more than it finds.

    Parameters
    ----------
    network : finished
    data : encoded training text with labels
    loss : that the labels go with
    count : layers that go

    Returns
    -------
    positions of the layers that stay, counted from 0 at the bottom

    Raises
    ------
    ConfigError
        If no layer would be left.
    """
    layers = transformer_layers(network.backbone)
    if not 1 <= count < len(layers):
        raise ConfigError(
            f"`drop_layers` must leave at least one of {len(layers)} layers and take at least one; got {count}."
        )
    labels = torch.as_tensor(_labels(data))
    left = list(range(len(layers)))
    every = list(layers)
    for _ in range(count):
        found = []
        for gone in left:
            _keep(layers, [every[at] for at in left if at != gone])
            logits = torch.as_tensor(predict_logits(network, data)).float()
            found.append((float(loss(logits, labels)), gone))
        left.remove(min(found)[1])
    _keep(layers, [every[at] for at in left])
    _restate(network.backbone, left)
    return tuple(left)


def _labels(data: EncodedDataset) -> NDArray[Any]:
    return np.asarray([document.label for document in data.documents])


def _keep(layers: nn.ModuleList, kept: list[nn.Module]) -> None:
    """Put these layers, and no others, into the list that the backbone runs through."""
    del layers[:]
    layers.extend(kept)


def _restate(backbone: nn.Module, left: list[int]) -> None:
    config: Any = backbone.config
    for name in _COUNTS:
        if hasattr(config, name):
            setattr(config, name, len(left))
    kinds = getattr(config, "layer_types", None)
    if kinds:
        config.layer_types = [kinds[at] for at in left]
