"""Search for a better recipe: trials learnt on the train part and compared on the inner validation part alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from tapereader.bundle.calibration import decode
from tapereader.core.config import NOT_IDENTITY, Config
from tapereader.core.errors import ConfigError, DataError
from tapereader.models.backbones import ResolvedBackbone, resolve_backbone
from tapereader.sources.labelled import LabelledText
from tapereader.training.scoring import validation_score
from tapereader.training.searchspace import Recipes, SearchSpace
from tapereader.training.trainer import FinetuneConfig, finetune

#: Told (trials ended, steps done of this one, steps in all).
SearchProgress = Callable[[int, int, int], None]
Outcome = Literal["finished", "pruned", "undefined", "interrupted"]
_STUDY = "tapereader"


class SearchConfig(Config):
    """How a better recipe is looked for."""

    trials: int = Field(default=20, ge=1, json_schema_extra=NOT_IDENTITY)
    """Trainings in all; a search that is asked for more goes on from those it has."""
    space: SearchSpace = SearchSpace()
    """What may vary."""
    startup_trials: int = Field(default=5, ge=1)
    """Trials at random before the sampler (TPE) learns from their scores."""
    prune_after: int | None = Field(default=4, ge=1)
    """Finished trials after which one that lies below their median is stopped between two epochs; None never stops."""
    seed: int = Field(default=0, ge=0)
    """Of the sampler; every trial trains with the recipe's own seed."""


@dataclass(frozen=True, kw_only=True)
class SearchTrial:
    """One training of a search.

    Parameters
    ----------
    number : position in the study, from 1, interrupted ones included
    outcome : ``finished``; ``pruned`` between two epochs; ``undefined`` where the score is not a number;
        ``interrupted`` where the search was killed in it, and its choice was tried again
    score : on validation, of the finished network; None for the others
    epoch_scores : on validation, after each epoch that was run
    seconds : of the training
    chosen : what varied, as it was used
    """

    number: int
    outcome: Outcome
    score: float | None
    epoch_scores: tuple[float, ...]
    seconds: float
    chosen: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    best : the recipe with the greatest validation score; of equals the first
    score : its validation score, the greatest of many, so kinder than new text will be
    trials : all, in order, whatever became of them
    resolved : the backbone they all started from
    """

    best: FinetuneConfig
    score: float
    trials: tuple[SearchTrial, ...]
    resolved: ResolvedBackbone


def search_recipe(
    train: LabelledText,
    validation: LabelledText,
    config: FinetuneConfig,
    search: SearchConfig,
    *,
    study: Path,
    progress: SearchProgress | None = None,
    allow_download: bool = False,
) -> SearchResult:
    """Try recipes around one, and return the one that validation likes best.

    There is no test part here to look at. The first trial is the recipe as it came, where the space allows it, so that
    on validation the result is never worse. Each trial's draw depends on the seed and on the trials before it alone:
    a search that was killed and goes on makes the trials that an unbroken one would have made.

    Parameters
    ----------
    train : what every trial learns from
    validation : what decides: macro-F1, or rank correlation for regression
    config : where the search starts, and what it leaves as it is
    search : how far it goes
    study : SQLite file of the trials, made or taken up; it belongs to this search alone
    progress : told how far it is
    allow_download : let a hub id be fetched

    Raises
    ------
    ConfigError
        If there are no validation rows, or ``study`` is a name that SQLite's address cannot hold.
    DataError
        If no trial has a score.

    References
    ----------
    Akiba et al. (2019), Optuna, KDD; Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization, NeurIPS,
    sec. 4 (the TPE sampler).
    """
    if not len(validation):
        raise ConfigError("A search needs an inner validation part to decide on; got no rows.")
    resolved = resolve_backbone(config.backbone, allow_download=allow_download)
    maker = Recipes(config, search.space, resolved, train.card.contract)
    with _open(study, search) as trials:
        _mark_interrupted(trials)
        while (ended := _ended(trials)) < search.trials:
            trials.sampler = _sampler(search, ended)
            if not ended and not trials.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                trials.enqueue_trial(maker.start())
            _run(trials, trials.ask(), maker, train, validation, ended, progress)
        found = tuple(_read(trial) for trial in trials.get_trials(deepcopy=False) if trial.state.is_finished())
        finished = trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not finished:
        raise DataError(f"A search needs a trial with a score; none of {len(found)} has one on {len(validation)} rows.")
    best = max(finished, key=lambda trial: (_score(trial), -trial.number))
    return SearchResult(
        best=FinetuneConfig.from_mapping(best.user_attrs["recipe"]),
        score=_score(best),
        trials=found,
        resolved=resolved,
    )


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    maker: Recipes,
    train: LabelledText,
    validation: LabelledText,
    ended: int,
    progress: SearchProgress | None,
) -> None:
    config, chosen = maker.draw(trial)
    trial.set_user_attr("recipe", config.model_dump(mode="json"))
    trial.set_user_attr("chosen", chosen)
    started = time.perf_counter()

    def watch(epoch: int, score: float) -> None:
        if math.isfinite(score):
            trial.report(score, step=epoch)
        # After the last epoch there is nothing left to save.
        if epoch < config.epochs and trial.should_prune():
            raise optuna.TrialPruned

    contract, value = validation.card.contract, None
    try:
        model = finetune(
            train, validation, config, watch=watch,
            progress=None if progress is None else lambda done, of: progress(ended, done, of),
        )  # fmt: skip
        outputs = decode(contract, model.logits(validation.texts, validation.pairs), model.calibration)
        value = validation_score(contract, validation.targets(), outputs)
        state = TrialState.COMPLETE if math.isfinite(value) else TrialState.FAIL
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    trial.set_user_attr("seconds", round(time.perf_counter() - started, 3))
    # A trial that fails without this mark was cut off by the end of its process.
    trial.set_user_attr("ended", True)
    study.tell(trial, value if state is TrialState.COMPLETE else None, state=state)


def _score(trial: FrozenTrial) -> float:
    assert trial.value is not None  # noqa: S101 (a complete trial has one)
    return float(trial.value)


def _sampler(search: SearchConfig, ended: int) -> optuna.samplers.TPESampler:
    # A sampler carried through the whole search would start its random numbers anew after an interruption.
    seed = int(np.random.SeedSequence((search.seed, ended)).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup_trials)


def _ended(study: optuna.Study) -> int:
    return sum("ended" in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def _mark_interrupted(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _read(trial: FrozenTrial) -> SearchTrial:
    outcome: Outcome = "interrupted"
    if trial.state is TrialState.COMPLETE:
        outcome = "finished"
    elif trial.state is TrialState.PRUNED:
        outcome = "pruned"
    elif "ended" in trial.user_attrs:
        outcome = "undefined"
    return SearchTrial(
        number=trial.number + 1,
        outcome=outcome,
        score=_score(trial) if outcome == "finished" else None,
        epoch_scores=tuple(score for _, score in sorted(trial.intermediate_values.items())),
        seconds=float(trial.user_attrs.get("seconds", 0.0)),
        chosen=dict(trial.user_attrs.get("chosen", {})),
    )


@contextmanager
def _open(path: Path, search: SearchConfig) -> Iterator[optuna.Study]:
    if "?" in str(path.resolve()):
        raise ConfigError(f"The study's file must have no `?` in its path; got {str(path)!r}. Choose another folder.")
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if search.prune_after is not None:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=search.prune_after)
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{quote(str(path.resolve()))}")
    try:
        yield optuna.create_study(
            storage=storage, study_name=_STUDY, direction="maximize", pruner=pruner, load_if_exists=True
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()
        optuna.logging.set_verbosity(told)
