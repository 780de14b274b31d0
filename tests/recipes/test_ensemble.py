"""Several bundles as one: fitted on rows no member learnt from, judged beside each, refused where they differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.recipes.test_train import asked, write_rows
from tests.tiny_models import write_model

from tapereader.bundle import Bundle, decode
from tapereader.bundle.combination import combine
from tapereader.core.errors import BundleError, ConfigError
from tapereader.engine import Engine
from tapereader.recipes.ensemble import EnsembleConfig, ensemble
from tapereader.recipes.evaluate import evaluate
from tapereader.recipes.train import train

TEXTS = ["profit rose strong", "loss fell weak warning", "sales flat in the quarter"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A file of rows, and two bundles trained on it with other seeds."""
    folder = tmp_path_factory.mktemp("ensemble")
    bert, rows = write_model(folder / "tiny-bert"), write_rows(folder / "rows.csv", n=150)
    members = [
        train(asked(bert, rows, finetune={"seed": seed}, judging={"baselines": []}), folder / f"m{seed}").bundle.path
        for seed in (0, 1)
    ]
    return rows, members


@pytest.mark.parametrize("kind", ["mean", "weighted", "stacked"])
def test_an_ensemble_answers_what_its_members_make_together(
    trained: tuple[Path, list[Path]], tmp_path: Path, kind: Any
) -> None:
    rows, members = trained
    made = ensemble(members, tmp_path / "both", EnsembleConfig(combine=kind), dataset=str(rows))
    engine = Engine(tmp_path / "both")
    singles = [Engine(member).outputs(TEXTS) for member in members]
    assert engine.bundle.combination is not None
    expected = decode(
        engine.bundle.contract, combine(engine.bundle.contract, singles, engine.bundle.combination),
        engine.bundle.calibration,
    )  # fmt: skip
    assert engine.outputs(TEXTS) == pytest.approx(expected, abs=1e-12)
    assert engine.embeddings(TEXTS).shape == (3, sum(Engine(member).embeddings(TEXTS).shape[1] for member in members))
    assert [parent["id"] for parent in engine.bundle.manifest["parents"]] == [Bundle.load(m).id for m in members]
    assert made.facts["evaluation"]["n"] == 30
    assert len(made.facts["baselines"]) == 2


def test_the_mean_needs_nothing_to_be_fitted(trained: tuple[Path, list[Path]], tmp_path: Path) -> None:
    rows, members = trained
    made = ensemble(members, tmp_path / "both", EnsembleConfig(), dataset=str(rows))
    assert made.bundle.combination is not None
    assert made.bundle.combination.weights == (0.5, 0.5)
    engine = Engine(tmp_path / "both")
    average = np.mean([Engine(member).outputs(TEXTS) for member in members], axis=0)
    assert engine.outputs(TEXTS).argmax(axis=1).tolist() == average.argmax(axis=1).tolist()


def test_it_is_evaluated_like_any_bundle(trained: tuple[Path, list[Path]], tmp_path: Path) -> None:
    rows, members = trained
    made = ensemble(members, tmp_path / "both", EnsembleConfig(), dataset=str(rows))
    found = evaluate(tmp_path / "both", str(rows), baselines=())
    assert found.part == "test"
    assert found.evaluation.metrics["macro_f1"]["value"] == pytest.approx(
        made.facts["evaluation"]["metrics"]["macro_f1"]["value"]
    )


def test_a_member_that_was_changed_is_refused(trained: tuple[Path, list[Path]], tmp_path: Path) -> None:
    rows, members = trained
    ensemble(members, tmp_path / "both", EnsembleConfig(), dataset=str(rows))
    calibration = tmp_path / "both" / "members" / "1" / "calibration.json"
    stated = json.loads(calibration.read_text(encoding="utf-8"))
    calibration.write_text(json.dumps(stated | {"temperature": 3.0}), encoding="utf-8")
    with pytest.raises(BundleError, match=r"members/1/calibration\.json of bundle 'both' must have the SHA-256"):
        Engine(tmp_path / "both")


def test_weights_that_were_changed_are_refused(trained: tuple[Path, list[Path]], tmp_path: Path) -> None:
    rows, members = trained
    ensemble(members, tmp_path / "both", EnsembleConfig(), dataset=str(rows))
    combination = tmp_path / "both" / "ensemble.json"
    stated = json.loads(combination.read_text(encoding="utf-8"))
    combination.write_text(json.dumps(stated | {"weights": [0.9, 0.1]}), encoding="utf-8")
    with pytest.raises(BundleError, match=r"ensemble\.json of bundle 'both' must have the SHA-256"):
        Engine(tmp_path / "both")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises((ConfigError, BundleError)) as caught:
        call()
    return str(caught.value)


def test_what_does_not_belong_together_is_refused(
    trained: tuple[Path, list[Path]], tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    rows, members = trained
    out, config = tmp_path / "both", EnsembleConfig()
    first = Bundle.load(members[0])
    assert refusal(lambda: ensemble(members[:1], out, config)) == "An ensemble needs at least 2 bundles; got 1."
    assert refusal(lambda: ensemble([members[0], members[0]], out, config)) == (
        f"Every member of an ensemble must be another bundle; got {first.id!r} twice."
    )
    swapped = make_bundle(tmp_path / "swapped", names=tuple(reversed(first.contract.names)))
    assert "The same labels in another order would swap every answer." in refusal(
        lambda: ensemble([members[0], swapped.path], out, config)
    )
    stranger = make_bundle(tmp_path / "stranger", names=first.contract.names)
    assert "Members must be trained on the same rows, dealt the same way" in refusal(
        lambda: ensemble([members[0], stranger.path], out, config)
    )
    ensemble(members, tmp_path / "pair", config, dataset=str(rows))
    assert "is an ensemble itself: name its members" in refusal(
        lambda: ensemble([members[0], tmp_path / "pair"], out, config)
    )
    assert not out.exists()
