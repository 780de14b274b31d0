"""``optimize``: a finished bundle in; a smaller or faster one out, judged and measured beside its parent."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle, ContractFacts, SanitySentence, decode, write_bundle
from tapereader.bundle.calibration import Calibration
from tapereader.bundle.folder import CARD
from tapereader.bundle.writing import refuse_taken
from tapereader.core.errors import ConfigError
from tapereader.engine import Engine, EngineSpeed, measure_engine, median_speed
from tapereader.engine.batching import Batch
from tapereader.governance import ModelFacts, RunManifest, changes_section, collect_environment
from tapereader.models.backbones import resolve_backbone
from tapereader.recipes.bundling import example_answers, fill_documents
from tapereader.recipes.data import FileOptions
from tapereader.recipes.eight_bits import add_int8, training_batches, write_draft
from tapereader.recipes.judging import answers_facts
from tapereader.recipes.optimize_config import OptimizeConfig
from tapereader.recipes.own_rows import OwnRows, open_own_rows
from tapereader.recipes.preparing import Report, backbone_parent
from tapereader.recipes.terms import backbone_terms, without_repeats
from tapereader.recipes.transfer import with_transfer
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.sources import LabelledText
from tapereader.training.calibration import fit_calibration
from tapereader.training.compress.bf16 import store_bf16, store_weights_bf16
from tapereader.training.compress.int8 import TOLERANCE, quantize_dynamic, quantize_static
from tapereader.training.compress.opening import recovery_recipe, start_of
from tapereader.training.compress.remaking import Remade, prune, shorten, thin, write_network
from tapereader.training.compress.sizes import part_mib
from tapereader.training.compress.verdict import AGREEMENT_FLOORS, Verdict, judge_variant
from tapereader.training.trainer import FinetuneConfig, Teaching, finetune

#: What a bundle keeps of how it was made smaller.
OPTIMIZATION = "optimization.json"
#: What a reader of the card must know of each method.
_NOTES = {
    "int8-dynamic": "The graph in `onnx/` has eight-bit weights (seven bits used, one scale an output channel; tables "
    "of embeddings one scale a row) and finds a scale for every token anew: an answer depends on nothing but its text, "
    f"and differs by up to {TOLERANCE:g} in a probability between processors. It is written in ONNX Runtime's own "
    "operators. The folder "
    "`model/` holds the parent's weights in full.",
    "int8-static": "The graph in `onnx/` has eight-bit weights (seven bits used, one scale an output channel; tables "
    "of embeddings one scale a row) and scales of what they are multiplied with that were fixed on training text where "
    "tokens are alike in size, and are found for every token where they are not; "
    f"answers can differ by up to {TOLERANCE:g} in a probability between processors. The folder `model/` holds the "
    "parent's weights in full.",
    "bf16": "Large weights are kept in bfloat16, in `onnx/` and in `model/`. ONNX Runtime computes with them in "
    "float32; OpenVINO computes in bfloat16 where it is asked to and the processor can.",
}
#: What is taught again has new weights, which are shipped in eight bits too.
_TAUGHT = frozenset({"prune", "drop-layers", "distil"})


@dataclass(frozen=True, kw_only=True)
class OptimizeResult:
    """What an optimisation made.

    Parameters
    ----------
    bundle : the variant on disk
    report : page for people beside it
    facts : what card and report were written from
    changes : before and after, as ``optimization.json`` holds them
    """

    bundle: Bundle
    report: Path
    facts: ModelFacts
    changes: dict[str, Any]


def optimize(
    bundle: Bundle | Path | str,
    out: Path,
    config: OptimizeConfig,
    *,
    dataset: str | None = None,
    options: FileOptions | None = None,
    allow_loss: bool = False,
    speed: bool = True,
    replace_older: bool = False,
    report: Report | None = None,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> OptimizeResult:
    """Make a variant of a bundle, calibrate it anew on the validation part, and judge it beside its parent.

    Parameters
    ----------
    bundle : the parent, or its folder
    out : the folder to make
    config : how
    dataset : the rows the parent was made from; None takes the name it states, which finds named sets only
    options : how to read a file, where the parent's config does not say
    allow_loss : write the variant although it loses more than its budget or agrees too seldom
    speed : measure time and memory of both, each in a process of its own
    replace_older : put it in the place of an older bundle
    report : told what is being done
    allow_download : let the hub id of a student be fetched
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If the variant is refused, the bundle is none that can be made smaller, or the rows are not its own. Nothing is
        written then.
    BundleError
        If the bundle is damaged.
    """
    say = report or (lambda _what, _done, _of: None)
    out, started = Path(out), datetime.now(UTC)
    refuse_taken(out, replace_older)
    parent = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    _refuse_unfit(parent, config)
    say("Reading and dealing the rows", 0, 0)
    rows = open_own_rows(parent, dataset, options=_options(parent, options), data_root=data_root)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        say(f"Making the variant ({config.method})", 0, 0)
        parts = Path(temporary) / "parts"
        work = _Work(
            parent=parent, rows=rows, config=config, parts=parts, scratch=Path(temporary), say=say,
            allow_download=allow_download, data_root=data_root,
        )  # fmt: skip
        variant = _METHODS[config.method](work)
        draft = write_draft(Path(temporary) / "draft", parts, replace(variant.facts, sanity=()), parent.calibration)
        say("Judging", 0, 0)
        judged = _judge(parent, draft, rows, config)
        if judged.verdict.faults and not allow_loss:
            raise ConfigError(
                f"The variant must be as good as bundle {parent.id!r} within its budget; "
                f"{' and '.join(judged.verdict.faults)}. Nothing was written: give a greater `--budget`, or "
                "`--allow-loss`."
            )
        # With known answers: they are asked whenever a bundle is opened, which takes time too.
        facts = replace(variant.facts, sanity=_sanity(parent, draft, judged.calibration))
        eight = None
        if config.method in _TAUGHT:
            candidate = write_draft(Path(temporary) / "candidate", parts, facts, judged.calibration)
            eight = add_int8(
                parts, candidate, rows.labelled, rows.split, groups=rows.groups, seed=config.seed,
                threads=config.threads,
            )  # fmt: skip
            if eight.outputs is not None:
                judged = replace(judged, after=eight.outputs)
        speeds: tuple[EngineSpeed | None, EngineSpeed | None] = (None, None)
        if speed:
            whole = write_draft(Path(temporary) / "whole", parts, facts, judged.calibration)
            speeds = _speeds(parent, whole, rows, config, say)
        say("Writing the bundle", 0, 0)
        changes = _changes(parent, parts, config, variant, judged, speeds)
        manifest = _manifest(config, parent, variant, rows, started)
        described = _describe(parent, rows, config, manifest, judged)
        if eight is not None:
            described["int8"] = eight.facts
        made = write_bundle(
            out,
            contract_facts=facts,
            calibration=judged.calibration,
            manifest=manifest.to_dict(),
            fill=lambda folder: _fill(folder, parts, config, described, changes),
            check=Engine,
            replace=replace_older,
        )
    described["bundle_id"] = made.id
    described["examples"] = example_answers(Engine(made, check=False))
    page = out.parent / f"{out.name}-report.html"
    write_text(page, model_page(described))
    return OptimizeResult(bundle=made, report=page, facts=described, changes=changes | {"bundle_id": made.id})


@dataclass(frozen=True, kw_only=True)
class _Variant:
    """What a method made besides files.

    Parameters
    ----------
    facts : of the new network
    said : what was done, in words for the card
    parents, licences : of whatever else it was made from
    """

    facts: ContractFacts
    said: str
    parents: tuple[dict[str, Any], ...] = ()
    licences: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Work:
    """What a method is given: it writes ``model`` and ``onnx`` into ``parts``, and drafts into ``scratch``."""

    parent: Bundle
    rows: OwnRows
    config: OptimizeConfig
    parts: Path
    scratch: Path
    say: Report
    allow_download: bool
    data_root: Path | None

    @property
    def train(self) -> LabelledText:
        return self.rows.labelled.take(self.rows.split.train)

    @property
    def recipe(self) -> FinetuneConfig:
        config = self.config
        return recovery_recipe(self.parent, epochs=config.epochs, seed=config.seed, threads=config.threads)

    def progress(self, done: int, of: int) -> None:
        self.say("Fine-tuning", done, of)


def _refuse_unfit(parent: Bundle, config: OptimizeConfig) -> None:
    if config.method == "distil" and config.distil.teacher is None and config.distil.student is None:
        raise ConfigError(
            "`distil` needs a teacher or a student; got neither. Give `--teacher BUNDLE` to teach this bundle, or "
            "`--student BACKBONE` for this bundle to teach."
        )
    if parent.members and not (config.method == "distil" and config.distil.student is not None):
        raise ConfigError(
            f"Bundle {parent.id!r} is an ensemble: let it teach one network (`--method distil --student BACKBONE`), or "
            "make its members smaller and combine them again."
        )
    if parent.contract.kind == "generation":
        raise ConfigError(f"Bundle {parent.id!r} answers in words; only a network with a head can be made smaller.")


def _options(parent: Bundle, given: FileOptions | None) -> FileOptions:
    """Return how the parent's file was read, with what is said now laid over it."""
    stated = {name: value for name, value in parent.manifest["config"].get("columns", {}).items() if value is not None}
    if "labels" in stated:
        stated["labels"] = tuple(stated["labels"])
    return FileOptions(**(stated | (given.given() if given is not None else {})))


def _dynamic(work: _Work) -> _Variant:
    _copy(work.parent.path / "model", work.parts / "model")
    quantize_dynamic(work.parent.onnx_path, work.parts / "onnx" / "model.onnx", _feeds(work))
    return _Variant(facts=_looser(work.parent), said=_NOTES["int8-dynamic"])


def _static(work: _Work) -> _Variant:
    _copy(work.parent.path / "model", work.parts / "model")
    quantize_static(work.parent.onnx_path, work.parts / "onnx" / "model.onnx", _feeds(work))
    return _Variant(facts=_looser(work.parent), said=_NOTES["int8-static"])


def _feeds(work: _Work) -> list[Batch]:
    config = work.config
    return training_batches(
        work.parent, work.rows.labelled, work.rows.split, n=config.calibration_texts, seed=config.seed
    )


def _bf16(work: _Work) -> _Variant:
    _copy(work.parent.path / "model", work.parts / "model")
    store_weights_bf16(work.parts / "model")
    store_bf16(work.parent.onnx_path, work.parts / "onnx" / "model.onnx")
    return _Variant(facts=work.parent.facts, said=_NOTES["bf16"])


def _prune(work: _Work) -> _Variant:
    config = work.config
    made = prune(
        work.parent, work.train, work.recipe, head_share=config.prune.heads, width_share=config.prune.width,
        texts=config.importance_texts, folder=work.scratch / "pruned", progress=work.progress,
    )  # fmt: skip
    write_network(made, work.parent.contract, work.parts)
    return _Variant(facts=work.parent.facts, said=made.said)


def _drop_layers(work: _Work) -> _Variant:
    made = shorten(
        work.parent, work.train, work.recipe, count=work.config.layers, texts=work.config.importance_texts,
        folder=work.scratch / "shortened", progress=work.progress,
    )  # fmt: skip
    write_network(made, work.parent.contract, work.parts)
    return _Variant(facts=work.parent.facts, said=made.said)


def _sparse(work: _Work) -> _Variant:
    made = thin(
        work.parent, work.train, work.recipe, share=work.config.zeros, folder=work.scratch / "thinned",
        progress=work.progress,
    )  # fmt: skip
    write_network(made, work.parent.contract, work.parts)
    return _Variant(facts=work.parent.facts, said=made.said)


def _distil(work: _Work) -> _Variant:
    asked, parent, train = work.config.distil, work.parent, work.train
    teacher = parent if asked.teacher is None else Bundle.load(asked.teacher)
    _refuse_foreign(teacher, parent)
    engine = Engine(teacher, backend="onnxruntime", threads=work.config.threads)
    transfer = None
    if asked.transfer is not None:
        split = work.rows.split
        judged = work.rows.labelled.take(np.concatenate([split.validation, split.test]))
        work.say("Reading and answering unlabelled text", 0, 0)
        transfer = with_transfer(
            train, asked.transfer, engine, judged.texts, seed=work.config.seed, root=work.data_root
        )
        train = transfer.rows
    answers = engine.outputs if parent.contract.kind == "regression" else engine.logits
    teaching = Teaching(
        outputs=answers(train.texts, train.pairs).reshape(len(train), -1), temperature=asked.temperature,
        share=asked.share,
    )  # fmt: skip
    recipe, start, resolved = work.recipe, None, None
    if asked.student is None:
        start = start_of(parent)
    else:
        resolved = resolve_backbone(asked.student, allow_download=work.allow_download)
        recipe = recipe.replace(backbone=asked.student)
    model = finetune(
        train, None, recipe, start=start, teaching=teaching, progress=work.progress, allow_download=work.allow_download
    )
    who = "This bundle's network" if start else f"A new network on `{recipe.backbone}`"
    said = (
        f"{who} learnt from the answers of bundle `{teacher.id}` on the training part (temperature "
        f"{asked.temperature:g}, {asked.share:g} of the loss) and from its labels, {recipe.epochs} passes. The teacher "
        "was trained on the same rows, dealt the same way: it never saw the test part either."
    ) + (f" {transfer.said}" if transfer is not None else "")
    write_network(Remade(model=model, said=said), parent.contract, work.parts)
    parents: tuple[dict[str, Any], ...] = () if teacher.id == parent.id else (_parent(teacher),)
    licences = tuple(dict(one) for one in teacher.manifest["licences"])
    if transfer is not None:
        licences += transfer.licences
    if resolved is not None:
        parents += (backbone_parent(resolved),)
        licences += backbone_terms(resolved)
    facts = replace(
        parent.facts, prefix=model.resolved.backbone.prefix, pooling=model.network.pooling, tokenizer_fingerprint=""
    )
    return _Variant(facts=facts, said=said, parents=parents, licences=licences)


def _refuse_foreign(teacher: Bundle, parent: Bundle) -> None:
    parent.contract.check_same(teacher.contract, ours=f"Bundle {parent.id!r}", theirs=f"teacher {teacher.id!r}")
    if teacher.has_pair != parent.has_pair or teacher.contract.kind == "generation":
        raise ConfigError(f"The teacher must be asked as bundle {parent.id!r} is; bundle {teacher.id!r} is not.")
    for what in ("data_ids", "split_ids"):
        if teacher.manifest.get(what) != parent.manifest.get(what):
            raise ConfigError(
                f"A teacher must be trained on the rows of bundle {parent.id!r}, dealt the same way, or it may have "
                f"seen what its student is judged on; `{what}` of the teacher are {teacher.manifest.get(what)!r}, of "
                f"the bundle {parent.manifest.get(what)!r}. Train it with the same data and `split`."
            )


#: Each writes ``model`` and ``onnx`` into a folder, and says what it made.
_METHODS: dict[str, Callable[[_Work], _Variant]] = {
    "int8-dynamic": _dynamic,
    "int8-static": _static,
    "bf16": _bf16,
    "prune": _prune,
    "drop-layers": _drop_layers,
    "distil": _distil,
    "sparse": _sparse,
}


def _looser(parent: Bundle) -> ContractFacts:
    scale = parent.calibration.target_scale if parent.contract.kind == "regression" else 1.0
    return replace(parent.facts, outputs_tolerance=max(parent.facts.outputs_tolerance, TOLERANCE * scale))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Judged:
    """Calibrated answers of parent and variant on the test part, and what is to be said of them."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    calibration: Calibration
    verdict: Verdict


def _judge(parent: Bundle, draft: Bundle, rows: OwnRows, config: OptimizeConfig) -> _Judged:
    contract, split = parent.contract, rows.split
    judging = parent.manifest["config"].get("judging", {})
    both = np.concatenate([split.validation, split.test])
    parts = [rows.labelled.take(part) for part in (split.validation, split.test) if len(part)]
    engine = Engine(draft, threads=config.threads, check=False)
    asked = Engine(parent, backend="onnxruntime", threads=config.threads)  # the network in float
    logits = np.concatenate([engine.logits(part.texts, part.pairs) for part in parts])
    before = np.concatenate([asked.outputs(part.texts, part.pairs) for part in parts])
    n = len(split.validation)
    calibration = parent.calibration
    if n:
        calibration = fit_calibration(
            contract, logits[:n], parts[0].targets(), groups=rows.groups[split.validation], seed=config.seed,
            coverage=judging.get("coverage", 0.9), abstain_at=judging.get("abstain_at"),
            target_mean=calibration.target_mean, target_scale=calibration.target_scale,
        )  # fmt: skip
    after = decode(contract, logits, calibration)
    verdict = judge_variant(
        contract, rows.labelled.take(both).targets(), before=before, after=after, groups=rows.groups[both],
        test=slice(n, len(both)), thresholds=(calibration.threshold, parent.calibration.threshold),
        budget=config.budget_r2 if contract.kind == "regression" else config.budget,
        floor=AGREEMENT_FLOORS.get(config.method), seed=config.seed,
    )  # fmt: skip
    return _Judged(before=before[n:], after=after[n:], calibration=calibration, verdict=verdict)


def _sanity(parent: Bundle, draft: Bundle, calibration: Calibration) -> tuple[SanitySentence, ...]:
    """Return the parent's sentences as the variant's own graph answers them, on the runtime that will be asked."""
    asked = parent.facts.sanity
    if not asked:
        return ()
    pairs = [one.pair or "" for one in asked] if parent.has_pair else None
    logits = Engine(draft, backend="onnxruntime", check=False).logits([one.text for one in asked], pairs)
    outputs = decode(parent.contract, logits, calibration)
    return tuple(
        SanitySentence(text=one.text, pair=one.pair, outputs=tuple(map(float, np.atleast_1d(row))))
        for one, row in zip(asked, outputs, strict=True)
    )


def _speeds(
    parent: Bundle, variant: Bundle, rows: OwnRows, config: OptimizeConfig, say: Report
) -> tuple[EngineSpeed, EngineSpeed]:
    # Text of the kind that will be asked, whatever part it stands in: no label is read.
    texts, pairs = rows.labelled.texts, rows.labelled.pairs
    found: dict[str, list[EngineSpeed]] = {"before": [], "after": []}
    # In turn, so that a busy minute of the machine spoils both alike.
    turns = ("before", "after", "after", "before", "before", "after")
    for number, side in enumerate(turns):
        say("Measuring", number, len(turns))
        path = parent.path if side == "before" else variant.path
        backend = "onnxruntime" if side == "before" else None  # in float, and as the variant answers by itself
        found[side].append(measure_engine(path, texts, backend, config.threads, pairs=pairs, rounds=1))
    return median_speed(found["before"]), median_speed(found["after"])


def _changes(
    parent: Bundle, parts: Path, config: OptimizeConfig, variant: _Variant, judged: _Judged, speeds: tuple[Any, Any]
) -> dict[str, Any]:
    sides = []
    for folder, speed in ((parent.path, speeds[0]), (parts, speeds[1])):
        timed = {} if speed is None else {name: value for name, value in speed.to_dict().items() if name != "bundle_id"}
        sides.append({"graph_mib": part_mib(folder, "onnx"), "weights_mib": part_mib(folder, "model")} | timed)
    return {
        "method": config.method, "parent": parent.id, "note": variant.said,
        "verdict": judged.verdict.to_dict(), "before": sides[0], "after": sides[1],
    }  # fmt: skip


def _describe(
    parent: Bundle, rows: OwnRows, config: OptimizeConfig, manifest: RunManifest, judged: _Judged
) -> ModelFacts:
    name = f"Parent {parent.id}"
    facts = answers_facts(
        title=f"{rows.labelled.card.title}: {_name(parent)}, {config.method}", labelled=rows.labelled,
        contract=parent.contract, split=rows.split,
        near_duplicates=parent.manifest["config"]["split"].get("near_duplicates", 0.8), seed=config.seed,
        manifest=manifest, groups=rows.groups, outputs=judged.after, calibration=judged.calibration,
        answered={name: judged.before}, thresholds={name: parent.calibration.threshold}, curve=[],
    )  # fmt: skip
    facts["rerun"] = f"tapereader optimize BUNDLE --method {config.method} --out DIR"
    return facts


def _manifest(
    config: OptimizeConfig, parent: Bundle, variant: _Variant, rows: OwnRows, started: datetime
) -> RunManifest:
    stated = parent.manifest
    kept = {
        name: stated["config"][name] for name in ("columns", "split", "finetune", "judging") if name in stated["config"]
    }
    return RunManifest(
        kind="optimize",
        config_id=config.id,
        # With the parent's split the rows are dealt again.
        config=config.model_dump(mode="json") | kept,
        data_ids=stated["data_ids"],
        split_ids=stated["split_ids"],
        seed=config.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=(_parent(parent), *variant.parents),
        licences=without_repeats([*(dict(one) for one in stated["licences"]), *variant.licences]),
        synthetic=rows.labelled.card.synthetic,
        **collect_environment(),
    )


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _fill(folder: Path, parts: Path, config: OptimizeConfig, facts: ModelFacts, changes: dict[str, Any]) -> None:
    _copy(parts, folder)
    fill_documents(folder, config_yaml=_portable(config).to_yaml(), facts=facts)
    (folder / OPTIMIZATION).write_text(json.dumps(changes, indent=1) + "\n", encoding="utf-8")
    with (folder / CARD).open("a", encoding="utf-8") as card:
        card.write("\n" + changes_section(changes, facts))


def _portable(config: OptimizeConfig) -> OptimizeConfig:
    """Return the config without this machine's folders."""
    distil = config.distil
    changes: dict[str, Any] = {
        field: Path(value).name
        for field, value in (("teacher", distil.teacher), ("student", distil.student))
        if value is not None and Path(value).is_absolute()
    }
    if distil.transfer is not None:
        names = tuple(Path(one).name if Path(one).is_absolute() else one for one in distil.transfer.sources)
        changes["transfer"] = distil.transfer.replace(sources=names)
    return config.replace(distil=distil.replace(**changes)) if changes else config


def _name(bundle: Bundle) -> str:
    return ", ".join(str(parent["name"]) for parent in bundle.manifest["parents"]) or bundle.id


def _parent(bundle: Bundle) -> dict[str, Any]:
    return {"kind": "bundle", "name": _name(bundle), "id": bundle.id, "cutoff": _cutoff(bundle.manifest)}


def _cutoff(stated: dict[str, Any]) -> str | None:
    """Return the latest day any parent may have read; None where one of them does not say."""
    known = [parent.get("cutoff") for parent in stated["parents"]]
    return None if not known or None in known else max(known)
