"""``ensemble``: several bundles in, one out that asks them all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import (
    Bundle,
    Calibration,
    Combination,
    ContractFacts,
    SanitySentence,
    combine,
    decode,
    write_bundle,
)
from tapereader.bundle.combination import CombinationKind
from tapereader.bundle.folder import ENSEMBLE, MEMBERS
from tapereader.bundle.writing import refuse_taken
from tapereader.core.config import Config
from tapereader.core.errors import BundleError, ConfigError
from tapereader.engine import Engine
from tapereader.engine.backends import default_backend
from tapereader.governance import RunManifest, collect_environment
from tapereader.recipes.bundling import example_answers, fill_documents
from tapereader.recipes.data import FileOptions
from tapereader.recipes.judging import answers_facts
from tapereader.recipes.own_rows import OwnRows, open_own_rows
from tapereader.recipes.preparing import Report, TrainResult
from tapereader.recipes.terms import without_repeats
from tapereader.recipes.writing import write_text
from tapereader.reports import model_page
from tapereader.training.calibration import fit_calibration
from tapereader.training.combining import combine_out_of_fold, fit_combination


class EnsembleConfig(Config):
    """How bundles become one."""

    combine: CombinationKind = "mean"
    """`mean` of probabilities; `weighted` by likelihood on validation; `stacked`: a linear map learnt there."""
    coverage: float = 0.9
    """Promised share of prediction sets that hold the truth."""
    abstain_at: float | None = None
    """Abstain so often that the answers kept reach this accuracy on validation; None never abstains."""
    seed: int = 0
    """Of the intervals."""


def ensemble(
    members: Sequence[Bundle | Path | str],
    out: Path,
    config: EnsembleConfig,
    *,
    dataset: str | None = None,
    options: FileOptions | None = None,
    replace: bool = False,
    report: Report | None = None,
    data_root: Path | None = None,
) -> TrainResult:
    """Combine bundles that were trained on the same rows, dealt the same way, into one that answers for all.

    The combination and the calibration are fitted on the validation part, from which no member learnt a weight; the
    test part only scores, each member beside the whole.

    Parameters
    ----------
    members : two or more bundles, or their folders
    out : the folder to make
    config : how
    dataset : the rows they were made from; None takes the name they state, which finds named sets only
    options : how to read a file, or None to go by its obvious names
    replace : put it in the place of an older bundle
    report : told what is being done
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If there are fewer than two bundles, one twice, or they do not belong together.
    BundleError
        If a bundle is damaged, or answers another question than the others.
    """
    say = report or (lambda _what, _done, _of: None)
    out = Path(out)
    started = datetime.now(UTC)
    refuse_taken(out, replace)
    bundles = tuple(one if isinstance(one, Bundle) else Bundle.load(one) for one in members)
    _refuse_strangers(bundles)
    first = bundles[0]
    contract = first.contract
    say("Reading and dealing the rows", 0, 0)
    rows = open_own_rows(first, dataset, options=options, data_root=data_root)
    # As the whole will ask them: in eight bits where every member can.
    asked = "onnxruntime-int8" if all(default_backend(one) == "onnxruntime-int8" for one in bundles) else "onnxruntime"
    answers = []
    for number, bundle in enumerate(bundles):
        say("Asking the members", number, len(bundles))
        answers.append(_answers(Engine(bundle, backend=asked), rows))
    say("Combining", 0, 0)
    validation, groups = rows.labelled.take(rows.split.validation), rows.groups[rows.split.validation]
    if not len(validation):
        raise ConfigError(f"The split of bundle {first.id!r} has no validation part, on which a combination is fitted.")
    on_validation, on_test = ([parts[place] for parts in answers] for place in (0, 1))
    combination = fit_combination(contract, on_validation, validation.targets(), kind=config.combine)
    calibration = fit_calibration(
        contract,
        combine_out_of_fold(contract, on_validation, validation.targets(), kind=config.combine, groups=groups),
        validation.targets(), groups=groups, coverage=config.coverage, abstain_at=config.abstain_at,
    )  # fmt: skip
    manifest = _manifest(config, bundles, rows, started)
    names = [f"Member {number}: {_name(bundle)}" for number, bundle in enumerate(bundles, start=1)]
    facts = answers_facts(
        title=f"{rows.labelled.card.title}: {len(bundles)} models as one ({config.combine})",
        labelled=rows.labelled, contract=contract, split=rows.split,
        near_duplicates=first.manifest["config"]["split"].get("near_duplicates", 0.8), seed=config.seed,
        manifest=manifest, groups=rows.groups,
        outputs=decode(contract, combine(contract, on_test, combination), calibration), calibration=calibration,
        answered=dict(zip(names, on_test, strict=True)),
        thresholds={name: bundle.calibration.threshold for name, bundle in zip(names, bundles, strict=True)}, curve=[],
    )  # fmt: skip
    facts["members"] = [bundle.id for bundle in bundles]
    facts["rerun"] = f"tapereader ensemble MEMBER ... --combine {config.combine} --out DIR"
    say("Writing the bundle", 0, 0)
    bundle = write_bundle(
        out,
        contract_facts=_contract_facts(bundles, combination, calibration),
        calibration=calibration,
        manifest=manifest.to_dict(),
        fill=lambda folder: _fill(folder, bundles, combination, config, facts),
        check=Engine,
        replace=replace,
    )
    facts["bundle_id"] = bundle.id
    facts["examples"] = example_answers(Engine(bundle, check=False))
    page = out.parent / f"{out.name}-report.html"
    write_text(page, model_page(facts))
    return TrainResult(bundle=bundle, report=page, facts=facts, warnings=())


def _refuse_strangers(bundles: Sequence[Bundle]) -> None:
    if len(bundles) < 2:
        raise ConfigError(f"An ensemble needs at least 2 bundles; got {len(bundles)}.")
    first = bundles[0]
    seen: set[str] = set()
    for bundle in bundles:
        if bundle.id in seen:
            raise ConfigError(f"Every member of an ensemble must be another bundle; got {bundle.id!r} twice.")
        seen.add(bundle.id)
        if bundle.members or bundle.contract.kind == "generation":
            what = "is an ensemble itself: name its members" if bundle.members else "answers in words"
            raise ConfigError(f"A member of an ensemble must be one network with a head; bundle {bundle.id!r} {what}.")
        first.contract.check_same(bundle.contract, ours=f"Bundle {first.id!r}", theirs=f"bundle {bundle.id!r}")
        if first.has_pair != bundle.has_pair:
            raise BundleError(f"Bundles {first.id!r} and {bundle.id!r} must both ask about a second text, or neither.")
        for what in ("data_ids", "split_ids"):
            if first.manifest.get(what) != bundle.manifest.get(what):
                raise ConfigError(
                    f"Members must be trained on the same rows, dealt the same way, or one has seen what another is "
                    f"judged on; `{what}` of {first.id!r} are {first.manifest.get(what)!r}, of {bundle.id!r} "
                    f"{bundle.manifest.get(what)!r}. Train them with the same data and `split`."
                )


def _answers(engine: Engine, rows: OwnRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a member answers on the validation and on the test part."""
    parts = (rows.labelled.take(part) for part in (rows.split.validation, rows.split.test))
    validation, test = (
        engine.outputs(part.texts, part.pairs) if len(part) else np.zeros((0, len(engine.bundle.contract.names)))
        for part in parts
    )
    return validation, test


def _contract_facts(bundles: Sequence[Bundle], combination: Combination, calibration: Calibration) -> ContractFacts:
    """Return the first member's facts, with its sanity sentences answered by the whole."""
    facts = bundles[0].facts
    texts = [sentence.text for sentence in facts.sanity]
    pairs = [sentence.pair or "" for sentence in facts.sanity] if facts.has_pair else None
    outputs = (
        [Engine(bundle, backend="onnxruntime", check=False).outputs(texts, pairs) for bundle in bundles]
        if texts
        else []
    )
    whole: Any = decode(facts.contract, combine(facts.contract, outputs, combination), calibration) if texts else []
    return ContractFacts(
        contract=facts.contract, task=facts.task, language=facts.language, has_pair=facts.has_pair,
        max_length=min(bundle.max_length for bundle in bundles),
        sanity=tuple(
            SanitySentence(text=one.text, pair=one.pair, outputs=tuple(map(float, np.atleast_1d(row))))
            for one, row in zip(facts.sanity, whole, strict=True)
        ),
        outputs_tolerance=max(bundle.facts.outputs_tolerance for bundle in bundles),
    )  # fmt: skip


def _fill(
    folder: Path, bundles: Sequence[Bundle], combination: Combination, config: EnsembleConfig, facts: Any
) -> None:
    for number, bundle in enumerate(bundles):
        shutil.copytree(bundle.path, folder / MEMBERS / str(number))
    stated = json.dumps(combination.to_dict(), indent=1)
    (folder / ENSEMBLE).write_text(f"{stated}\n", encoding="utf-8")
    fill_documents(folder, config_yaml=config.to_yaml(), facts=facts)


def _manifest(config: EnsembleConfig, bundles: Sequence[Bundle], rows: OwnRows, started: datetime) -> RunManifest:
    first = bundles[0].manifest
    return RunManifest(
        kind="ensemble",
        config_id=config.id,
        # The split is the members': with it the rows are dealt again.
        config=config.model_dump(mode="json") | {"split": first["config"]["split"]},
        data_ids=first["data_ids"],
        split_ids=first["split_ids"],
        seed=config.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=tuple(
            {"kind": "bundle", "name": _name(bundle), "id": bundle.id, "cutoff": _cutoff(bundle)} for bundle in bundles
        ),
        licences=without_repeats([dict(one) for bundle in bundles for one in bundle.manifest["licences"]]),
        synthetic=rows.labelled.card.synthetic,
        **collect_environment(),
    )


def _name(bundle: Bundle) -> str:
    return ", ".join(str(parent["name"]) for parent in bundle.manifest["parents"]) or bundle.id


def _cutoff(bundle: Bundle) -> str | None:
    """Return the latest day any parent may have read; None where one of them does not say."""
    known = [parent.get("cutoff") for parent in bundle.manifest["parents"]]
    return None if not known or None in known else max(known)
