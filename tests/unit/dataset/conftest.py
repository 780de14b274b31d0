from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tapereader.bundle.contract import LabelContract, TaskKind
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence


def _build(
    texts: Sequence[Any],
    labels: Sequence[Any],
    *,
    kind: TaskKind = "single-label",
    names: tuple[str, ...] = ("negative", "positive"),
    low: float | None = None,
    high: float | None = None,
    **columns: Any,
) -> LabelledText:
    card = DatasetCard(
        name="tape",
        title="Tape",
        task="sentiment",
        contract=LabelContract(kind=kind, names=names, low=low, high=high),
        language="en",
        licence=Licence(name="not stated", commercial_use=None),
        origin="made for a test",
    )
    label_column = pd.Series(list(labels), dtype=object if kind != "regression" else None)
    text_column = pd.Series(list(texts), dtype=object)
    frame = pd.DataFrame({"row": np.arange(1, len(texts) + 1), "text": text_column, "label": label_column, **columns})
    return LabelledText(card, frame)


@pytest.fixture(scope="session")
def build() -> Callable[..., LabelledText]:
    return _build
