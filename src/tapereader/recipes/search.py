"""``search``: labelled text and a recipe in; the recipe that validation likes best, and every trial, out."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from tapereader.core.config import Config
from tapereader.core.errors import ConfigError
from tapereader.dataset import check
from tapereader.dataset.choice import choose_split, find_groups
from tapereader.dataset.parts import Split
from tapereader.governance import RunManifest, collect_environment
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.recipes.preparing import Report
from tapereader.recipes.terms import backbone_terms
from tapereader.recipes.train_config import TrainConfig
from tapereader.sources import LabelledText
from tapereader.training import processes
from tapereader.training.search import SearchConfig, SearchResult, search_recipe

BEST, TRIALS, STUDY, MANIFEST, STAMP = "best.yaml", "trials.csv", "study.db", "manifest.json", "run.json"


class SearchRunConfig(Config):
    """One search, from rows to the best recipe."""

    train: TrainConfig
    """The training it looks for: its rows, its split and the recipe it starts from."""
    search: SearchConfig = SearchConfig()
    """What may vary, and how often it is tried."""


@dataclass(frozen=True, kw_only=True)
class SearchRun:
    """What a search made.

    Parameters
    ----------
    folder : holds ``best.yaml``, ``trials.csv``, ``manifest.json`` and the study
    best : the training with the best recipe in it, as ``tapereader train --config`` reads it from ``best.yaml``
    result : its validation score, and all trials
    synthetic : whether a program wrote the rows
    warnings : findings in the data that did not stop the search
    """

    folder: Path
    best: TrainConfig
    result: SearchResult
    synthetic: bool
    warnings: tuple[str, ...]


def search(
    config: SearchRunConfig,
    out: Path,
    *,
    report: Report | None = None,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> SearchRun:
    """Deal the rows as the training would, try recipes, and write down the best.

    Trials learn from the train part and are compared on the validation part; no label of the test part is used. The
    same call takes up a search that was killed, without repeating finished trials, and goes on with one that is asked
    for more.

    Parameters
    ----------
    config : what to look for
    out : folder of the search: new, or the one of this very search
    report : told how far it is
    allow_download : let a hub id be fetched
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    DataError
        If the rows cannot be learnt from.
    ConfigError
        If ``out`` holds anything else, or another process searches in it.
    """
    processes.refuse_several("search")
    say = report or _silent
    out, asked = Path(out), config.train
    started = datetime.now(UTC)
    say("Reading and checking the rows", 0, 0)
    options = FileOptions(**{name: getattr(asked.columns, name) for name in type(asked.columns).model_fields})
    labelled = open_labelled(asked.dataset, options=options, root=data_root)
    checked = check(labelled, threshold=asked.split.near_duplicates)
    checked.raise_for_errors()
    split = choose_split(labelled, asked.split, find_groups(labelled, asked.split))
    stamp = json.dumps({"search": config.id, "data": labelled.id, "split": split.id})
    trials = config.search.trials
    with _claimed(out, stamp):
        result = search_recipe(
            labelled.take(split.train), labelled.take(split.validation), asked.finetune, config.search,
            study=out / STUDY, allow_download=allow_download,
            progress=lambda ended, done, of: say(f"Trial {ended + 1} of {trials}", done, of),
        )  # fmt: skip
        best = asked.replace(finetune=result.best)
        manifest = _manifest(config, labelled, split, result, started)
        _write(out / MANIFEST, json.dumps(manifest.to_dict(), indent=1, ensure_ascii=False) + "\n")
        _write(out / TRIALS, _table(result).to_csv(index=False))
        _write(out / BEST, _headed(best, result, len(split.validation), synthetic=labelled.card.synthetic))
    return SearchRun(
        folder=out, best=best, result=result, synthetic=labelled.card.synthetic, warnings=tuple(checked.lines())
    )


def _silent(what: str, done: int, of: int) -> None:
    """Report to nobody."""


@contextmanager
def _claimed(out: Path, stamp: str) -> Iterator[None]:
    """Make the search's folder, or take up the one of this very search, and keep others out of it meanwhile."""
    found = out / STAMP
    taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if taken and (not found.is_file() or found.read_text(encoding="utf-8") != stamp):
        raise ConfigError(
            f"`out` must not exist yet, or hold this very search; got {str(out)!r}. Give another name, or the same "
            "rows, split, recipe and space as before."
        )
    out.mkdir(parents=True, exist_ok=True)
    _write(found, stamp)
    with found.open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"One process at a time may search in a folder; another one does in {str(out)!r}. Wait for it, or give "
                "another name."
            ) from error
        yield


def _manifest(
    config: SearchRunConfig, labelled: LabelledText, split: Split, result: SearchResult, started: datetime
) -> RunManifest:
    card, backbone = labelled.card, result.resolved.backbone
    cutoff = backbone.pretraining_cutoff
    return RunManifest(
        kind="search",
        config_id=config.id,
        config=config.model_dump(mode="json"),
        data_ids={card.name: labelled.id},
        split_ids={split.name: split.id},
        seed=config.search.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=(
            {"kind": "backbone", "name": backbone.name, "sha256": result.resolved.sha256,
             "cutoff": None if cutoff is None else cutoff.isoformat(), "cutoff_note": backbone.cutoff_note},
        ),
        licences=(
            {"of": card.name, "name": card.licence.name, "commercial_use": card.licence.commercial_use,
             "source": card.licence.source},
            *backbone_terms(result.resolved),
        ),
        synthetic=card.synthetic,
        **collect_environment(),
    )  # fmt: skip


def _table(result: SearchResult) -> pd.DataFrame:
    """Return one row a trial, interrupted and pruned ones counted."""
    rows = [
        {"trial": trial.number, "outcome": trial.outcome, "score": trial.score, "seconds": trial.seconds,
         "epochs_run": len(trial.epoch_scores), **trial.chosen}
        for trial in result.trials
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _headed(best: TrainConfig, result: SearchResult, rows: int, *, synthetic: bool) -> str:
    mark = "# Synthetic data, written by a program: the score says nothing about the world.\n" if synthetic else ""
    return mark + (
        f"# The best of {len(result.trials)} trials: {result.score:.4f} on {rows:,} validation rows. They chose it,\n"
        "# so they flatter it. Train it with: tapereader train --config best.yaml --out DIR\n" + best.to_yaml()
    )


def _write(path: Path, text: str) -> None:
    """Put a file in its place whole; a file that says the same already stays the one it is."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
