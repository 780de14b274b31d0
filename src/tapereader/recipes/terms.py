"""On what terms a backbone may be used, with the terms of everything it was made from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tapereader.core.errors import BundleError
from tapereader.models.backbones import ResolvedBackbone

#: Licences that allow commercial use, as SPDX writes them; any other name says nothing by itself.
_PERMISSIVE = frozenset({
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC BY 4.0", "CC0", "CC0-1.0", "CC0 1.0", "ISC", "MIT",
})  # fmt: skip
_FORBIDDING = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_MANIFEST = "manifest.json"


def allows_commercial_use(licence: str) -> bool | None:
    """Say whether a licence allows commercial use, by its name alone; None where the name does not tell.

    Examples
    --------
    >>> [allows_commercial_use(name) for name in ("Apache-2.0", "CC BY-NC 4.0", "Gemma terms of use")]
    [True, False, None]
    """
    if _FORBIDDING.search(licence):
        return False
    return True if licence in _PERMISSIVE else None


def backbone_terms(resolved: ResolvedBackbone) -> tuple[dict[str, Any], ...]:
    """Return the terms of a backbone as a manifest holds them: its own, then those of what it was made from.

    A backbone that `pretrain` wrote, or the network inside a bundle, has a manifest with the terms of the text it
    learnt from and of its own parents: they bind whatever is made from it. Where one of them forbids commercial use,
    so does the backbone.

    Parameters
    ----------
    resolved : a backbone on this machine

    Raises
    ------
    BundleError
        If its manifest is damaged: terms that cannot be read must not pass for none.
    """
    backbone = resolved.backbone
    inherited = _inherited(resolved)
    stated = allows_commercial_use(backbone.licence)
    known = [stated, *(item.get("commercial_use") for item in inherited)]
    allowed = False if False in known else None if None in known else True
    own = {"of": backbone.name, "name": backbone.licence, "commercial_use": allowed, "source": backbone.title}
    return (own, *(item for item in inherited if item != own))


def without_repeats(licences: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the terms in their order, each once.

    Examples
    --------
    >>> without_repeats([{"of": "a"}, {"of": "b"}, {"of": "a"}])
    ({'of': 'a'}, {'of': 'b'})
    """
    return tuple(item for at, item in enumerate(licences) if item not in licences[:at])


def _inherited(resolved: ResolvedBackbone) -> tuple[dict[str, Any], ...]:
    folder = resolved.folder
    # `pretrain` writes its manifest beside the weights; a bundle holds them in a folder of their own.
    path = folder.parent / _MANIFEST if folder.name == "model" else folder / _MANIFEST
    if not path.is_file():
        return ()
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{str(path)!r} must hold the terms of what the backbone was made from; it is damaged ({error}). "
            "Restore it."
        ) from error
    manifest = stated.get("manifest") if isinstance(stated, dict) else None
    if not isinstance(manifest, dict) or manifest.get("kind") not in ("optimize", "pretrain", "train"):
        return ()  # somebody else's file of that name
    licences = manifest.get("licences")
    if not isinstance(licences, list) or not all(isinstance(item, dict) and "name" in item for item in licences):
        raise BundleError(f"`licences` in {str(path)!r} must be a list of terms; got {licences!r}. Restore the file.")
    return tuple(
        {
            "of": str(item.get("of", "unknown")), "name": str(item["name"]),
            "commercial_use": item.get("commercial_use"), "source": str(item.get("source", "")),
        }
        for item in licences
    )  # fmt: skip
