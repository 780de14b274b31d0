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
from tapereader.engine import Engine, EngineSpeed, measure_engine, token_batches
from tapereader.governance import ModelFacts, RunManifest, changes_section, collect_environment
from tapereader.recipes.bundling import example_answers, fill_documents
from tapereader.recipes.data import FileOptions
from tapereader.recipes.judging import answers_facts
from tapereader.recipes.optimize_config import OptimizeConfig
from tapereader.recipes.own_rows import OwnRows, open_own_rows
from tapereader.recipes.preparing import Report
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.training.calibration import fit_calibration
from tapereader.training.compress.bf16 import store_bf16, store_weights_bf16
from tapereader.training.compress.int8 import TOLERANCE, quantize_dynamic, quantize_static
from tapereader.training.compress.sizes import folder_mib
from tapereader.training.compress.verdict import AGREEMENT_FLOORS, Verdict, judge_variant

#: What a bundle keeps of how it was made smaller.
OPTIMIZATION = "optimization.json"
#: What a reader of the card must know of each method.
_NOTES = {
    "int8-dynamic": "The graph in `onnx/` has eight-bit weights (seven bits used, one scale an output channel; tables "
    "of embeddings one scale a row) and finds the scale of what they are multiplied with anew in every batch: an "
    f"answer can move a little with its batch, and by up to {TOLERANCE:g} in a probability between processors. The "
    "folder `model/` holds the parent's weights in full.",
    "int8-static": "The graph in `onnx/` has eight-bit weights (seven bits used, one scale an output channel; tables "
    "of embeddings one scale a row) and scales of what they are multiplied with that were fixed on training text; "
    f"answers can differ by up to {TOLERANCE:g} in a probability between processors. The folder `model/` holds the "
    "parent's weights in full.",
    "bf16": "Large weights are kept in bfloat16, in `onnx/` and in `model/`. ONNX Runtime computes with them in "
    "float32; OpenVINO computes in bfloat16 where it is asked to and the processor can.",
}
#: Texts of a batch on which scales are fixed: short batches are hardly padded.
_SCALE_TOKENS = 512


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
    _refuse_unfit(parent)
    say("Reading and dealing the rows", 0, 0)
    rows = open_own_rows(parent, dataset, options=_options(parent, options), data_root=data_root)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        say(f"Making the variant ({config.method})", 0, 0)
        parts = Path(temporary) / "parts"
        facts = _METHODS[config.method](parent, rows, config, parts)
        draft = _draft(Path(temporary) / "draft", parent, parts, facts)
        say("Judging", 0, 0)
        judged = _judge(parent, draft, rows, config)
        if judged.verdict.faults and not allow_loss:
            raise ConfigError(
                f"The variant must be as good as bundle {parent.id!r} within its budget; "
                f"{' and '.join(judged.verdict.faults)}. Nothing was written: give a greater `--budget`, or "
                "`--allow-loss`."
            )
        speeds = _speeds(parent, draft, rows, config, say) if speed else (None, None)
        say("Writing the bundle", 0, 0)
        changes = _changes(parent, parts, config, judged, speeds)
        manifest = _manifest(config, parent, rows, started)
        described = _describe(parent, rows, config, manifest, judged)
        made = write_bundle(
            out,
            contract_facts=replace(facts, sanity=_sanity(parent, draft, judged.calibration)),
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


def _refuse_unfit(parent: Bundle) -> None:
    if parent.members:
        raise ConfigError(f"Bundle {parent.id!r} is an ensemble: make its members smaller, and combine them again.")
    if parent.contract.kind == "generation":
        raise ConfigError(f"Bundle {parent.id!r} answers in words; only a network with a head can be made smaller.")


def _options(parent: Bundle, given: FileOptions | None) -> FileOptions:
    """Return how the parent's file was read, with what is said now laid over it."""
    stated = {name: value for name, value in parent.manifest["config"].get("columns", {}).items() if value is not None}
    if "labels" in stated:
        stated["labels"] = tuple(stated["labels"])
    return FileOptions(**(stated | (given.given() if given is not None else {})))


def _dynamic(parent: Bundle, _rows: OwnRows, _config: OptimizeConfig, parts: Path) -> ContractFacts:
    shutil.copytree(parent.path / "model", parts / "model")
    quantize_dynamic(parent.onnx_path, parts / "onnx" / "model.onnx")
    return _looser(parent)


def _static(parent: Bundle, rows: OwnRows, config: OptimizeConfig, parts: Path) -> ContractFacts:
    shutil.copytree(parent.path / "model", parts / "model")
    train = rows.labelled.take(rows.split.train)
    drawn = train.take(np.random.default_rng(config.seed).permutation(len(train))[: config.calibration_texts])
    chunks = parent.tokenizer().encode(drawn.texts, drawn.pairs)
    quantize_static(
        parent.onnx_path,
        parts / "onnx" / "model.onnx",
        list(token_batches(chunks, budget=_SCALE_TOKENS, pad_id=parent.pad_id)),
    )
    return _looser(parent)


def _bf16(parent: Bundle, _rows: OwnRows, _config: OptimizeConfig, parts: Path) -> ContractFacts:
    shutil.copytree(parent.path / "model", parts / "model")
    store_weights_bf16(parts / "model")
    store_bf16(parent.onnx_path, parts / "onnx" / "model.onnx")
    return parent.facts


#: Each writes ``model`` and ``onnx`` into a folder, and returns the facts of the network it made.
_METHODS: dict[str, Callable[[Bundle, OwnRows, OptimizeConfig, Path], ContractFacts]] = {
    "int8-dynamic": _dynamic,
    "int8-static": _static,
    "bf16": _bf16,
}


def _looser(parent: Bundle) -> ContractFacts:
    scale = parent.calibration.target_scale if parent.contract.kind == "regression" else 1.0
    return replace(parent.facts, outputs_tolerance=max(parent.facts.outputs_tolerance, TOLERANCE * scale))


def _draft(folder: Path, parent: Bundle, parts: Path, facts: ContractFacts) -> Bundle:
    """Write what can already be asked: the new network under its parent's calibration, without known answers."""
    return write_bundle(
        folder,
        contract_facts=replace(facts, sanity=()),
        calibration=parent.calibration,
        manifest={"kind": "draft"},
        fill=lambda into: _copy(parts, into),
    )


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
    engine, asked = Engine(draft, threads=config.threads, check=False), Engine(parent, threads=config.threads)
    # Each part by itself, as whoever judges the bundle later asks it: eight bits see the batch.
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
    logits = Engine(draft, check=False).logits([one.text for one in asked], pairs)
    outputs = decode(parent.contract, logits, calibration)
    return tuple(
        SanitySentence(text=one.text, pair=one.pair, outputs=tuple(map(float, np.atleast_1d(row))))
        for one, row in zip(asked, outputs, strict=True)
    )


def _speeds(
    parent: Bundle, draft: Bundle, rows: OwnRows, config: OptimizeConfig, say: Report
) -> tuple[EngineSpeed | None, EngineSpeed | None]:
    # Text of the kind that will be asked, whatever part it stands in: no label is read.
    texts, pairs = rows.labelled.texts, rows.labelled.pairs
    found = []
    for number, measured in enumerate((parent, draft)):
        say("Measuring", number, 2)
        found.append(measure_engine(measured.path, texts, "onnxruntime", config.threads, pairs=pairs))
    return found[0], found[1]


def _changes(
    parent: Bundle, parts: Path, config: OptimizeConfig, judged: _Judged, speeds: tuple[Any, Any]
) -> dict[str, Any]:
    sides = []
    for folder, speed in ((parent.path, speeds[0]), (parts, speeds[1])):
        timed = {} if speed is None else {name: value for name, value in speed.to_dict().items() if name != "bundle_id"}
        sides.append({"graph_mib": folder_mib(folder / "onnx"), "weights_mib": folder_mib(folder / "model")} | timed)
    return {
        "method": config.method, "parent": parent.id, "note": _NOTES[config.method],
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


def _manifest(config: OptimizeConfig, parent: Bundle, rows: OwnRows, started: datetime) -> RunManifest:
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
        parents=({"kind": "bundle", "name": _name(parent), "id": parent.id, "cutoff": _cutoff(stated)},),
        licences=tuple(dict(one) for one in stated["licences"]),
        synthetic=rows.labelled.card.synthetic,
        **collect_environment(),
    )


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _fill(folder: Path, parts: Path, config: OptimizeConfig, facts: ModelFacts, changes: dict[str, Any]) -> None:
    _copy(parts, folder)
    fill_documents(folder, config_yaml=config.to_yaml(), facts=facts)
    (folder / OPTIMIZATION).write_text(json.dumps(changes, indent=1) + "\n", encoding="utf-8")
    with (folder / CARD).open("a", encoding="utf-8") as card:
        card.write("\n" + changes_section(changes, facts))


def _name(bundle: Bundle) -> str:
    return ", ".join(str(parent["name"]) for parent in bundle.manifest["parents"]) or bundle.id


def _cutoff(stated: dict[str, Any]) -> str | None:
    """Return the latest day any parent may have read; None where one of them does not say."""
    known = [parent.get("cutoff") for parent in stated["parents"]]
    return None if not known or None in known else max(known)
