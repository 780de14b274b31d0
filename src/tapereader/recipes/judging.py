"""The facts of a trained model: judged on rows it never saw, beside everything it is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Calibration, LabelContract
from tapereader.bundle.conformal import abstentions, prediction_intervals, prediction_sets
from tapereader.dataset.parts import Split
from tapereader.governance import RunManifest
from tapereader.governance.facts import DatasetFacts, ModelFacts
from tapereader.sources import LabelledText
from tapereader.training.evaluation import compare, evaluate_outputs
from tapereader.training.experiment import BEFORE, Trial
from tapereader.training.slices import score_slices, worst_mistakes


def model_facts(
    *,
    title: str,
    labelled: LabelledText,
    split: Split,
    near_duplicates: float,
    seed: int,
    trial: Trial,
    manifest: RunManifest,
    groups: NDArray[np.int64],
) -> ModelFacts:
    """Judge a trial on its test part, and put together everything that cards and pages are written from.

    Parameters
    ----------
    title : of card and page
    labelled, split, groups : all rows, how they were dealt, and which are no evidence apart (near-copies, and rows of
        one value of the set's ``group`` column)
    near_duplicates : the threshold of near-copies
    seed : of the intervals
    trial : the trained model and all answers
    manifest : of the run
    """
    curve = [{"step": entry["step"], "train_loss": entry["loss"]} for entry in trial.model.history if "loss" in entry]
    return answers_facts(
        title=title, labelled=labelled, contract=labelled.card.contract, split=split, near_duplicates=near_duplicates,
        seed=seed, manifest=manifest, groups=groups, outputs=trial.outputs, calibration=trial.calibration,
        answered=trial.others, curve=curve,
    )  # fmt: skip


def words_facts(
    *,
    title: str,
    labelled: LabelledText,
    contract: LabelContract,
    split: Split,
    outputs: NDArray[np.float64],
    others: dict[str, NDArray[np.float64]],
    near_duplicates: float,
    seed: int,
    manifest: RunManifest,
    groups: NDArray[np.int64],
    losses: tuple[float, ...],
) -> ModelFacts:
    """Judge answers in words as :func:`model_facts` judges labels; an unreadable answer counts as wrong.

    Parameters
    ----------
    contract : of kind ``generation``
    outputs : array (N, C), 1 for the label said and a row of 0 for ``unparsed``
    others : what baselines answered, as probabilities
    losses : one a logged step
    title, labelled, split, near_duplicates, seed, manifest, groups : as in :func:`model_facts`
    """
    return answers_facts(
        title=title, labelled=labelled, contract=contract, split=split, near_duplicates=near_duplicates, seed=seed,
        manifest=manifest, groups=groups, outputs=outputs, calibration=Calibration(), answered=others,
        curve=[{"step": step, "train_loss": loss} for step, loss in enumerate(losses, start=1)],
    )  # fmt: skip


def answers_facts(
    *,
    title: str,
    labelled: LabelledText,
    contract: LabelContract,
    split: Split,
    near_duplicates: float,
    seed: int,
    manifest: RunManifest,
    groups: NDArray[np.int64],
    outputs: NDArray[np.float64],
    calibration: Calibration,
    answered: dict[str, NDArray[np.float64]],
    curve: list[dict[str, Any]],
    thresholds: dict[str, float] | None = None,
) -> ModelFacts:
    """Judge calibrated answers on the test part, beside what others answered there.

    Parameters
    ----------
    outputs, calibration : the answers judged, and what they were calibrated with
    answered : name to what it answered, as probabilities or values
    curve : one entry a logged step
    thresholds : multi-label: the threshold of each of the others; 0.5 where none is given
    title, labelled, contract, split, near_duplicates, seed, manifest, groups : as in :func:`model_facts`
    """
    limits = thresholds or {}
    test = labelled.take(split.test)
    targets, own_groups = test.targets(), groups[split.test]
    sets, abstained = said_with_care(contract, outputs, calibration)
    judge: dict[str, Any] = {"groups": own_groups, "seed": seed}
    evaluation = evaluate_outputs(
        contract, targets, outputs, prediction_sets=sets, promised=calibration.coverage, abstained=abstained,
        threshold=calibration.threshold, **judge,
    )  # fmt: skip
    others = {
        name: evaluate_outputs(contract, targets, theirs, threshold=limits.get(name, 0.5), **judge)
        for name, theirs in answered.items()
    }
    comparisons = {
        "before" if name == BEFORE else name: compare(
            contract, targets, outputs, theirs, thresholds=(calibration.threshold, limits.get(name, 0.5)), **judge
        ).to_dict()
        for name, theirs in answered.items()
    }
    parts = score_slices(
        test, targets, outputs, contract, groups=own_groups, threshold=calibration.threshold, seed=seed
    )
    wrong = worst_mistakes(test, targets, outputs, contract, threshold=calibration.threshold)
    facts: ModelFacts = {
        "title": title,
        "bundle_id": "",
        "manifest": manifest.to_dict(),
        "contract": contract.to_dict(),
        "dataset": dataset_facts(labelled),
        "split": f"{split.name}; {len(split.train):,} rows to learn, {len(split.validation):,} to calibrate, "
        f"{len(split.test):,} to score; near-copies (Jaccard {near_duplicates:g} or more) on one side"
        + _left_out(split),
        "evaluation": evaluation.to_dict(),
        "calibration": calibration.to_dict(),
        "before": others.pop(BEFORE).to_dict() if BEFORE in others else None,
        "baselines": {name: found.to_dict() for name, found in others.items()},
        "comparisons": comparisons,
        "slices": [part.to_dict() for part in parts],
        "mistakes": [mistake.to_dict() for mistake in wrong],
        "learning_curve": [dict(point) for point in curve],
        "rerun": "tapereader train --config BUNDLE/config.yaml --out DIR",
    }  # fmt: skip
    return facts


def _left_out(split: Split) -> str:
    n = split.rows_overlapping
    rows = "row of the authors' training part was" if n == 1 else "rows of the authors' training parts were"
    return f"; {n:,} {rows} left out because later parts repeat {'it' if n == 1 else 'them'}" if n else ""


def said_with_care(
    contract: LabelContract, outputs: NDArray[np.float64], calibration: Calibration
) -> tuple[Any, NDArray[np.bool_] | None]:
    """Return prediction sets (or intervals) and abstentions, each None where the calibration holds none."""
    sets: Any = None
    if calibration.coverage is not None and contract.kind == "regression":
        sets = prediction_intervals(contract, outputs, calibration)
    elif calibration.coverage is not None:
        sets = prediction_sets(contract, outputs, calibration)
    return sets, None if calibration.abstain_below is None else abstentions(contract, outputs, calibration)


def dataset_facts(labelled: LabelledText) -> DatasetFacts:
    """Return what a data set states about itself, in plain JSON types."""
    card = labelled.card
    return {
        "name": card.name, "title": card.title, "id": labelled.id, "n": len(labelled), "task": card.task,
        "language": card.language,
        "licence": {"name": card.licence.name, "commercial_use": card.licence.commercial_use,
                    "source": card.licence.source},
        "origin": card.origin, "synthetic": card.synthetic, "traps": list(card.traps),
    }  # fmt: skip
