"""What an optimisation is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tapereader.core.config import NOT_IDENTITY, Config, read_mapping
from tapereader.recipes.train_config import merge

Method = Literal["int8-dynamic", "int8-static", "bf16"]


class OptimizeConfig(Config):
    """One smaller or faster bundle made of a finished one."""

    method: Method = "int8-dynamic"
    """`int8-dynamic` and `int8-static`: eight bits, with scales found while running or fixed on training text; `bf16`:
    weights kept in sixteen bits."""
    budget: float = Field(default=0.5, ge=0.0)
    """Points of macro-F1 (of quadratic kappa for ordered labels) that may be lost on the test part."""
    budget_r2: float = Field(default=0.01, ge=0.0)
    """R2 that may be lost where the answer is a number."""
    calibration_texts: int = Field(default=256, ge=1)
    """For `int8-static`: training texts on which scales are fixed."""
    seed: int = Field(default=0, ge=0)
    """Of the texts drawn and of the intervals."""
    threads: int | None = Field(default=None, ge=1, json_schema_extra=NOT_IDENTITY)
    """Processor threads of what is measured; None for all."""


def build_optimize_config(
    path: Path | None, *, values: dict[str, Any], overrides: tuple[str, ...] = ()
) -> OptimizeConfig:
    """Put a config together: the file, then options, then ``--set``.

    Parameters
    ----------
    path : YAML file or None
    values : options; None entries are left out
    overrides : ``a.b=value``
    """
    base = merge(read_mapping(path), values)
    return OptimizeConfig.from_mapping(read_mapping(None, overrides=overrides, base=base))
