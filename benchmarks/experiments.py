"""What is measured on text: data sets, recipes and folds. Run a part: ``python benchmarks/text_sets.py NAME``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tapereader.models.adapters import AdapterConfig
from tapereader.training.trainer import FinetuneConfig


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of a table: a recipe on a data set, over folds.

    Parameters
    ----------
    name : folder of its cells
    dataset : named data set
    config : the recipe
    folds : test folds in all; each is a cell
    measure_folds : how many of them are measured, from the first; fewer where one takes long, and the table says so
    official : the authors' split to use instead of folds, as published (``published``) and without the texts its test
        part shares with its training part (``distinct``)
    baselines : fitted beside it
    """

    name: str
    dataset: str
    config: FinetuneConfig
    folds: int = 5
    measure_folds: int = 5
    official: str | None = None
    overlap: Literal["published", "distinct"] = "distinct"
    baselines: tuple[str, ...] = ("majority", "word-list", "tfidf", "frozen-embedding")
    extra: dict[str, Any] = field(default_factory=dict)


def _fast(language: str = "en", **changes: Any) -> FinetuneConfig:
    return FinetuneConfig.for_profile("fast", language=language, **changes)


def _quality(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig.for_profile("quality", **changes)


PHRASEBANK = (
    Experiment(name="phrasebank-50-fast", dataset="financial-phrasebank", config=_fast(), folds=10, measure_folds=10),
    Experiment(
        name="phrasebank-100-fast", dataset="financial-phrasebank-all-agree", config=_fast(), folds=10, measure_folds=10
    ),
    Experiment(name="phrasebank-50-quality", dataset="financial-phrasebank", config=_quality(), baselines=()),
    Experiment(
        name="phrasebank-100-quality", dataset="financial-phrasebank-all-agree", config=_quality(), baselines=()
    ),
)
SETS = (
    Experiment(name="fomc-stance", dataset="fomc-stance", config=_fast()),
    Experiment(name="semeval2017", dataset="semeval2017-headlines", config=_fast(epochs=5)),
    Experiment(name="gold-news", dataset="gold-news", config=_fast(max_length=64), measure_folds=1),
    Experiment(name="stockemotions", dataset="stockemotions", config=_fast(max_length=64), measure_folds=1),
    Experiment(name="cn-finnsp", dataset="cn-finnsp", config=_fast("zh"), measure_folds=1),
    Experiment(name="cn-finfe", dataset="cn-finfe", config=_fast("zh"), measure_folds=1),
    Experiment(name="cn-finese", dataset="cn-finese", config=_fast("zh"), measure_folds=1),
    Experiment(name="fomc-stance-quality", dataset="fomc-stance", config=_quality(), baselines=(), measure_folds=1),
    Experiment(name="fomc-5768-distinct", dataset="fomc-stance", config=_fast(), official="5768"),
    Experiment(name="fomc-5768-published", dataset="fomc-stance", config=_fast(), official="5768", overlap="published"),
    Experiment(name="cn-finfe-distinct", dataset="cn-finfe", config=_fast("zh"), official="published"),
    Experiment(
        name="cn-finfe-published", dataset="cn-finfe", config=_fast("zh"), official="published", overlap="published"
    ),
)
#: Every way of learning, on one fold of one set.
METHODS = tuple(
    Experiment(
        name="methods",
        dataset="financial-phrasebank",
        config=_fast(epochs=epochs, adapter=adapter),
        folds=10,
        measure_folds=1,
        baselines=(),
        extra={"method": label},
    )
    for label, adapter, epochs in (
        ("full, embeddings frozen", AdapterConfig(method="full"), 3),
        ("full", AdapterConfig(method="full", freeze_embeddings=False), 3),
        ("head only", AdapterConfig(method="head"), 30),
        ("top 3 layers", AdapterConfig(method="top-k", layers=3), 3),
        ("gradual unfreezing", AdapterConfig(method="gradual"), 3),
        ("LoRA", AdapterConfig(method="lora"), 3),
        ("AdaLoRA", AdapterConfig(method="adalora"), 3),
        ("IA3", AdapterConfig(method="ia3"), 6),
        ("prefix", AdapterConfig(method="prefix"), 6),
        ("prompt", AdapterConfig(method="prompt"), 6),
        ("bottleneck (Houlsby)", AdapterConfig(method="bottleneck"), 3),
    )
)
ALL = (*PHRASEBANK, *SETS, *METHODS)
