"""Which split a run uses, as configuration."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tapereader.core.config import Config
from tapereader.dataset.documents import NearDuplicates, near_duplicate_groups
from tapereader.dataset.official import official_split, without_overlap
from tapereader.dataset.parts import Split, split_groups
from tapereader.dataset.splits import train_validation_test, with_validation
from tapereader.dataset.timesplit import time_split
from tapereader.sources.labelled import LabelledText


class SplitConfig(Config):
    """How rows are dealt into train, validation and test."""

    kind: Literal["stratified", "time", "official"] = "stratified"
    """At random and stratified, by `known_at`, or as the authors published it; near-copies stay together in all."""
    official: str | None = None
    """Name of the authors' split, for `official`; None takes the first."""
    validation: float = Field(default=0.1, gt=0.0, lt=0.5)
    """Share of the rows that calibrates and chooses; of the training rows for an authors' split without one."""
    test: float = Field(default=0.1, gt=0.0, lt=0.9)
    """Share of the rows that is answered once, at the end; an authors' split has its own."""
    near_duplicates: float = Field(default=0.8, gt=0.0, le=1.0)
    """Jaccard similarity from which two texts are near-copies and may not stand on two sides of a split."""
    seed: int = Field(default=0, ge=0)
    """Of the dealing; the model has a seed of its own."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.official is not None and self.kind != "official":
            raise ValueError(f"`official` names an authors' split; it goes with kind 'official', got {self.kind!r}")
        if self.validation + self.test >= 1.0:
            raise ValueError("`validation` and `test` must leave rows to train on")
        return self


def find_near_duplicates(labelled: LabelledText, config: SplitConfig) -> NearDuplicates:
    """Group the near-copies among the texts."""
    return near_duplicate_groups(labelled.texts, threshold=config.near_duplicates)


def find_groups(labelled: LabelledText, config: SplitConfig) -> NDArray[np.int64]:
    """Return the groups of rows that are no evidence apart: near-copies, joined with the set's own ``group`` column.

    One answer for everything that must not count a row twice: the split, the baselines' inner choices, the intervals,
    the paired tests and the calibration.

    Parameters
    ----------
    labelled : N rows
    config : its ``near_duplicates`` is the similarity from which texts are near-copies

    Returns
    -------
    int array (N,), numbered 0..n-1
    """
    return split_groups(labelled, find_near_duplicates(labelled, config).groups)


def choose_split(labelled: LabelledText, config: SplitConfig, groups: NDArray[np.int64]) -> Split:
    """Return the split a config asks for.

    An authors' split is used without the training rows that its test rows repeat.

    Parameters
    ----------
    labelled : N rows
    config : which split
    groups : of :func:`find_groups`, int array (N,)
    """
    train = 1.0 - config.validation - config.test
    if config.kind == "time":
        return time_split(labelled, fractions=(train, config.validation, config.test), groups=groups)
    if config.kind == "official":
        names = [c.removeprefix("official_") for c in labelled.frame.columns if c.startswith("official_")]
        name = config.official or (names[0] if names else "")
        split = without_overlap(labelled, official_split(labelled, name, groups=groups), groups=groups)
        if len(split.validation):
            return split
        return with_validation(labelled, split, fraction=config.validation, seed=config.seed, groups=groups)
    return train_validation_test(
        labelled, fractions=(train, config.validation, config.test), seed=config.seed, groups=groups
    )
