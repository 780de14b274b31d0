"""Trials are compared on validation alone, survive a kill, and are never made twice."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="searching trains networks, which needs the extra train")

import optuna
from tests.tiny_models import BAD, GOOD, labelled_rows, recipe, write_model

from tapereader.core.errors import ConfigError
from tapereader.recipes.search import SearchRunConfig
from tapereader.recipes.search import search as run_search
from tapereader.recipes.train_config import TrainConfig, build_config
from tapereader.sources import LabelledText
from tapereader.training.search import SearchConfig, SearchResult, search_recipe
from tapereader.training.searchspace import SearchSpace
from tapereader.training.trainer import finetune

SPACE = SearchSpace(epochs=(1, 3), batch_size=(8, 16))


class KilledError(Exception):
    """Stands for a kill: it ends the process's work in the middle of a trial."""


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def rows() -> tuple[LabelledText, LabelledText]:
    return labelled_rows(n=30), labelled_rows(n=24, seed=1)


def find(bert: Path, rows: tuple[LabelledText, LabelledText], study: Path, **changes: Any) -> SearchResult:
    stop_in = changes.pop("stop_in", None)

    def progress(ended: int, done: int, of: int) -> None:
        if stop_in is not None and ended == stop_in and done == 3:
            raise KilledError

    settings = SearchConfig(**({"trials": 4, "space": SPACE, "startup_trials": 2, "prune_after": None} | changes))
    return search_recipe(*rows, recipe(bert, epochs=2), settings, study=study, progress=progress)


def made(result: SearchResult) -> list[Any]:
    """What the trials were, without the time they took and without those that were cut off."""
    return [(t.outcome, t.score, t.epoch_scores, t.chosen) for t in result.trials if t.outcome != "interrupted"]


@pytest.fixture(scope="module")
def unbroken(bert: Path, rows: Any, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return find(bert, rows, tmp_path_factory.mktemp("search") / "study.db")


def test_every_trial_is_told_and_the_best_is_the_one_validation_likes(
    unbroken: SearchResult, bert: Path, rows: tuple[LabelledText, LabelledText]
) -> None:
    assert [trial.number for trial in unbroken.trials] == [1, 2, 3, 4]
    scores = [trial.score for trial in unbroken.trials if trial.score is not None]
    assert unbroken.score == max(scores)
    best = next(trial for trial in unbroken.trials if trial.score == unbroken.score)
    assert unbroken.best.optimizer.learning_rate == best.chosen["learning_rate"]
    assert unbroken.best.epochs == best.chosen["epochs"] == len(best.epoch_scores)
    assert unbroken.best.objective.label_smoothing == best.chosen["label_smoothing"]
    # The recipe that is handed back trains to the very score it was chosen for.
    told: list[float] = []
    finetune(*rows, unbroken.best, watch=lambda _, score: told.append(score))
    assert told[-1] == unbroken.score
    assert unbroken.best.backbone == str(bert)


def test_the_first_trial_is_the_recipe_as_it_came(unbroken: SearchResult) -> None:
    assert unbroken.trials[0].chosen == {
        "learning_rate": 3e-3, "layer_decay": 1.0, "label_smoothing": 0.0, "epochs": 2, "batch_size": 8,
        "head_dropout": 0.1,
    }  # fmt: skip
    assert len({str(trial.chosen) for trial in unbroken.trials}) == 4


@pytest.mark.parametrize("stop_in", [0, 2])
def test_a_search_that_was_cut_off_makes_the_trials_of_an_unbroken_one(
    stop_in: int, unbroken: SearchResult, bert: Path, rows: Any, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        find(bert, rows, tmp_path / "study.db", stop_in=stop_in)
    resumed = find(bert, rows, tmp_path / "study.db")
    assert [t.outcome for t in resumed.trials].count("interrupted") == 1
    assert resumed.trials[stop_in].outcome == "interrupted"
    assert made(resumed) == made(unbroken)
    assert resumed.best == unbroken.best
    # Nothing is left to do, so nothing is done: a trial would call `progress`, and stop.
    again = find(bert, rows, tmp_path / "study.db", stop_in=4)
    assert again == resumed


def test_more_trials_go_on_from_those_there_are(bert: Path, rows: Any, tmp_path: Path, unbroken: SearchResult) -> None:
    find(bert, rows, tmp_path / "study.db", trials=2)
    assert made(find(bert, rows, tmp_path / "study.db", trials=4)) == made(unbroken)


def test_a_hopeless_trial_is_stopped_between_two_epochs(bert: Path, rows: Any, tmp_path: Path) -> None:
    space = SearchSpace(
        learning_rate_factor=(1.0, 500.0), epochs=(4, 4), batch_size=None, layer_decay=None, head_dropout=None,
        label_smoothing=None,
    )  # fmt: skip
    found = find(bert, rows, tmp_path / "study.db", trials=5, prune_after=1, space=space)
    pruned = [trial for trial in found.trials if trial.outcome == "pruned"]
    assert pruned
    assert all(trial.score is None and 1 <= len(trial.epoch_scores) < 4 for trial in pruned)
    assert len(found.trials) == 5


def test_ways_of_learning_vary_with_the_rate_that_was_measured_for_each(bert: Path, rows: Any, tmp_path: Path) -> None:
    space = SearchSpace(
        learning_rate_factor=(0.5, 2.0), epochs=(1, 1), batch_size=None, layer_decay=None, head_dropout=None,
        label_smoothing=None, methods=("head", "lora"),
    )  # fmt: skip
    settings = SearchConfig(trials=5, space=space, startup_trials=5, prune_after=None)
    plain = recipe(bert, epochs=1)
    plain = plain.replace(optimizer=plain.optimizer.replace(learning_rate=None))
    found = search_recipe(*rows, plain, settings, study=tmp_path / "study.db")
    assert {trial.chosen["method"] for trial in found.trials} == {"head", "lora"}
    assert all(5e-4 <= trial.chosen["learning_rate"] <= 2e-3 for trial in found.trials)


def test_smoothing_stays_where_it_is_for_questions_that_have_none(bert: Path, tmp_path: Path) -> None:
    multi = (labelled_rows("multi-label", n=24), labelled_rows("multi-label", n=12, seed=1))
    found = find(bert, multi, tmp_path / "study.db", trials=1)
    assert "label_smoothing" not in found.trials[0].chosen


def test_no_validation_rows_or_an_impossible_file_are_refused(bert: Path, rows: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find(bert, (rows[0], rows[1].take([])), tmp_path / "study.db")
    assert str(caught.value) == "A search needs an inner validation part to decide on; got no rows."
    with pytest.raises(ConfigError) as caught:
        find(bert, rows, tmp_path / "what?.db")
    assert str(caught.value) == (
        f"The study's file must have no `?` in its path; got {str(tmp_path / 'what?.db')!r}. Choose another folder."
    )


def test_a_path_with_any_other_sign_holds_a_study(bert: Path, rows: Any, tmp_path: Path) -> None:
    study = tmp_path / "a b%20{x}#é营.db"
    find(bert, rows, study, trials=1)
    assert study.is_file()


def test_optuna_keeps_the_voice_it_had(bert: Path, rows: Any, tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    find(bert, rows, tmp_path / "study.db", trials=1)
    assert optuna.logging.get_verbosity() == before


def test_an_impossible_space_is_refused_with_all_its_faults() -> None:
    with pytest.raises(ConfigError) as caught:
        SearchConfig.from_mapping({"trials": 0, "space": {"epochs": [5, 2]}})
    assert str(caught.value) == (
        "SearchConfig has 2 problems:\n"
        "  trials: must be greater than or equal to 1; got 0\n"
        "  space: `epochs` must be low and high between 1 and 1000; got (5, 2)"
    )
    with pytest.raises(ConfigError, match="`methods` must be different values, at least one; got \\(\\)"):
        SearchSpace(methods=())


def write_rows(path: Path, *, poisoned: bool) -> Path:
    """Forty dated rows; the last eight are the test part of a split by time, and may be labelled with nonsense."""
    rows = labelled_rows(n=40, seed=3)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "day"])
        for n, (text, label) in enumerate(zip(rows.texts, rows.frame["label"], strict=True)):
            words = text.split()
            truth = "positive" if set(words) & set(GOOD) else "negative" if set(words) & set(BAD) else "neutral"
            wrong = {"positive": "negative", "negative": "neutral", "neutral": "positive"}
            writer.writerow([f"{text} {n}", wrong[truth] if poisoned and n >= 32 else label,
                             f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}T00:00:00Z"])  # fmt: skip
    return path


def asked(bert: Path, source: Path, **search: Any) -> SearchRunConfig:
    plain = recipe(bert, epochs=2)
    return SearchRunConfig.from_mapping({
        "train": {
            "dataset": str(source), "columns": {"text": "text", "label": "label", "time": "day"},
            "split": {"kind": "time", "validation": 0.2, "test": 0.2}, "finetune": plain.model_dump(mode="json"),
        },
        "search": {"trials": 4, "space": {"epochs": [1, 3], "batch_size": [8, 16]}} | search,
    })  # fmt: skip


def test_labels_of_the_test_part_change_nothing(bert: Path, tmp_path: Path) -> None:
    found = []
    for name in ("true", "poisoned"):
        (tmp_path / name).mkdir()
        source = write_rows(tmp_path / name / "rows.csv", poisoned=name == "poisoned")
        found.append(run_search(asked(bert, source), tmp_path / name / "out"))
    true, poisoned = found
    assert (tmp_path / "true/rows.csv").read_bytes() != (tmp_path / "poisoned/rows.csv").read_bytes()
    assert made(true.result) == made(poisoned.result)
    assert true.best.finetune == poisoned.best.finetune


def test_the_folder_holds_a_recipe_to_train_and_every_trial(bert: Path, tmp_path: Path) -> None:
    config = asked(bert, write_rows(tmp_path / "rows.csv", poisoned=False))
    out = tmp_path / "out"
    steps: list[str] = []
    run = run_search(config, out, report=lambda *told: steps.append(told[0]))
    assert sorted(path.name for path in out.iterdir()) == [
        "best.yaml", "manifest.json", "run.json", "study.db", "trials.csv",
    ]  # fmt: skip
    assert {"Trial 1 of 4", "Trial 4 of 4"} <= set(steps)
    # What `tapereader train --config` makes of the file is the best recipe, whatever the profile would have taken.
    read = build_config(out / "best.yaml", profile="fast", values={})
    assert read == run.best == TrainConfig.load(out / "best.yaml")
    assert read.finetune == run.result.best
    table = list(csv.DictReader((out / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["trial"] for row in table] == ["1", "2", "3", "4"]
    assert max(float(row["score"]) for row in table if row["score"]) == run.result.score
    before = (out / "trials.csv").read_text(encoding="utf-8")
    assert run_search(config, out).result == run.result
    assert (out / "trials.csv").read_text(encoding="utf-8") == before
    more = run_search(asked(bert, tmp_path / "rows.csv", trials=5), out)
    assert made(more.result)[:4] == made(run.result)


def test_a_folder_of_anything_else_is_refused(bert: Path, tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "rows.csv", poisoned=False), tmp_path / "out"
    run_search(asked(bert, source, trials=1), out)
    for config in (asked(bert, source, trials=1, seed=7), asked(bert, source, space={"epochs": [1, 9]})):
        with pytest.raises(ConfigError) as caught:
            run_search(config, out)
        assert str(caught.value) == (
            f"`out` must not exist yet, or hold this very search; got {str(out)!r}. Give another name, or the same "
            "rows, split, recipe and space as before."
        )


def test_two_processes_do_not_search_in_one_folder(bert: Path, tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "rows.csv", poisoned=False), tmp_path / "out"
    config = asked(bert, source, trials=1)
    told: list[str] = []

    def intrude(what: str, done: int, of: int) -> None:
        if what.startswith("Trial") and not told:
            with pytest.raises(ConfigError) as caught:
                run_search(config, out)
            told.append(str(caught.value))

    run_search(config, out, report=intrude)
    assert told == [
        f"One process at a time may search in a folder; another one does in {str(out)!r}. Wait for it, or give another "
        "name."
    ]
