"""A finished network as something that can be changed and taught again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tapereader.bundle import Bundle
from tapereader.core.errors import ConfigError
from tapereader.models.backbones import Backbone, ResolvedBackbone
from tapereader.models.backbones.records import UNKNOWN_CUTOFF
from tapereader.models.network import TextNetwork, quiet
from tapereader.training.export import TOKENIZER_FILES
from tapereader.training.reopening import reopen_network
from tapereader.training.trainer import FinetuneConfig, Start


def open_changeable(bundle: Bundle) -> TextNetwork:
    """Return the network of a bundle, whose layers may be cut.

    Raises
    ------
    ConfigError
        If a part of it stands beside the backbone, and cutting the backbone would leave it behind.
    """
    folder = bundle.path / "model"
    if (folder / "adapter").is_dir() or (folder / "adapter.safetensors").is_file():
        raise ConfigError(
            f"A network whose layers are cut must be one with nothing beside its backbone; bundle {bundle.id!r} has "
            "adapters that could not be folded in. Take an int8 method or bf16, or train it with `--method lora`."
        )
    return reopen_network(bundle)


def write_start(
    network: TextNetwork, bundle: Bundle, folder: Path, *, masks: Mapping[str, Tensor] | None = None
) -> Start:
    """Write a changed network where training can open it, and return what training goes on from.

    Parameters
    ----------
    network : changed
    bundle : whose it was; gives tokenizer and prefix
    folder : to make
    masks : as :class:`tapereader.training.trainer.Start` takes them
    """
    folder.mkdir(parents=True)
    backbone: Any = network.backbone
    with quiet():
        backbone.save_pretrained(folder)
    return replace(_start(network, bundle, folder), masks=masks or {})


def start_of(bundle: Bundle) -> Start:
    """Return a finished network, unchanged, as what training goes on from."""
    return _start(open_changeable(bundle), bundle, bundle.path / "model")


def _start(network: TextNetwork, bundle: Bundle, folder: Path) -> Start:
    for name in TOKENIZER_FILES:
        source = bundle.path / "model" / name
        if source.is_file() and not (folder / name).exists():
            shutil.copyfile(source, folder / name)
    backbone = Backbone(
        name=bundle.id, title=f"the network of bundle {bundle.id}",
        kind="decoder" if bundle.facts.pooling == "last" else "encoder",
        parameters=sum(parameter.numel() for parameter in network.backbone.parameters()), languages=(),
        licence="not stated", pretraining_cutoff=None, cutoff_note=UNKNOWN_CUTOFF, prefix=bundle.facts.prefix,
    )  # fmt: skip
    return Start(
        resolved=ResolvedBackbone(backbone=backbone, folder=folder, sha256=""),
        weight=network.head.weight.detach().clone(), bias=network.head.bias.detach().clone(),
    )  # fmt: skip


def recovery_recipe(bundle: Bundle, *, epochs: int, seed: int, threads: int | None) -> FinetuneConfig:
    """Return the recipe a bundle was trained with, made to repair it: every weight learns, for so many passes.

    Parameters
    ----------
    bundle : the parent
    epochs : passes over its training part
    seed, threads : of the run
    """
    stated = dict(bundle.manifest["config"].get("finetune", {}))
    stated |= {"epochs": epochs, "seed": seed, "threads": threads, "max_length": bundle.max_length}
    stated |= {"adapter": {}, "early_stopping_patience": None, "checkpoints": 0, "trackers": []}
    return FinetuneConfig.from_mapping(stated)
