"""What every registered source must do, ours or a stranger's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapereader.core.registry import Registry
from tapereader.sources import DatasetCard, LabelledText, corpus_names, dataset_names, describe, describe_corpus

REGISTRY = Registry("tapereader.sources")
LABELLED, CORPORA = dataset_names(), corpus_names()
#: A data set made by a program needs no folder; the others are read from the real one.
SYNTHETIC = tuple(name for name in LABELLED if describe(name).synthetic)


@pytest.fixture(scope="module")
def loaded() -> dict[str, LabelledText]:
    """Keep what was loaded, so that the checks below read each set once."""
    return {}


def load(name: str, request: pytest.FixtureRequest) -> LabelledText:
    cache = request.getfixturevalue("loaded")
    if name not in cache:
        # Made sets must come from an empty place; the others skip here where there is no data.
        root = Path("/nonexistent") if name in SYNTHETIC else request.getfixturevalue("data_root")
        cache[name] = REGISTRY.find(name).load(root)
    return cache[name]


def test_there_are_sources_of_every_sort() -> None:
    assert LABELLED
    assert CORPORA
    assert SYNTHETIC
    assert set(LABELLED) | set(CORPORA) == set(REGISTRY.names())


@pytest.mark.parametrize("name", REGISTRY.names())
def test_its_name_is_lower_case_words_with_hyphens(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@pytest.mark.parametrize("name", LABELLED)
def test_its_card_is_there_without_its_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEREADER_DATA", raising=False)
    card = describe(name)
    assert isinstance(card, DatasetCard)
    assert card.name == name
    assert card.title.strip()
    assert card.licence.name.strip()
    assert card.origin.strip()
    assert card.task.strip()


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_states_its_name_and_licence(name: str) -> None:
    card: Any = describe_corpus(name)
    assert card.name == name
    assert card.licence.name.strip()


@pytest.mark.parametrize("name", LABELLED)
def test_its_rows_keep_its_contract(name: str, request: pytest.FixtureRequest) -> None:
    data = load(name, request)
    assert data.card.contract == describe(name).contract
    assert len(data) > 100
    assert all(isinstance(text, str) for text in data.texts)
    assert data.frame["row"].is_unique
    assert data.frame["row"].min() >= 1
    targets = data.targets()
    assert len(targets) == len(data)
    assert np.isfinite(targets).all()
    contract = data.card.contract
    if contract.kind in ("single-label", "ordinal"):
        assert set(np.unique(targets)) == set(range(len(contract.names)))
    if contract.kind == "regression" and contract.low is not None and contract.high is not None:
        assert contract.low <= targets.min() <= targets.max() <= contract.high


@pytest.mark.parametrize("name", LABELLED)
def test_its_times_are_utc_and_its_splits_have_the_agreed_names(name: str, request: pytest.FixtureRequest) -> None:
    frame = load(name, request).frame
    if "known_at" in frame.columns:
        assert str(frame["known_at"].dt.tz) == "UTC"
    for split in describe(name).official_splits:
        assert set(frame[f"official_{split}"].dropna()) <= {"train", "validation", "test"}


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_made_set_is_the_same_twice(name: str, request: pytest.FixtureRequest) -> None:
    assert REGISTRY.find(name).load(Path("/nonexistent")).id == load(name, request).id
