"""Fine-tune on the labelled sets, fold by fold, beside the baselines; results in ``benchmarks/results``.

Needs ``TAPEREADER_DATA``. ``python benchmarks/text_sets.py phrasebank-50-fast --threads 2`` measures what is missing of
one experiment; ``--again 1`` measures its first fold once more and shows the stored result beside the new one, writing
nothing. ``methods --only LoRA`` takes one way of learning out of that experiment.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from cells import measured, stored
from experiments import ALL, METHODS, Experiment

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


def cell_key(experiment: Experiment, labelled: LabelledText, split: Split, fold: int) -> dict[str, Any]:
    """Return everything that decides one cell: its file is named by it, and the tables read no other."""
    return {
        "dataset": experiment.dataset, "data": labelled.id, "split": split.id, "config": experiment.config.id,
        "baselines": list(experiment.baselines), "revision": REVISION, "fold": fold, **experiment.extra,
    }  # fmt: skip


def run(experiment: Experiment, *, again: int | None = None) -> None:
    """Measure every missing cell of an experiment, or one of them again."""
    labelled = load_dataset(experiment.dataset)
    groups = near_duplicate_groups(labelled.texts).groups
    splits = splits_of(experiment, labelled, groups)
    if again is not None and not 1 <= again <= len(splits):
        raise SystemExit(f"`--again` must be a fold of {experiment.name}, 1 to {len(splits)}; got {again}.")
    for position, split in enumerate(splits, start=1):
        if again is not None and position != again:
            continue
        key = cell_key(experiment, labelled, split, position)
        title = " ".join(map(str, (experiment.name, *experiment.extra.values(), split.name)))
        if again is not None:
            standing = stored(experiment.name, key)
            print(f"{title}, stored: {_shown(standing) if standing else 'nothing'}", flush=True)
        started = time.perf_counter()
        cell = measured(
            experiment.name,
            key,
            lambda s=split: measure_split(experiment, labelled, s, groups),
            again=again is not None,
        )
        if cell is None:
            print(f"{title}: another process is at it", flush=True)
            continue
        said = f"{title}{'' if again is None else ', measured again'}"
        print(f"{said}, {time.perf_counter() - started:.0f} s: {_shown(cell)}", flush=True)


def _shown(cell: dict[str, Any]) -> dict[str, dict[str, float]]:
    wanted = ("accuracy", "macro_f1", "micro_f1", "r2", "spearman")
    return {
        name: {m: round(v, 4) for m, v in found["metrics"].items() if v is not None and m in wanted}
        for name, found in cell["result"]["models"].items()
    }


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="experiments; all where none is named")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--again", type=int, default=None, help="measure this fold again, and write nothing")
    parser.add_argument("--only", metavar="METHOD", default=None, help="of `methods`, this way of learning alone")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(dict.fromkeys(experiment.name for experiment in ALL)))
        return
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    wanted = options.names or list(dict.fromkeys(experiment.name for experiment in ALL))
    known = {experiment.name for experiment in ALL}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"`names` must be among {', '.join(sorted(known))}; got {', '.join(unknown)}.")
    methods = [experiment.extra["method"] for experiment in METHODS]
    if options.only is not None and options.only not in methods:
        raise SystemExit(f"`--only` must be one of {', '.join(methods)}; got {options.only!r}.")
    for name in wanted:
        for experiment in ALL:
            if experiment.name == name and options.only in (None, experiment.extra.get("method")):
                run(experiment, again=options.again)


if __name__ == "__main__":
    main()
