"""A small file beside a backbone's weights that says what a Hugging Face folder cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

from tapereader.core.errors import BundleError
from tapereader.models.backbones.records import Backbone

CARD_NAME = "backbone.json"
_FIELDS = ("title", "languages", "licence", "pretraining_cutoff", "cutoff_note", "prefix")


def write_backbone_card(folder: Path, backbone: Backbone) -> None:
    """Write what must travel with the weights: licence, languages, cut-off, prefix.

    A network that went on learning has read later text than its parent: whoever wrote it states the later date here.
    """
    values = {
        "title": backbone.title,
        "languages": list(backbone.languages),
        "licence": backbone.licence,
        "pretraining_cutoff": backbone.pretraining_cutoff.isoformat() if backbone.pretraining_cutoff else None,
        "cutoff_note": backbone.cutoff_note,
        "prefix": backbone.prefix,
    }
    (folder / CARD_NAME).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_backbone_card(folder: Path, backbone: Backbone) -> Backbone:
    """Return the backbone with what the folder's card says; unchanged where there is no card.

    Raises
    ------
    BundleError
        If the card is damaged or lacks a field.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        return backbone
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        stated = values["pretraining_cutoff"]
        return replace(
            backbone,
            title=str(values["title"]),
            languages=tuple(str(code) for code in values["languages"]),
            licence=str(values["licence"]),
            pretraining_cutoff=None if stated is None else date.fromisoformat(stated),
            cutoff_note=str(values["cutoff_note"]),
            prefix=str(values["prefix"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} must hold {', '.join(_FIELDS)}; it is damaged ({error}). Restore it, or delete it to treat the "
            "backbone as one of unknown cut-off."
        ) from error
