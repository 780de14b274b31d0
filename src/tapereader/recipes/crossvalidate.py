"""``crossvalidate``: every row answered once by a network that never saw it, and the answers judged together."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset import check, grouped_folds
from tapereader.dataset.choice import find_groups
from tapereader.dataset.parts import Split
from tapereader.governance.facts import DatasetFacts
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.recipes.judging import dataset_facts
from tapereader.recipes.preparing import Report
from tapereader.recipes.run_folder import run_folder
from tapereader.recipes.train_config import TrainConfig
from tapereader.recipes.writing import write_text
from tapereader.sources import LabelledText
from tapereader.training import processes
from tapereader.training.evaluation import Comparison, Evaluation, compare, evaluate_outputs
from tapereader.training.experiment import BEFORE, check_baselines, run_trial
from tapereader.training.trainer import REVISION

OURS = "ours"
_STAMP = "run.json"
#: Digits of a kept probability: beyond what any score shows.
_DIGITS = 7


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """What a recipe is worth on a data set, from rows that no network had learnt from.

    Parameters
    ----------
    folder : where the folds' answers and ``result.json`` are
    dataset : what it states about itself
    folds : how many
    evaluation : of all N answers together, each by the network of its own fold
    before, baselines : the same of the network before tuning, and of each baseline
    comparisons : paired tests on the same N rows, ours against each of them
    by_fold : for each model the headline metric in every fold; None where it is undefined there
    warnings : findings in the data that did not stop the run
    """

    folder: Path
    dataset: DatasetFacts
    folds: int
    evaluation: Evaluation
    before: Evaluation | None
    baselines: dict[str, Evaluation]
    comparisons: dict[str, Comparison]
    by_fold: dict[str, list[float | None]]
    warnings: tuple[str, ...]

    def spread(self, model: str) -> tuple[float, float] | None:
        """Return mean and standard deviation over folds of a model's headline metric; None where one is undefined."""
        scores = [score for score in self.by_fold[model] if score is not None]
        if len(scores) < len(self.by_fold[model]):
            return None
        return statistics.fmean(scores), statistics.stdev(scores)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "dataset": self.dataset,
            "folds": self.folds,
            "evaluation": self.evaluation.to_dict(),
            "before": None if self.before is None else self.before.to_dict(),
            "baselines": {name: found.to_dict() for name, found in self.baselines.items()},
            "comparisons": {name: found.to_dict() for name, found in self.comparisons.items()},
            "by_fold": self.by_fold,
            "warnings": list(self.warnings),
        }


def crossvalidate(
    config: TrainConfig,
    out: Path,
    *,
    folds: int = 5,
    report: Report | None = None,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> CrossValidation:
    """Deal the rows into folds, train one network for each on the others, and judge all answers together.

    Near-copies stay in one fold. Within a fold every choice (calibration, early stopping) is made on an inner part of
    its training rows. The folds' answers are kept: a run that is killed goes on where it was, within a fold too.

    Parameters
    ----------
    config : of a training; its split gives the validation share, the near-copy threshold and the seed
    out : the run's folder: new, empty, or this very run's
    folds : at least 2
    report : told how far it is
    allow_download : let a hub id be fetched
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If the config is none for folds, or ``out`` holds something else.
    DataError
        If the rows cannot be learnt from, with row numbers, or cannot be dealt into so many folds.
    """
    say = report or (lambda _what, _done, _of: None)
    _check(config)
    processes.refuse_several("crossvalidate")
    out = Path(out)
    say("Reading and checking the rows", 0, 0)
    options = FileOptions(**{name: getattr(config.columns, name) for name in type(config.columns).model_fields})
    labelled = open_labelled(config.dataset, options=options, root=data_root)
    checked = check(labelled, threshold=config.split.near_duplicates)
    checked.raise_for_errors()
    groups = find_groups(labelled, config.split)
    splits = grouped_folds(labelled, k=folds, seed=config.split.seed, groups=groups, validation=config.split.validation)
    identity = {"config": config.id, "data": labelled.id, "folds": str(folds), "revision": str(REVISION)}
    _claim(out, identity)
    answered = [
        _answer_fold(config, out, identity, labelled, groups, split, number, len(splits), say, allow_download)
        for number, split in enumerate(splits, start=1)
    ]
    say("Judging", 0, 0)
    found = _judge(config, out, labelled, groups, splits, answered, tuple(checked.lines()))
    write_text(out / "result.json", json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n")
    return found


def _check(config: TrainConfig) -> None:
    if config.split.kind != "stratified":
        raise ConfigError(
            f"Folds are dealt at random and stratified; got `split.kind` {config.split.kind!r}. Leave it out, or train "
            "once on that split with `tapereader train`."
        )
    if config.answer != "labels":
        raise ConfigError(f"Folds are judged on labels; got `answer` {config.answer!r}. Use `tapereader train` for it.")
    check_baselines(config.judging)


def _claim(out: Path, identity: Mapping[str, str]) -> None:
    stamp = out / _STAMP
    if stamp.is_file():
        if json.loads(stamp.read_text(encoding="utf-8")) != identity:
            raise ConfigError(
                f"`out` must be new or hold this very cross-validation; {str(out)!r} holds another (other rows, recipe "
                "or number of folds). Give another name."
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"`out` must be a new or empty folder; got {str(out)!r}. Give another name.")
    write_text(stamp, json.dumps(identity))


def _answer_fold(
    config: TrainConfig,
    out: Path,
    identity: Mapping[str, str],
    labelled: LabelledText,
    groups: NDArray[np.int64],
    split: Split,
    number: int,
    of: int,
    say: Report,
    allow_download: bool,
) -> dict[str, Any]:
    """Return a fold's answers: read where they were kept, learnt and kept where not."""
    path = out / f"fold-{number}.json"
    if path.is_file():
        try:
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{str(path)!r} must be JSON as it was written; it is not. Remove it.") from error
        if kept.get("split") == split.id:
            return kept
    title = f"Fold {number} of {of}"
    say(title, 0, 0)
    with run_folder(out / f"fold-{number}", {**identity, "split": split.id}) as work:
        trial = run_trial(
            labelled, split, config.finetune, config.judging, groups=groups, work_dir=work,
            progress=lambda done, steps: say(title, done, steps), allow_download=allow_download,
        )  # fmt: skip
    fold = {
        "split": split.id,
        "name": split.name,
        "rows": labelled.frame["row"].to_numpy()[split.test].tolist(),
        "threshold": trial.calibration.threshold,
        "seconds": round(trial.model.seconds, 1),
        "outputs": {
            name: np.round(outputs, _DIGITS).tolist() for name, outputs in {OURS: trial.outputs, **trial.others}.items()
        },
    }
    write_text(path, json.dumps(fold) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    return fold


def _judge(
    config: TrainConfig,
    out: Path,
    labelled: LabelledText,
    groups: NDArray[np.int64],
    splits: tuple[Split, ...],
    answered: list[dict[str, Any]],
    warnings: tuple[str, ...],
) -> CrossValidation:
    contract = labelled.card.contract
    rows = np.concatenate([split.test for split in splits])
    targets = labelled.take(rows).targets()
    judge: dict[str, Any] = {"groups": groups[rows], "seed": config.finetune.seed}
    outputs = {
        name: np.concatenate([np.asarray(fold["outputs"][name], dtype=np.float64) for fold in answered])
        for name in answered[0]["outputs"]
    }
    # Each fold has the threshold that its own validation part gave it.
    own = np.repeat([fold["threshold"] for fold in answered], [len(split.test) for split in splits])[:, None]
    pooled = {
        name: evaluate_outputs(contract, targets, found, threshold=own if name == OURS else 0.5, **judge)
        for name, found in outputs.items()
    }
    others = {name: found for name, found in outputs.items() if name != OURS}
    return CrossValidation(
        folder=out,
        dataset=dataset_facts(labelled),
        folds=len(splits),
        evaluation=pooled[OURS],
        before=pooled.get(BEFORE),
        baselines={name: found for name, found in pooled.items() if name not in (OURS, BEFORE)},
        comparisons={
            "before" if name == BEFORE else name: compare(
                contract, targets, outputs[OURS], found, thresholds=(own, 0.5), **judge
            )
            for name, found in others.items()
        },
        by_fold={
            "before" if name == BEFORE else name: [
                _headline(labelled, split, fold, name, seed=config.finetune.seed)
                for split, fold in zip(splits, answered, strict=True)
            ]
            for name in outputs
        },
        warnings=warnings,
    )


def _headline(labelled: LabelledText, split: Split, fold: dict[str, Any], name: str, *, seed: int) -> float | None:
    outputs = np.asarray(fold["outputs"][name], dtype=np.float64)
    threshold = fold["threshold"] if name == OURS else 0.5
    found = evaluate_outputs(
        labelled.card.contract, labelled.take(split.test).targets(), outputs, threshold=threshold, seed=seed
    )
    return found.metrics[found.headline]["value"]
