"""A trained bundle ships its network in eight bits where that answers as the one in float does, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.recipes.test_train import asked, write_rows
from tests.tiny_models import write_model

from tapereader.bundle.folder import INT8
from tapereader.engine import Engine
from tapereader.engine.backends import default_backend, has_exact_int8, processor_flags
from tapereader.recipes import eight_bits
from tapereader.recipes.train import train
from tapereader.training.compress import int8

exact = pytest.mark.skipif(not has_exact_int8(processor_flags()), reason="this processor cannot sum eight bits exactly")
TEXTS = ["acme profit rose", "globex shares fell in the quarter", "the board meeting"] * 4


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def made(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shipped")
    return train(asked(bert, write_rows(folder / "rows.csv", n=600)), folder / "bundle")


@exact
def test_it_answers_by_default_and_is_what_was_scored(made: Any) -> None:
    assert made.bundle.ships_int8
    assert made.facts["int8"]["agreement"] >= 0.995
    assert made.facts["int8"]["n"] == 240
    engine = Engine(made.bundle)
    assert engine.backend == "onnxruntime-int8"
    gap = np.abs(engine.outputs(TEXTS) - Engine(made.bundle, backend="onnxruntime").outputs(TEXTS)).max()
    assert 0 < gap < 0.1
    said = "The network in eight bits answers where nobody names a backend"
    assert said in made.bundle.card
    assert said in made.report.read_text(encoding="utf-8")


@exact
def test_a_processor_that_cannot_sum_exactly_gets_the_network_in_float(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert default_backend(made.bundle, ["avx2"]) == "onnxruntime"
    assert default_backend(made.bundle, ["avx2", "avx512_vnni"]) == "onnxruntime-int8"


@exact
def test_one_that_answers_otherwise_is_not_shipped(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = int8.columns_to_int8
    monkeypatch.setattr(int8, "columns_to_int8", lambda matrix, **options: real(matrix[::-1].copy(), **options))
    found = train(asked(bert, write_rows(tmp_path / "rows.csv", n=600)), tmp_path / "bundle")
    assert not found.bundle.ships_int8
    assert not (found.bundle.path / INT8).exists()
    assert "it agrees with its parent on" in found.facts["int8"]["why"]
    assert Engine(found.bundle).backend == "onnxruntime"
    assert "In eight bits it is not shipped: it " in found.bundle.card


def test_too_few_rows_to_judge_it_on(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eight_bits, "has_exact_int8", lambda _flags: True)
    found = train(asked(bert, write_rows(tmp_path / "rows.csv")), tmp_path / "bundle")
    assert found.facts["int8"] == {
        "shipped": False, "why": "it is judged on at least 200 held-out rows, and there are 24"
    }  # fmt: skip


def test_a_processor_without_exact_sums_judges_nothing(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eight_bits, "has_exact_int8", lambda _flags: False)
    found = train(asked(bert, write_rows(tmp_path / "rows.csv", n=600)), tmp_path / "bundle")
    assert "cannot sum products of eight bits exactly" in found.facts["int8"]["why"]


def test_it_is_left_out_on_request(bert: Path, tmp_path: Path) -> None:
    found = train(asked(bert, write_rows(tmp_path / "rows.csv"), int8=False), tmp_path / "bundle")
    assert not found.bundle.ships_int8
    assert "int8" not in found.facts
