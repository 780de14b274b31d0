"""Every row is answered once, by a network that never saw it; a broken run goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

from tests.recipes.test_train import write_rows
from tests.tiny_models import recipe, write_model

from tapereader.cli.app import app, run
from tapereader.core.errors import ConfigError
from tapereader.recipes import crossvalidate as module
from tapereader.recipes.crossvalidate import CrossValidation, crossvalidate
from tapereader.recipes.train_config import TrainConfig

FOLDS = 3


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny-bert")


def asked(bert: Path, rows: Path, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "dataset": str(rows), "split": {"validation": 0.2},
        "finetune": recipe(bert, epochs=4).model_dump(mode="json"), "judging": {"baselines": ["majority", "tfidf"]},
    }  # fmt: skip
    return TrainConfig.from_mapping(values | changes)


@pytest.fixture(scope="module")
def made(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    folder = tmp_path_factory.mktemp("crossvalidate")
    return crossvalidate(asked(bert, write_rows(folder / "rows.csv", n=90)), folder / "run", folds=FOLDS)


def test_every_row_is_answered_once(made: CrossValidation) -> None:
    kept = [json.loads((made.folder / f"fold-{n}.json").read_text(encoding="utf-8")) for n in range(1, FOLDS + 1)]
    assert sorted(row for fold in kept for row in fold["rows"]) == list(range(1, 91))
    assert made.evaluation.n == 90
    assert all(len(fold["outputs"]["ours"]) == len(fold["rows"]) for fold in kept)


def test_ours_stands_beside_the_network_before_and_the_baselines_on_the_same_rows(made: CrossValidation) -> None:
    assert set(made.comparisons) == {"before", "majority", "tfidf"}
    assert {found.n for found in made.comparisons.values()} == {90}
    assert made.comparisons["majority"].ours == pytest.approx(made.evaluation.value())
    assert made.comparisons["majority"].theirs == pytest.approx(made.baselines["majority"].value())


def test_the_spread_is_that_of_the_folds(made: CrossValidation) -> None:
    scores = made.by_fold["ours"]
    assert len(scores) == FOLDS
    found = made.spread("ours")
    assert found is not None
    assert found == pytest.approx((np.mean([s for s in scores if s]), np.std([s for s in scores if s], ddof=1)))


def test_a_run_goes_on_with_the_folds_that_are_missing(
    bert: Path, made: CrossValidation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: two folds stand, the third was not written."""
    (made.folder / "fold-2.json").unlink()
    trained = []
    real = module.run_trial
    monkeypatch.setattr(module, "run_trial", lambda *a, **k: (trained.append(a[1].name), real(*a, **k))[1])
    again = crossvalidate(asked(bert, made.folder.parent / "rows.csv"), made.folder, folds=FOLDS)
    assert trained == ["fold 2 of 3, seed 0"]
    assert again.evaluation == made.evaluation


def test_a_folder_of_another_run_is_refused(bert: Path, made: CrossValidation) -> None:
    with pytest.raises(ConfigError) as caught:
        crossvalidate(asked(bert, made.folder.parent / "rows.csv"), made.folder, folds=FOLDS + 1)
    assert str(caught.value) == (
        f"`out` must be new or hold this very cross-validation; {str(made.folder)!r} holds another (other rows, "
        "recipe or number of folds). Give another name."
    )


def test_a_folder_of_other_things_is_refused(bert: Path, made: CrossValidation) -> None:
    with pytest.raises(ConfigError, match="must be a new or empty folder"):
        crossvalidate(asked(bert, made.folder.parent / "rows.csv"), made.folder.parent, folds=FOLDS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": {"kind": "time"}}, "Folds are dealt at random and stratified; got `split.kind` 'time'."),
        ({"answer": "words"}, "Folds are judged on labels; got `answer` 'words'."),
        ({"judging": {"baselines": ["oracle"]}}, "`baselines` must be among"),
    ],
)
def test_what_is_none_for_folds_is_refused_before_anything_is_written(
    bert: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        crossvalidate(asked(bert, write_rows(tmp_path / "rows.csv"), **changes), tmp_path / "run")
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_many_labels_are_judged_with_the_threshold_of_each_fold(bert: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv", kind="multi-label", n=90)
    config = asked(bert, rows, columns={"task_kind": "multi-label"}, judging={"baselines": ["majority"]})
    made = crossvalidate(config, tmp_path / "run", folds=2)
    folds = [json.loads((tmp_path / "run" / f"fold-{n}.json").read_text(encoding="utf-8")) for n in (1, 2)]
    given = sum((np.asarray(f["outputs"]["ours"]) >= f["threshold"]).sum() for f in folds)
    assert sum(row["predicted"] for row in made.evaluation.per_class) == given


def test_the_terminal_shows_both_and_says_where(
    bert: Path, made: CrossValidation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(asked(bert, made.folder.parent / "rows.csv").to_yaml(), encoding="utf-8")
    words = ["crossvalidate", "--config", str(config), "--out", str(made.folder), "--folds", str(FOLDS)]
    assert run(lambda: app(words, standalone_mode=False), debug=False) == 0
    told = capsys.readouterr().out
    assert "90 rows, each answered once by a network that saw neither it nor a near-copy (3 folds):" in told
    assert "mean and standard deviation over folds" in told
    assert run(lambda: app([*words, "--json"], standalone_mode=False), debug=False) == 0
    assert json.loads(capsys.readouterr().out)["by_fold"]["ours"] == made.by_fold["ours"]
