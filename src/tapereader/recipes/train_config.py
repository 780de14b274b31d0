"""What a training is asked to do, and how the parts of a config are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tapereader.bundle import TaskKind
from tapereader.core.config import NOT_IDENTITY, Config, read_mapping
from tapereader.core.errors import ConfigError
from tapereader.dataset.choice import SplitConfig
from tapereader.sources import dataset_names, describe
from tapereader.training.experiment import JudgingConfig
from tapereader.training.trainer import FinetuneConfig


class FileColumns(Config):
    """How to read a file of one's own; a named data set takes none of it."""

    text: str | None = None
    """Column of the text."""
    label: str | None = None
    """Column of the label or number."""
    pair: str | None = None
    """Column of the named target, for sentiment towards it."""
    time: str | None = None
    """Column of the time at which the text was known."""
    group: str | None = None
    """Rows with one value here stay on one side of a split."""
    task_kind: TaskKind | None = None
    """Kind of answer; None infers it."""
    labels: tuple[str, ...] | None = None
    """Label names in the order of the outputs; None sorts them."""
    language: Literal["en", "zh", "mixed", "unknown"] | None = None
    """Language of the text."""
    encoding: str | None = None
    """Of a text file; None demands UTF-8 or a byte-order mark."""


class TrainConfig(Config):
    """One training, from rows to bundle."""

    dataset: str
    """Name from `tapereader data list`, or a CSV, Parquet or JSONL file."""
    columns: FileColumns = FileColumns()
    """How to read a file of one's own."""
    split: SplitConfig = SplitConfig()
    """How rows are dealt into train, validation and test."""
    finetune: FinetuneConfig = FinetuneConfig()
    """The recipe."""
    judging: JudgingConfig = JudgingConfig()
    """What is decided on held-out text, and what the model is shown beside."""
    answer: Literal["labels", "words"] = "labels"
    """`words` teaches a decoder or encoder-decoder to say the label; what it says else is `unparsed`."""
    question: str | None = None
    """Asked of every text where the answer is in words; None takes the task's own."""
    int8: bool = True
    """Ship the network in eight bits too, for faster answers, where it answers as the one in float does."""
    title: str | None = Field(default=None, json_schema_extra=NOT_IDENTITY)
    """Of the model card; None makes one from backbone and data set."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.question is not None and self.answer != "words":
            raise ValueError(f"`question` is asked where the answer is in words; got `answer` {self.answer!r}")
        return self


def build_config(
    path: Path | None, *, profile: Literal["fast", "quality"], values: dict[str, Any], overrides: tuple[str, ...] = ()
) -> TrainConfig:
    """Put a config together: the profile's recipe, then the file, then options, then ``--set``.

    Parameters
    ----------
    path : YAML file or None
    profile : recipe to start from; the language decides which backbone it takes
    values : options as nested plain values; None entries are left out
    overrides : ``a.b=value``
    """
    asked = over_profile(merge(read_mapping(path), values), profile=profile)
    return TrainConfig.from_mapping(read_mapping(None, overrides=overrides, base=asked))


def over_profile(asked: dict[str, Any], *, profile: Literal["fast", "quality"]) -> dict[str, Any]:
    """Return what was asked of a training, unchecked, with a profile's recipe below it.

    Parameters
    ----------
    asked : fields of ``TrainConfig`` as nested plain values
    profile : recipe to start from; the language decides which backbone it takes
    """
    recipe = FinetuneConfig.for_profile(profile, language=_language_of(asked)).model_dump(mode="json")
    return merge({"finetune": recipe}, asked)


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, level by level; None leaves what was there.

    Raises
    ------
    ConfigError
        If a value stands where fields are laid over it.

    Examples
    --------
    >>> merge({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    out = dict(base)
    for name, value in changes.items():
        if isinstance(value, dict):
            inner = {} if out.get(name) is None else out[name]
            if not isinstance(inner, dict):
                raise ConfigError(f"`{name}` must hold fields of its own, as `field: value` lines; got {inner!r}.")
            out[name] = merge(inner, value)
        elif value is not None:
            out[name] = value
    return out


def portable(config: TrainConfig) -> TrainConfig:
    """Return the config without this machine's folders: a file is named by its last part."""
    path = Path(config.dataset)
    backbone = Path(config.finetune.backbone)
    changes: dict[str, Any] = {}
    if path.is_absolute():
        changes["dataset"] = path.name
    if backbone.is_absolute():
        changes["finetune"] = config.finetune.replace(backbone=backbone.name)
    return config.replace(**changes) if changes else config


def _language_of(asked: dict[str, Any]) -> str:
    name = asked.get("dataset")
    if name in dataset_names():
        return describe(name).language
    return str((asked.get("columns") or {}).get("language") or "en")
