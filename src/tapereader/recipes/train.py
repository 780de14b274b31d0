"""``train``: labelled text in; a fine-tuned, calibrated, judged and documented bundle out."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tapereader.bundle import write_bundle
from tapereader.core.errors import ConfigError
from tapereader.engine import Engine
from tapereader.models.backbones import resolve_backbone
from tapereader.recipes.bundling import contract_facts, example_answers, fill_bundle, write_parts
from tapereader.recipes.eight_bits import add_int8, write_draft
from tapereader.recipes.judging import model_facts
from tapereader.recipes.preparing import Prepared, Report, TrainResult, prepare, run_manifest
from tapereader.recipes.run_folder import run_folder, work_folder
from tapereader.recipes.train_config import TrainConfig, portable
from tapereader.recipes.train_words import train_words
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.training import processes
from tapereader.training.experiment import Trial, run_trial
from tapereader.training.trainer import REVISION, finetune


def train(
    config: TrainConfig,
    out: Path,
    *,
    replace: bool = False,
    report: Report | None = None,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> TrainResult:
    """Check the rows, deal them, learn, calibrate, judge, export and write a bundle.

    A run that is killed leaves its checkpoints in a hidden folder beside ``out``; the same call goes on from there. One
    that is refused leaves nothing. Of several processes that a launcher
    started, the first calls this, and the others :func:`learn_along`.

    Parameters
    ----------
    config : what to do
    out : the bundle's folder, which must not exist
    replace : put it in the place of an older bundle
    report : told how far it is
    allow_download : let a hub id be fetched
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    DataError
        If the rows cannot be learnt from, with row numbers, or the disk is full or closed.
    ConfigError
        If the recipe does not fit, ``out`` is taken, or this is not the first of several processes.
    """
    if not processes.is_first():
        raise ConfigError("`train` must be called in the first process alone; the others call `learn_along`.")
    say = report or _silent
    out = Path(out)
    if config.answer == "words":
        processes.refuse_several("train --answer words")
        return train_words(config, out, replace=replace, say=say, allow_download=allow_download, data_root=data_root)
    started = datetime.now(UTC)
    prepared = prepare(config, out, replace=replace, say=say, data_root=data_root)
    labelled, split, groups = prepared.labelled, prepared.split, prepared.groups
    say("Fine-tuning", 0, 0)
    backbone = resolve_backbone(config.finetune.backbone, allow_download=allow_download)
    identity = {
        "config": config.id, "data": labelled.id, "split": split.id, "backbone": backbone.sha256,
        "revision": str(REVISION), "processes": str(processes.count()),
    }  # fmt: skip
    with run_folder(out, identity) as work:
        processes.wait_for_all()
        trial = run_trial(
            labelled, split, config.finetune, config.judging, groups=groups, work_dir=work,
            progress=lambda done, of: say("Fine-tuning", done, of), allow_download=allow_download,
        )  # fmt: skip
    processes.leave()
    say("Judging", 0, 0)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        return _judge_and_write(
            config, prepared, trial, out, Path(temporary), work, started=started, replace=replace, say=say
        )


def _judge_and_write(
    config: TrainConfig, prepared: Prepared, trial: Trial, out: Path, temporary: Path, work: Path, *,
    started: datetime, replace: bool, say: Report,
) -> TrainResult:  # fmt: skip
    labelled, split, groups = prepared.labelled, prepared.split, prepared.groups
    parts, stated, eight = temporary / "parts", contract_facts(labelled, trial), None
    write_parts(parts, trial=trial, labelled=labelled)
    if config.int8:
        draft = write_draft(temporary / "draft", parts, stated, trial.calibration)
        eight = add_int8(
            parts, draft, labelled, split, groups=groups, seed=config.finetune.seed, threads=config.finetune.threads
        )
        shutil.rmtree(draft.path)
        if eight.outputs is not None:
            trial = dataclasses.replace(trial, outputs=eight.outputs)
    manifest = run_manifest(config, labelled, split, trial.model.resolved, started)
    title = config.title or f"{labelled.card.title}: {trial.model.resolved.backbone.name}"
    facts = model_facts(
        title=title, labelled=labelled, split=split, near_duplicates=config.split.near_duplicates,
        seed=config.finetune.seed, trial=trial, manifest=manifest, groups=groups,
    )  # fmt: skip
    if eight is not None:
        facts["int8"] = eight.facts
    say("Writing the bundle", 0, 0)
    bundle = write_bundle(
        out,
        contract_facts=stated,
        calibration=trial.calibration,
        manifest=manifest.to_dict(),
        fill=lambda folder: fill_bundle(folder, parts, config_yaml=portable(config).to_yaml(), facts=facts),
        check=Engine,
        replace=replace,
    )
    _keep_curves(work, out.parent / f"{out.name}-curves")
    shutil.rmtree(work, ignore_errors=True)
    facts["bundle_id"] = bundle.id
    facts["examples"] = example_answers(Engine(bundle, check=False))
    page = out.parent / f"{out.name}-report.html"
    write_text(page, model_page(facts))
    return TrainResult(bundle=bundle, report=page, facts=facts, warnings=prepared.warnings)


def learn_along(
    config: TrainConfig,
    out: Path,
    *,
    replace: bool = False,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> None:
    """Do this process's share of a training that the first process judges and writes, with the same arguments."""
    if config.answer == "words":
        processes.refuse_several("train --answer words")
    prepared = prepare(config, out, replace=replace, say=_silent, data_root=data_root)
    labelled, split = prepared.labelled, prepared.split
    validation = labelled.take(split.validation) if len(split.validation) else None
    processes.wait_for_all()
    finetune(
        labelled.take(split.train), validation, config.finetune,
        work_dir=work_folder(out), allow_download=allow_download,
    )  # fmt: skip
    processes.leave()


def _silent(what: str, done: int, of: int) -> None:
    """Report to nobody."""


def _keep_curves(work: Path, target: Path) -> None:
    """Move what a tracker wrote while training out of the run's folder, which goes."""
    if (work / "runs").is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(work / "runs", target)
