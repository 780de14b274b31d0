"""Run frozen lower layers once, and train the rest on what they gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tapereader.core.errors import ConfigError
from tapereader.models.network import TextNetwork, transformer_layers
from tapereader.training.batches import Collator, EncodedDataset, batches_by_length

#: Cached states above this are refused: they are kept in memory.
LARGEST_CACHE_GIB = 6.0
#: Encoders that are embeddings, a stack, and nothing before, beside or after it. Each is tested; others have a norm
#: after the stack (ModernBERT, XLM-R-XL), a convolution beside it (DeBERTa), or embeddings of another width (ALBERT),
#: and run whole in every epoch.
_MODEL_TYPES = ("bert", "camembert", "electra", "ernie", "mpnet", "roberta", "xlm-roberta")


class _PassThrough(nn.Module):
    """Stand where the embeddings stood, and hand on states that were computed before."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Tensor:
        """Return the states as they are."""
        return inputs_embeds


def can_cache(network: TextNetwork) -> bool:
    """Say whether the backbone is known to be a plain stack behind one ``embeddings`` module, with nothing after it.

    Others have a norm behind the stack, a convolution beside it or a projection below it, which would run once while
    the states are computed and once more in every pass.
    """
    config: Any = network.backbone.config
    if config.model_type not in _MODEL_TYPES:
        return False
    return bool(getattr(config, "embedding_size", config.hidden_size) == config.hidden_size)


def cache_lower_layers(
    network: TextNetwork, datasets: list[EncodedDataset], *, top: int, collator: Collator
) -> Callable[[], None]:
    """Replace each document's ids by the outputs of all but the top layers, in place.

    With dropout off and lower layers frozen, those outputs never change during training: computing them once gives
    the same training as computing them in every epoch, at the cost of the memory they take.

    Parameters
    ----------
    network : its lower layers are taken off until the returned function is called
    datasets : documents to run; each gets ``hidden`` in the backbone's own dtype
    top : layers left on
    collator : of the network

    Returns
    -------
    function that puts the network together again

    Raises
    ------
    ConfigError
        If the cached states would take too much memory.
    """
    backbone: Any = network.backbone
    layers = transformer_layers(backbone)
    all_layers, embeddings = list(layers), backbone.embeddings
    tokens = sum(document.tokens for dataset in datasets for document in dataset.documents)
    size = tokens * network.head.in_features * next(backbone.parameters()).element_size() / 2**30
    if size > LARGEST_CACHE_GIB:
        raise ConfigError(
            f"Cached lower layers must fit in {LARGEST_CACHE_GIB:g} GiB; these {tokens:,} tokens need {size:.1f}. "
            "Set `cache_lower_layers: false`."
        )
    _set_layers(layers, all_layers[: len(all_layers) - top])
    try:
        for dataset in datasets:
            _fill(network, dataset, collator)
    finally:
        _set_layers(layers, all_layers)
    _set_layers(layers, all_layers[len(all_layers) - top :])
    backbone.embeddings = _PassThrough()

    def restore() -> None:
        backbone.embeddings = embeddings
        _set_layers(layers, all_layers)

    return restore


def _set_layers(holder: nn.ModuleList, layers: list[nn.Module]) -> None:
    holder._modules.clear()
    holder.extend(layers)


@torch.no_grad()
def _fill(network: TextNetwork, dataset: EncodedDataset, collator: Collator) -> None:
    network.eval()
    for positions in batches_by_length(dataset, token_budget=4096):
        documents = [replace(dataset[position], label=None) for position in positions]
        batch = collator(documents)
        inputs = {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask") if name in batch}
        states = network.backbone(**inputs).last_hidden_state
        row = 0
        for position, document in zip(positions, documents, strict=True):
            own = []
            for chunk in document.chunks:
                own.append(states[row, : len(chunk.ids)].clone())
                row += 1
            dataset.documents[position] = replace(dataset[position], hidden=tuple(own))
