"""``train``: labelled text in; a fine-tuned, calibrated, judged and documented bundle out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tapereader.bundle import Bundle, TaskKind, write_bundle
from tapereader.core.config import NOT_IDENTITY, Config, read_mapping
from tapereader.core.errors import ConfigError
from tapereader.dataset import check
from tapereader.dataset.choice import SplitConfig, choose_split, find_near_duplicates
from tapereader.dataset.parts import Split
from tapereader.engine import Engine
from tapereader.governance import RunManifest, collect_environment
from tapereader.governance.facts import ModelFacts
from tapereader.recipes.bundling import contract_facts, example_answers, fill_bundle
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.recipes.judging import model_facts
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.sources import LabelledText, dataset_names, describe
from tapereader.training.experiment import JudgingConfig, Trial, run_trial
from tapereader.training.trainer import FinetuneConfig

#: Told what is being done, and how far it is: (what, done, of).
Report = Callable[[str, int, int], None]


class FileColumns(Config):
    """How to read a file of one's own; a named data set takes none of it."""

    text: str | None = None
    """Column of the text."""
    label: str | None = None
    """Column of the label or number."""
    pair: str | None = None
    """Column of the named target, for sentiment towards it."""
    time: str | None = None
    """Column of the time at which the text was known."""
    group: str | None = None
    """Rows with one value here stay on one side of a split."""
    task_kind: TaskKind | None = None
    """Kind of answer; None infers it."""
    labels: tuple[str, ...] | None = None
    """Label names in the order of the outputs; None sorts them."""
    language: Literal["en", "zh", "mixed", "unknown"] | None = None
    """Language of the text."""
    encoding: str | None = None
    """Of a text file; None demands UTF-8 or a byte-order mark."""


class TrainConfig(Config):
    """One training, from rows to bundle."""

    dataset: str
    """Name from `tapereader data list`, or a CSV, Parquet or JSONL file."""
    columns: FileColumns = FileColumns()
    """How to read a file of one's own."""
    split: SplitConfig = SplitConfig()
    """How rows are dealt into train, validation and test."""
    finetune: FinetuneConfig = FinetuneConfig()
    """The recipe."""
    judging: JudgingConfig = JudgingConfig()
    """What is decided on held-out text, and what the model is shown beside."""
    title: str | None = Field(default=None, json_schema_extra=NOT_IDENTITY)
    """Of the model card; None makes one from backbone and data set."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training made.

    Parameters
    ----------
    bundle : the bundle on disk
    report : page for people beside the bundle, not in it: it shows texts of the data set, which are not ours to pass on
    facts : what card and report were written from
    warnings : findings in the data that did not stop the training
    """

    bundle: Bundle
    report: Path
    facts: ModelFacts
    warnings: tuple[str, ...]


def build_config(
    path: Path | None, *, profile: Literal["fast", "quality"], values: dict[str, Any], overrides: tuple[str, ...] = ()
) -> TrainConfig:
    """Put a config together: the profile's recipe, then the file, then options, then ``--set``.

    Parameters
    ----------
    path : YAML file or None
    profile : recipe to start from; the language decides which backbone it takes
    values : options as nested plain values; None entries are left out
    overrides : ``a.b=value``
    """
    asked = read_mapping(path, overrides=(), base={})
    asked = _merge(asked, values)
    language = _language_of(asked)
    recipe = FinetuneConfig.for_profile(profile, language=language).model_dump(mode="json")
    return TrainConfig.from_mapping(read_mapping(None, overrides=overrides, base=_merge({"finetune": recipe}, asked)))


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

    A run that is killed leaves its checkpoints in a hidden folder beside ``out``; the same call goes on from there.

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
        If the rows cannot be learnt from, with row numbers.
    ConfigError
        If the recipe does not fit, or ``out`` is taken.
    """
    say = report or _silent
    out = Path(out)
    if out.exists() and not replace and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"`out` must not exist yet; got {str(out)!r}. Give another name, or `--replace`.")
    if config.columns.task_kind == "generation":
        raise ConfigError(
            "Answers in words are trained with `finetune_generating`; this verb makes labels and numbers."
        )
    started = datetime.now(UTC)
    say("Reading and checking the rows", 0, 0)
    options = FileOptions(**{name: getattr(config.columns, name) for name in type(config.columns).model_fields})
    labelled = open_labelled(config.dataset, options=options, root=data_root)
    checked = check(labelled, threshold=config.split.near_duplicates)
    checked.raise_for_errors()
    groups = find_near_duplicates(labelled, config.split).groups
    split = choose_split(labelled, config.split, groups)
    work = out.parent / f".{out.name}.run"
    _claim(work, config, labelled, split)
    say("Fine-tuning", 0, 0)
    trial = run_trial(
        labelled, split, config.finetune, config.judging, groups=groups, work_dir=work,
        progress=lambda done, of: say("Fine-tuning", done, of), allow_download=allow_download,
    )  # fmt: skip
    say("Judging", 0, 0)
    manifest = _manifest(config, labelled, split, trial, started)
    title = config.title or f"{labelled.card.title}: {trial.model.resolved.backbone.name}"
    facts = model_facts(
        title=title, labelled=labelled, split=split, near_duplicates=config.split.near_duplicates,
        seed=config.finetune.seed, trial=trial, manifest=manifest, groups=groups,
    )  # fmt: skip
    say("Writing the bundle", 0, 0)
    bundle = write_bundle(
        out,
        contract_facts=contract_facts(labelled, trial),
        calibration=trial.calibration,
        manifest=manifest.to_dict(),
        fill=lambda folder: fill_bundle(
            folder, trial=trial, labelled=labelled, config_yaml=_portable(config).to_yaml(), facts=facts
        ),
        check=Engine,
        replace=replace,
    )
    shutil.rmtree(work, ignore_errors=True)
    facts["bundle_id"] = bundle.id
    facts["examples"] = example_answers(Engine(bundle, check=False))
    page = out.parent / f"{out.name}-report.html"
    write_text(page, model_page(facts))
    return TrainResult(bundle=bundle, report=page, facts=facts, warnings=tuple(checked.lines()))


def _silent(what: str, done: int, of: int) -> None:
    """Report to nobody."""


def _manifest(
    config: TrainConfig, labelled: LabelledText, split: Split, trial: Trial, started: datetime
) -> RunManifest:
    card, backbone = labelled.card, trial.model.resolved.backbone
    cutoff = backbone.pretraining_cutoff
    return RunManifest(
        kind="train",
        config_id=config.id,
        config=_portable(config).model_dump(mode="json"),
        data_ids={card.name: labelled.id},
        split_ids={split.name: split.id},
        seed=config.finetune.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=(
            {
                "kind": "backbone",
                "name": backbone.name,
                "sha256": trial.model.resolved.sha256,
                "cutoff": None if cutoff is None else cutoff.isoformat(),
                "cutoff_note": backbone.cutoff_note,
            },
        ),
        licences=(
            {"of": card.name, "name": card.licence.name, "commercial_use": card.licence.commercial_use,
             "source": card.licence.source},
            {"of": backbone.name, "name": backbone.licence, "commercial_use": None, "source": backbone.title},
        ),
        synthetic=card.synthetic,
        **collect_environment(),
    )  # fmt: skip


def _portable(config: TrainConfig) -> TrainConfig:
    """Return the config without this machine's folders: a file is named by its last part."""
    path = Path(config.dataset)
    backbone = Path(config.finetune.backbone)
    changes: dict[str, Any] = {}
    if path.is_absolute():
        changes["dataset"] = path.name
    if backbone.is_absolute():
        changes["finetune"] = config.finetune.replace(backbone=backbone.name)
    return config.replace(**changes) if changes else config


def _claim(work: Path, config: TrainConfig, labelled: LabelledText, split: Split) -> None:
    """Make the run's folder, or take up one that a killed run of the very same training left."""
    stamp = json.dumps({"config": config.id, "data": labelled.id, "split": split.id})
    found = work / "run.json"
    if work.exists() and (not found.is_file() or found.read_text(encoding="utf-8") != stamp):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    found.write_text(stamp, encoding="utf-8")


def _language_of(asked: dict[str, Any]) -> str:
    name = asked.get("dataset")
    if name in dataset_names():
        return describe(name).language
    return str((asked.get("columns") or {}).get("language") or "en")


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, folder by folder; None leaves what was there."""
    out = dict(base)
    for name, value in changes.items():
        if isinstance(value, dict):
            inner = out.get(name)
            out[name] = _merge(inner if isinstance(inner, dict) else {}, value)
        elif value is not None:
            out[name] = value
    return out
