"""How the parts of a search's configuration are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tapereader.core.config import read_mapping
from tapereader.recipes.search import SearchRunConfig
from tapereader.recipes.train_config import merge, over_profile


def build_config(
    path: Path | None, *, profile: Literal["fast", "quality"], values: dict[str, Any], overrides: tuple[str, ...] = ()
) -> SearchRunConfig:
    """Put a config together: the profile's recipe, then the file, then options, then ``--set``.

    Parameters
    ----------
    path : YAML file with ``train`` and ``search``, or None
    profile : recipe the search starts from; the language decides which backbone it takes
    values : options as nested plain values; None entries are left out
    overrides : ``a.b=value``
    """
    asked = merge(read_mapping(path), values)
    if isinstance(asked.get("train"), dict):
        asked["train"] = over_profile(asked["train"], profile=profile)
    return SearchRunConfig.from_mapping(read_mapping(None, overrides=overrides, base=asked))
