"""A text is scored once; every later step, in any batch, on any backend, in any process, reads the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tapereader.bundle.calibration import FloatArray
from tapereader.core.errors import DataError
from tapereader.core.records import Prediction
from tapereader.engine import Engine
from tapereader.recipes.predict import predict
from tapereader.recipes.stored import StoredAnswers
from tapereader.store import PredictionStore

TEXTS = ["profit rose strong", "loss fell weak warning", "profit rose strong", "sales flat in the quarter"]


class Counting:
    """An engine that notes what it is asked."""

    backend = "onnxruntime"

    def __init__(self, engine: Engine) -> None:
        self.engine, self.bundle = engine, engine.bundle
        self.asked: list[str] = []

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, skip_empty: bool
    ) -> Sequence[Prediction | None]:
        self.asked += list(texts)
        return self.engine.predict(texts, pairs, skip_empty=skip_empty)

    def intervals(self, values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        return self.engine.intervals(values)


def test_a_text_is_computed_once_and_read_ever_after(tiny_bundle: Path, tmp_path: Path) -> None:
    engine = Counting(Engine(tiny_bundle))
    with PredictionStore.open(tmp_path / "store.db") as store:
        answers = StoredAnswers(engine, store)
        first = answers.predict(TEXTS, skip_empty=False)
        assert engine.asked == ["profit rose strong", "loss fell weak warning", "sales flat in the quarter"]
        assert first[0] == first[2]
        engine.asked.clear()
        assert list(reversed(answers.predict(TEXTS[::-1], skip_empty=False))) == list(first)
        assert engine.asked == []
        assert answers.n_stored == 4
    with PredictionStore.open(tmp_path / "store.db") as store:
        assert StoredAnswers(engine, store).predict(TEXTS, skip_empty=False) == first
    assert list(first) == Engine(tiny_bundle).predict(TEXTS)


def test_what_is_kept_wins_over_what_would_be_computed_now(tiny_bundle: Path, tmp_path: Path) -> None:
    engine = Engine(tiny_bundle)
    told = engine.predict(TEXTS[:1])[0]
    kept = Prediction(
        text_hash=told.text_hash, bundle_id=told.bundle_id, label=told.label, probabilities=(0.2, 0.3, 0.5)
    )
    with PredictionStore.open(tmp_path / "store.db") as store:
        store.keep([kept], backend="openvino", made_at=datetime(2026, 1, 2, tzinfo=UTC))
        assert StoredAnswers(engine, store).predict(TEXTS[:1], skip_empty=False) == [kept]


def test_texts_without_words_are_skipped_or_refused_and_never_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    with PredictionStore.open(tmp_path / "store.db") as store:
        answers = StoredAnswers(Engine(tiny_bundle), store)
        found = answers.predict(["profit rose", " ", "profit rose"], skip_empty=True)
        assert [one is None for one in found] == [False, True, False]
        assert store.count() == 1
        with pytest.raises(DataError, match="the text is empty"):
            answers.predict(["profit rose", " "], skip_empty=False)


def test_a_table_from_the_store_has_the_bytes_of_one_without(tiny_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    pd.DataFrame({"text": [*TEXTS, "debt record"] * 20}).to_csv(source, index=False)
    predict(tiny_bundle, input=source, output=tmp_path / "plain.csv")
    with PredictionStore.open(tmp_path / "store.db") as store:
        first = predict(tiny_bundle, input=source, output=tmp_path / "first.csv", store=store, batch_rows=16)
        again = predict(tiny_bundle, input=source, output=tmp_path / "again.csv", store=store, batch_rows=7)
        assert store.count() == 4
    assert (first["rows"], again["stored_rows"]) == (100, 100)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
