"""The verbs `models list`, `models get` and `models describe`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from tapereader.core.errors import BundleError
from tapereader.models.backbones import (
    DEFAULT_BACKBONE,
    HUB_FACTS,
    Backbone,
    backbone_names,
    find_backbone,
    resolve_backbone,
)
from tapereader.models.weights import Progress, WeightsSource, find_weights

#: ``ready``: checked and usable now; ``absent``: `models get` brings it; ``damaged``: a file lost its hash.
ModelState = Literal["ready", "absent", "damaged"]


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One registered backbone and whether its weights are on this machine.

    Parameters
    ----------
    name, title, kind, parameters, languages, licence : as the backbone states them
    pretraining_cutoff, cutoff_note : how late the text it has read can be, and how that is known
    default : True for the one used when none is named
    state : whether it is ready
    folder : where it lies, or None
    download_bytes : what `models get` would fetch; 0 when ready
    problem : what is wrong with a damaged one; empty otherwise
    """

    name: str
    title: str
    kind: str
    parameters: int
    languages: tuple[str, ...]
    licence: str
    pretraining_cutoff: date | None
    cutoff_note: str
    default: bool
    state: ModelState
    folder: Path | None
    download_bytes: int
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """Everything known of one backbone that is on this machine.

    Parameters
    ----------
    backbone : what it is
    folder : where it lies
    sha256 : of its weights
    revision : commit on the hub, or None
    disk_bytes : size of the folder's files
    licence_note : where the licence is stated; empty where nothing is known
    files : names in the folder
    """

    backbone: Backbone
    folder: Path
    sha256: str
    revision: str | None
    disk_bytes: int
    licence_note: str
    files: tuple[str, ...]


def list_models(*, cache_dir: Path | None = None) -> list[ModelRow]:
    """Return every registered backbone, the default first; uses no network and changes nothing."""
    rows = [_row(find_backbone(name), cache_dir) for name in backbone_names()]
    return sorted(rows, key=lambda row: (not row.default, row.name))


def list_hub_cutoffs() -> dict[str, tuple[date, str]]:
    """Return the curated table of hub ids: id to the latest day of its text and where that comes from."""
    return {name: (facts.cutoff, facts.note) for name, facts in sorted(HUB_FACTS.items())}


def get_model(name: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> ModelDescription:
    """Bring a backbone's weights to this machine, check them, and describe them.

    Parameters
    ----------
    name : a registered name or a hub id
    cache_dir : where to keep weights of registered backbones, or None for the user's cache
    progress : called with a stage, bytes done and bytes in all

    Raises
    ------
    UnknownNameError, MissingDataError, BundleError, DataError
        As ``resolve_backbone`` and ``get_weights`` do.
    """
    return _describe(name, cache_dir=cache_dir, progress=progress, allow_download=True)


def describe_model(name_or_path: str | Path, *, cache_dir: Path | None = None) -> ModelDescription:
    """Describe a backbone that is on this machine: a name, a folder, or a hub id in the local cache.

    Raises
    ------
    UnknownNameError, MissingDataError, BundleError
        As ``resolve_backbone`` does.
    """
    return _describe(name_or_path, cache_dir=cache_dir, progress=None, allow_download=False)


def _describe(
    name_or_path: str | Path, *, cache_dir: Path | None, progress: Progress | None, allow_download: bool
) -> ModelDescription:
    found = resolve_backbone(name_or_path, allow_download=allow_download, cache_dir=cache_dir, progress=progress)
    files = sorted(path for path in found.folder.iterdir() if path.is_file())
    source: WeightsSource | None = found.backbone.source
    return ModelDescription(
        backbone=found.backbone,
        folder=found.folder,
        sha256=found.sha256,
        revision=found.revision,
        disk_bytes=sum(path.stat().st_size for path in files),
        licence_note=source.licence_note if source is not None else "",
        files=tuple(path.name for path in files),
    )


def _row(backbone: Backbone, cache_dir: Path | None) -> ModelRow:
    folder, problem = None, ""
    try:
        folder = find_weights(backbone.source, cache_dir=cache_dir) if backbone.source is not None else None
        state: ModelState = "absent" if folder is None else "ready"
    except BundleError as error:
        state, problem = "damaged", str(error)
    return ModelRow(
        name=backbone.name,
        title=backbone.title,
        kind=backbone.kind,
        parameters=backbone.parameters,
        languages=backbone.languages,
        licence=backbone.licence,
        pretraining_cutoff=backbone.pretraining_cutoff,
        cutoff_note=backbone.cutoff_note,
        default=backbone.name == DEFAULT_BACKBONE,
        state=state,
        folder=folder,
        download_bytes=0 if state == "ready" or backbone.source is None else backbone.source.download_bytes,
        problem=problem,
    )
