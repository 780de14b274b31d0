"""Unlabelled text on which a student hears its teacher, beside the rows both learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tapereader.bundle import LabelContract
from tapereader.core.errors import ConfigError
from tapereader.engine import Engine
from tapereader.sources import LabelledText
from tapereader.training.pretraining.corpus import CorpusConfig, build_corpus
from tapereader.training.pretraining.overlap import overlaps


@dataclass(frozen=True, eq=False, kw_only=True)
class Transfer:
    """What a student learns from.

    Parameters
    ----------
    rows : the training part, then unlabelled texts with the teacher's own answers in the place of labels
    said : where those came from and what was left out, in words for the card
    licences : terms of each source
    """

    rows: LabelledText
    said: str
    licences: tuple[dict[str, Any], ...]


def with_transfer(
    train: LabelledText, config: CorpusConfig, teacher: Engine, held_out: Sequence[str], *, seed: int,
    root: Path | None = None,
) -> Transfer:  # fmt: skip
    """Read unlabelled text, leave out what is like a held-out text, and put the teacher's answers beside the rest.

    Parameters
    ----------
    train : the training part
    config : which text
    teacher : answers the text
    held_out : texts of the validation and test parts, and near-copies of them, from which nothing may be learnt
    seed : of the draw
    root : folder of named sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If the bundle asks about a second text, or nothing is left.
    """
    if train.pairs is not None:
        raise ConfigError(
            "A student that is asked about a named target cannot learn from unlabelled text: it names none. Leave "
            "`distil.transfer` out."
        )
    corpus = build_corpus(config, seed=seed, root=root)
    texts = [*corpus.train, *corpus.held_out]  # no loss is measured here, so nothing is kept away
    like = overlaps(texts, [*held_out, *train.texts], threshold=config.near_duplicates, seed=seed, sentences=True)
    texts = [text for text, hit in zip(texts, like, strict=True) if not hit]
    if not texts:
        raise ConfigError("Some text must be unlike the rows that are judged or learnt from; all of it is like them.")
    added = pd.DataFrame({
        "row": np.arange(len(train) + 1, len(train) + 1 + len(texts)),
        "text": texts,
        "label": _labels(teacher, texts),
    })  # fmt: skip
    frame = pd.concat([train.frame[["row", "text", "label"]], added], ignore_index=True)
    names = ", ".join(f"`{source.name}` ({source.used:,})" for source in corpus.sources)
    left_out = int((like > 0).sum())
    return Transfer(
        rows=LabelledText(train.card, frame),
        said=f"It also heard the teacher on {len(texts):,} unlabelled texts from {names}; {left_out:,} like a row that "
        "is learnt from or judged were left out. Their labels are the teacher's own answers.",
        licences=tuple(
            {"of": source.name, "name": source.licence.name, "commercial_use": source.licence.commercial_use,
             "source": source.licence.source}
            for source in corpus.sources
        ),
    )  # fmt: skip


def _labels(teacher: Engine, texts: Sequence[str]) -> pd.Series[Any]:
    contract: LabelContract = teacher.bundle.contract
    found = teacher.predict(texts)
    if contract.kind == "regression":
        return pd.Series([one.value for one in found], dtype=float)
    if contract.kind == "multi-label":
        return pd.Series([tuple(filter(None, one.label.split("|"))) for one in found], dtype=object)
    return pd.Series([one.label for one in found], dtype=object)
