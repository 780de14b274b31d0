"""A finished bundle's network, read again from its weights: what export wrote, put together as it was trained."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tapereader.bundle import Bundle, output_width
from tapereader.core.errors import BundleError, ConfigError
from tapereader.models.adapters import Bottleneck
from tapereader.models.network import Pooling, TextNetwork, load_backbone

_HEAD = "head.safetensors"


def reopen_network(bundle: Bundle) -> TextNetwork:
    """Return the network of a bundle, ready to answer and to be differentiated.

    Parameters
    ----------
    bundle : loaded, with ``model/head.safetensors``

    Raises
    ------
    BundleError
        If the bundle has no single network of an encoder and a head, or its parts do not fit each other.
    """
    folder = bundle.path / "model"
    _refuse_others(bundle, folder)
    try:
        backbone: nn.Module = load_backbone(folder, encoder_dropout=0.0)
        head = load_file(folder / _HEAD)
        if (folder / "adapter.safetensors").is_file():
            _insert_bottlenecks(backbone, load_file(folder / "adapter.safetensors"))
    except (ConfigError, OSError, ValueError, SafetensorError) as error:
        raise _unreadable(bundle, str(error)) from error
    prompted = (folder / "adapter").is_dir()
    if prompted:
        backbone = _prompted(backbone, folder / "adapter")
    width, outputs = head["weight"].shape[1], head["weight"].shape[0]
    if outputs != output_width(bundle.contract) or head["bias"].shape != (outputs,):
        raise _unreadable(bundle, f"its {_HEAD} gives {outputs} outputs")
    pooling = cast("Pooling", bundle.facts.pooling)
    network = TextNetwork(backbone, width=width, outputs=outputs, pooling=pooling, dropout=0.0, loss=None)
    if prompted:
        network.takes_type_ids = False  # as in training: segment ids are dropped where virtual tokens come first
    network.head.load_state_dict(head)
    network.requires_grad_(False)
    return network.float().eval()


def _refuse_others(bundle: Bundle, folder: Path) -> None:
    if bundle.members:
        raise _unreadable(bundle, "it is an ensemble of several networks")
    if bundle.contract.kind == "generation":
        raise _unreadable(bundle, "it answers in words")
    if not (folder / _HEAD).is_file():
        raise _unreadable(bundle, f"it has no model/{_HEAD}")
    if bundle.facts.pooling not in ("mean", "last"):
        raise _unreadable(bundle, f"its pooling is {bundle.facts.pooling!r}")


def _unreadable(bundle: Bundle, why: str) -> BundleError:
    return BundleError(
        f"Gradients need one network of an encoder and a head in model/; bundle {bundle.id!r} cannot be read so: "
        f"{why.rstrip('.')}. Use the method `occlusion`, which asks the exported network."
    )


def _insert_bottlenecks(backbone: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put adapters where they were, as the names of their weights say."""
    owners = {name.rpartition(".")[0].rpartition(".")[0] for name in state}
    for owner in sorted(owners):
        parent = backbone.get_submodule(owner.rpartition(".")[0])
        inner: Any = backbone.get_submodule(owner)
        adapter = Bottleneck(inner, state[f"{owner}.down.weight"].shape[0])
        own = {name.removeprefix(f"{owner}."): value for name, value in state.items() if name.startswith(f"{owner}.")}
        missing, unexpected = adapter.load_state_dict(own, strict=False)
        if unexpected or any(not name.startswith("inner.") for name in missing):
            raise ValueError(f"adapter.safetensors does not fit {owner}")
        setattr(parent, owner.rpartition(".")[2], adapter)


def _prompted(backbone: nn.Module, folder: Path) -> nn.Module:
    import peft

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by an old name; neither is ours
        found: nn.Module = peft.PeftModel.from_pretrained(backbone, folder)
    return found
