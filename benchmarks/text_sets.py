"""Fine-tune on the labelled sets, fold by fold, beside the baselines; results in ``benchmarks/results``.

Needs ``TAPEREADER_DATA``. ``python benchmarks/text_sets.py phrasebank-50-fast --threads 2`` measures what is missing of
one experiment; ``--again 1`` measures its first fold once more and shows both results.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from cells import measured
from experiments import ALL, Experiment

from tapereader.bundle.conformal import answers
from tapereader.dataset import grouped_folds, near_duplicate_groups, official_split, with_validation, without_overlap
from tapereader.dataset.parts import Split
from tapereader.sources import LabelledText, load_dataset
from tapereader.training.evaluation import evaluate_outputs
from tapereader.training.experiment import BEFORE, JudgingConfig, run_trial
from tapereader.training.trainer import REVISION

SPLIT_SEED = 0


def splits_of(experiment: Experiment, labelled: LabelledText, groups: Any) -> tuple[Split, ...]:
    """Return the splits that are measured, near-copies together in all but a published one."""
    if experiment.official is None:
        folds = grouped_folds(labelled, k=experiment.folds, seed=SPLIT_SEED, groups=groups)
        return folds[: experiment.measure_folds]
    split = official_split(labelled, experiment.official, groups=groups)
    if experiment.overlap == "distinct":
        split = without_overlap(labelled, split, groups=groups)
    if len(split.validation):
        return (split,)
    return (with_validation(labelled, split, fraction=0.1, seed=SPLIT_SEED, groups=groups),)


def measure_split(experiment: Experiment, labelled: LabelledText, split: Split, groups: Any) -> dict[str, Any]:
    """Fine-tune, calibrate and answer one split; scores and answers of ours and of everything beside it."""
    judging = JudgingConfig(baselines=experiment.baselines, before=bool(experiment.baselines))
    trial = run_trial(labelled, split, experiment.config, judging, groups=groups)
    contract, test = labelled.card.contract, labelled.take(split.test)
    result: dict[str, Any] = {
        "split": split.name,
        "rows": [len(split.train), len(split.validation), len(split.test)],
        "rows_shared": split.rows_shared,
        "test_rows": labelled.frame["row"].to_numpy()[split.test].tolist(),
        "seconds": round(trial.model.seconds, 1),
        "tokens_per_second": round(trial.model.tokens / trial.model.seconds),
        "trainable": trial.model.trainable,
        "parameters": trial.model.parameters,
        "threads": torch.get_num_threads(),
        "calibration": trial.calibration.to_dict(),
        "models": {},
    }
    for name, outputs in {"ours": trial.outputs, **trial.others}.items():
        threshold = trial.calibration.threshold if name == "ours" else 0.5
        scored = evaluate_outputs(contract, test.targets(), outputs, groups=groups[split.test], threshold=threshold)
        result["models"]["before" if name == BEFORE else name] = {
            "metrics": {metric: found["value"] for metric, found in scored.metrics.items()},
            "interval": scored.metrics[scored.headline],
            "answers": _answers(contract, outputs, threshold),
        }
    return result


def _answers(contract: Any, outputs: Any, threshold: float) -> list[Any]:
    if contract.kind == "regression":
        return [round(float(value), 4) for value in outputs]
    given = answers(contract, outputs, threshold=threshold)
    if contract.kind == "multi-label":
        return [np.flatnonzero(row).tolist() for row in given]
    return [int(value) for value in given]


def run(experiment: Experiment, *, again: int | None = None) -> None:
    """Measure every missing cell of an experiment, or one of them again."""
    labelled = load_dataset(experiment.dataset)
    groups = near_duplicate_groups(labelled.texts).groups
    for position, split in enumerate(splits_of(experiment, labelled, groups), start=1):
        if again is not None and position != again:
            continue
        key = {
            "dataset": experiment.dataset, "data": labelled.id, "split": split.id, "config": experiment.config.id,
            "baselines": list(experiment.baselines), "revision": REVISION, "fold": position, **experiment.extra,
        }  # fmt: skip
        started = time.perf_counter()
        cell = measured(
            experiment.name,
            key,
            lambda s=split: measure_split(experiment, labelled, s, groups),
            again=again is not None,
        )
        if cell is None:
            print(f"{experiment.name} {split.name}: another process is at it", flush=True)
            continue
        scores = {
            name: {
                m: round(v, 4)
                for m, v in found["metrics"].items()
                if v is not None and m in ("accuracy", "macro_f1", "micro_f1", "r2", "spearman")
            }
            for name, found in cell["result"]["models"].items()
        }
        print(
            experiment.name,
            experiment.extra or "",
            split.name,
            f"{time.perf_counter() - started:.0f} s",
            scores,
            flush=True,
        )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="experiments; all where none is named")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--again", type=int, default=None, help="measure this fold again, and write nothing")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(dict.fromkeys(experiment.name for experiment in ALL)))
        return
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    wanted = options.names or [experiment.name for experiment in ALL]
    for name in dict.fromkeys(wanted):
        for experiment in ALL:
            if experiment.name == name:
                run(experiment, again=options.again)


if __name__ == "__main__":
    main()
