"""Teaching a network to say the label: rows in, a bundle that answers in words out."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapereader.bundle import Calibration, ContractFacts, write_bundle
from tapereader.core.errors import ConfigError
from tapereader.models.tasks import find_task
from tapereader.recipes.bundling import fill_documents
from tapereader.recipes.judging import words_facts
from tapereader.recipes.preparing import Report, TrainResult, prepare, run_manifest
from tapereader.recipes.run_folder import run_folder
from tapereader.recipes.train_config import TrainConfig, portable
from tapereader.recipes.words import INSTRUCTION, cut_note, said_outputs
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.training.experiment import JudgingConfig, baseline_outputs, check_baselines
from tapereader.training.generation import GeneratingModel, finetune_generating
from tapereader.training.trainer import FinetuneConfig

#: Fields of the recipe that teaching to answer in words uses; the others belong to a head or an encoder.
_USED = frozenset({
    *(f"finetune.{name}" for name in (
        "backbone", "epochs", "batch_size", "max_length", "precision", "checkpoints", "seed", "threads",
    )),
    *(f"finetune.adapter.{name}" for name in ("method", "layers", "rank", "alpha")),
    *(f"finetune.optimizer.{name}" for name in (
        "name", "learning_rate", "weight_decay", "warmup_share", "schedule", "clip_norm", "momentum",
    )),
})  # fmt: skip
#: What is fitted on probabilities or shown of a head, and words have neither.
_NOT_JUDGED = ("coverage", "abstain_at", "before")
_READ = ("en", "zh")


def train_words(
    config: TrainConfig, out: Path, *, replace: bool, say: Report, allow_download: bool, data_root: Path | None
) -> TrainResult:
    """Teach a decoder or encoder-decoder to answer with labels, judge it, and write a bundle.

    Parameters
    ----------
    config : its ``answer`` is ``words``
    out, replace, allow_download, data_root : as in :func:`tapereader.recipes.train.train`
    say : told how far it is

    Raises
    ------
    ConfigError
        If the labels are not single ones, the backbone cannot generate, or a field is given that changes nothing here.
    """
    refuse_ignored(config)
    started = datetime.now(UTC)
    prepared = prepare(config, out, replace=replace, say=say, data_root=data_root)
    labelled, split, groups = prepared.labelled, prepared.split, prepared.groups
    if labelled.card.contract.kind not in ("single-label", "ordinal") or labelled.pairs is not None:
        raise ConfigError(
            f"Answers in words are learnt for one label a text, without a second text; {config.dataset!r} is "
            f"{labelled.card.contract.kind}{' with pairs' if labelled.pairs is not None else ''}."
        )
    check_baselines(config.judging)
    question = config.question or find_task(labelled.card.task).question
    say("Fine-tuning", 0, 0)
    with run_folder(out, {"config": config.id, "data": labelled.id, "split": split.id}) as work:
        model = finetune_generating(
            labelled.take(split.train), config.finetune, question=question, work_dir=work,
            progress=lambda done, of: say("Fine-tuning", done, of), allow_download=allow_download,
        )  # fmt: skip
    say("Judging", 0, 0)
    cut = cut_note(model.count_cut(labelled.texts), len(labelled), model.max_length)
    test = labelled.take(split.test)
    outputs = said_outputs(model.contract, model.answer(test.texts))
    judging = config.judging.replace(baselines=tuple(b for b in config.judging.baselines if b != "frozen-embedding"))
    assert model.resolved is not None  # noqa: S101  # it was just resolved
    others = baseline_outputs(labelled, split, judging, resolved=model.resolved, config=config.finetune, groups=groups)
    manifest = run_manifest(config, labelled, split, model.resolved, started)
    title = config.title or f"{labelled.card.title}: {model.resolved.backbone.name}, answering in words"
    facts = words_facts(
        title=title, labelled=labelled, contract=model.contract, split=split, outputs=outputs, others=others,
        near_duplicates=config.split.near_duplicates, seed=config.finetune.seed, manifest=manifest, groups=groups,
        losses=model.losses,
    )  # fmt: skip
    say("Writing the bundle", 0, 0)

    def fill(folder: Path) -> None:
        _save(model, folder / "model")
        fill_documents(folder, config_yaml=portable(config).to_yaml(), facts=facts)

    bundle = write_bundle(
        out,
        contract_facts=ContractFacts(
            contract=model.contract, task=labelled.card.task, language=labelled.card.language, has_pair=False,
            max_length=model.max_length, pooling="last",
        ),
        calibration=Calibration(), manifest=manifest.to_dict(), fill=fill, replace=replace,
    )  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)
    facts["bundle_id"] = bundle.id
    page = out.parent / f"{out.name}-report.html"
    write_text(page, model_page(facts))
    return TrainResult(bundle=bundle, report=page, facts=facts, warnings=(*prepared.warnings, *([cut] if cut else [])))


def _save(model: GeneratingModel, folder: Path) -> None:
    folder.mkdir(parents=True)
    model.save(folder)
    (folder / INSTRUCTION).write_text(
        json.dumps({"question": model.question}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


def refuse_ignored(config: TrainConfig) -> None:
    """Refuse fields that change nothing where the answer is in words, before minutes of work.

    Raises
    ------
    ConfigError
        If one of them differs from its default and from what the profiles set.
    """
    profiles = [
        FinetuneConfig.for_profile(profile, language=language) for profile in ("fast", "quality") for language in _READ
    ]
    usual = [_leaves(recipe.model_dump(mode="json"), "finetune") for recipe in (FinetuneConfig(), *profiles)]
    asked = _leaves(config.finetune.model_dump(mode="json"), "finetune")
    ignored = {
        name: value
        for name, value in asked.items()
        if name not in _USED and all(value != known.get(name) for known in usual)
    }
    judging, plain = config.judging.model_dump(mode="json"), JudgingConfig().model_dump(mode="json")
    ignored |= {f"judging.{name}": judging[name] for name in _NOT_JUDGED if judging[name] != plain[name]}
    if ignored:
        listed = ", ".join(f"{name}={value!r}" for name, value in ignored.items())
        raise ConfigError(
            f"A training whose answer is in words must be given only fields that it uses; got {listed}. Leave these "
            "out, or train with `answer=labels`."
        )


def _leaves(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return dotted path to value of nested fields."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}.{name}"
        found |= _leaves(value, path) if isinstance(value, dict) else {path: value}
    return found
