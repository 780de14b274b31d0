"""What an optimisation is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tapereader.core.config import NOT_IDENTITY, Config, read_mapping
from tapereader.recipes.train_config import merge
from tapereader.training.pretraining.corpus import CorpusConfig

Method = Literal["int8-dynamic", "int8-static", "bf16", "prune", "drop-layers", "distil", "sparse"]


class PruneConfig(Config):
    """What goes out of every layer, for `prune`."""

    heads: float = Field(default=0.25, ge=0.0, lt=1.0)
    """Share of the attention heads."""
    width: float = Field(default=0.25, ge=0.0, lt=1.0)
    """Share of the inner neurons of the feed-forward layer."""


class DistilConfig(Config):
    """Who teaches whom, for `distil`; what is not named is the bundle itself."""

    teacher: str | None = Field(default=None, json_schema_extra=NOT_IDENTITY)
    """Folder of a bundle trained on the same rows, dealt the same way; may be an ensemble."""
    student: str | None = None
    """Backbone that learns from the beginning: registered name, Hugging Face folder, or hub id."""
    temperature: float = Field(default=2.0, gt=0.0)
    """Raw outputs of both are divided by it: above 1 the small probabilities are learnt too."""
    share: float = Field(default=0.7, ge=0.0, le=1.0)
    """Of the loss that is about the teacher's answers; the rest is about the labels."""
    transfer: CorpusConfig | None = None
    """Unlabelled text on which the student hears the teacher too; what is like a held-out row is left out."""


class OptimizeConfig(Config):
    """One smaller or faster bundle made of a finished one."""

    method: Method = "int8-dynamic"
    """`int8-dynamic` and `int8-static`: eight bits, with scales found while running or fixed on training text; `bf16`:
    weights kept in sixteen bits; `prune`: fewer heads and neurons in every layer; `drop-layers`: fewer layers;
    `distil`: taught by another network, or teaching one; `sparse`: weights of zero that take no room."""
    budget: float = Field(default=0.5, ge=0.0)
    """Points of macro-F1 (of quadratic kappa for ordered labels) that may be lost on the test part."""
    budget_r2: float = Field(default=0.01, ge=0.0)
    """R2 that may be lost where the answer is a number."""
    calibration_texts: int = Field(default=256, ge=1)
    """For eight bits: training texts on which is seen how large numbers become."""
    prune: PruneConfig = PruneConfig()
    """What `prune` takes out."""
    layers: int = Field(default=2, ge=1)
    """For `drop-layers`: how many go."""
    zeros: float = Field(default=0.5, gt=0.0, lt=1.0)
    """For `sparse`: share of every matrix that becomes zero."""
    importance_texts: int = Field(default=512, ge=1)
    """For `prune` and `drop-layers`: training texts on which it is measured what can go."""
    distil: DistilConfig = DistilConfig()
    """Who teaches whom."""
    epochs: int = Field(default=3, ge=1)
    """For all that is taught again: passes over the training part."""
    seed: int = Field(default=0, ge=0)
    """Of the texts drawn, of what is taught again, and of the intervals."""
    threads: int | None = Field(default=None, ge=1, json_schema_extra=NOT_IDENTITY)
    """Processor threads; None for all."""


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
