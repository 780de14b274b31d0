"""From what a user writes, a name, a path or a hub id, to a folder that is on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tapereader.core.errors import ConfigError, MissingDataError
from tapereader.core.registry import Registry
from tapereader.models.backbones.card import read_backbone_card
from tapereader.models.backbones.cutoffs import HUB_FACTS, OLD_IDS
from tapereader.models.backbones.folders import inspect_folder
from tapereader.models.backbones.hub import find_on_hub, is_hub_id
from tapereader.models.backbones.records import UNKNOWN_CUTOFF, Backbone, ResolvedBackbone
from tapereader.models.weights import Progress, get_weights

DEFAULT_BACKBONE = "minilm"
_GROUP = "tapereader.backbones"


def backbone_names() -> tuple[str, ...]:
    """Return the registered names, sorted."""
    return Registry(_GROUP).names()


def find_backbone(name: str) -> Backbone:
    """Return a registered backbone, whether or not its weights are on this machine.

    Raises
    ------
    UnknownNameError
        With the known names and the nearest one.
    """
    found = Registry(_GROUP).find(name)
    if not isinstance(found, Backbone):
        raise ConfigError(f"A plug-in of {_GROUP} must be a Backbone; {name!r} is {type(found).__name__}.")
    return found


def resolve_backbone(
    name_or_path: str | Path,
    *,
    allow_download: bool = False,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> ResolvedBackbone:
    """Find a backbone on this machine, or bring it here when that is allowed.

    A registered name comes first, then a folder, then a hub id: ``minilm``, ``./my-model``, ``org/model`` (where no
    such folder exists), and old hub ids such as ``bert-base-uncased``. Weights are checked against their pinned
    hashes, are safetensors only, and no code that comes with a model is ever run.

    Parameters
    ----------
    name_or_path : what the user wrote
    allow_download : whether the network may be used for what is not here
    cache_dir : where ready weights are kept, or None for the user's cache
    progress : told how a download goes, or None

    Raises
    ------
    UnknownNameError
        If it is no name, folder or hub id; with the nearest name.
    MissingDataError
        If it is not on this machine; says how to get it, also without a network.
    BundleError
        If the folder is damaged, has another hash, or is no supported network.
    """
    text = str(name_or_path)
    if not text.strip() or "\0" in text:
        raise ConfigError(f"A backbone must be a name, a folder or a hub id; got {text!r}.")
    if isinstance(name_or_path, str) and text in backbone_names():
        return _registered(find_backbone(text), allow_download, cache_dir, progress)
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(path.resolve(), name=path.resolve().name)
    if isinstance(name_or_path, Path) or text.startswith(("/", ".", "~")):
        raise MissingDataError(f"A backbone's folder must exist; got {text!r}.")
    if text in OLD_IDS or is_hub_id(text):
        return _on_hub(OLD_IDS.get(text, text), allow_download)
    if "/" in text:
        raise ConfigError(f"A backbone must be a name, a folder or a hub id `owner/name`; got {text!r}.")
    find_backbone(text)  # raises, with the nearest name
    raise AssertionError(text)  # a registered name was handled above


def _registered(
    backbone: Backbone, allow_download: bool, cache_dir: Path | None, progress: Progress | None
) -> ResolvedBackbone:
    if backbone.source is None:
        raise ConfigError(f"The backbone {backbone.name!r} must state where its weights come from; `source` is None.")
    folder = get_weights(backbone.source, cache_dir=cache_dir, progress=progress, allow_download=allow_download)
    stated = dict(backbone.source.pinned).get("model.safetensors")
    return ResolvedBackbone(
        backbone=backbone, folder=folder, sha256=stated if stated is not None else inspect_folder(folder).sha256
    )


def _folder(folder: Path, *, name: str) -> ResolvedBackbone:
    facts = inspect_folder(folder)
    backbone = Backbone(
        name=name,
        title=f"{name} ({facts.model_type})",
        kind=facts.kind,
        parameters=facts.parameters,
        languages=(),
        licence="not stated",
        pretraining_cutoff=None,
        cutoff_note=UNKNOWN_CUTOFF,
        max_tokens=facts.max_tokens,
    )
    return ResolvedBackbone(backbone=read_backbone_card(folder, backbone), folder=folder, sha256=facts.sha256)


def _on_hub(hub_id: str, allow_download: bool) -> ResolvedBackbone:
    folder, revision = find_on_hub(hub_id, allow_download=allow_download)
    found = replace(_folder(folder, name=hub_id), revision=revision)
    known = HUB_FACTS.get(hub_id)
    if known is None:
        return found
    backbone = replace(
        found.backbone,
        title=hub_id,
        languages=known.languages,
        licence=known.licence,
        pretraining_cutoff=known.cutoff,
        cutoff_note=known.note,
    )
    return replace(found, backbone=backbone)
