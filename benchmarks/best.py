"""The best we can do on Financial PhraseBank: MPNet adapted to unlabelled news, three seeds, averaged.

One fixed grouped split of each set; every member is a cell that keeps its answers on the inner validation part and on
the test part. Which backbone is used and whether seeds are averaged is chosen on validation; the test part only scores
the choice. Needs ``TAPEREADER_DATA``, and the adapted backbone, made with::

    tapereader pretrain corpus-reuters-company-news corpus-benzinga-headlines --backbone mpnet --objective masked
        --max-documents 12000 --exclude financial-phrasebank --exclude financial-phrasebank-all-agree --out ADAPTED

then ``python benchmarks/best.py --adapted ADAPTED --threads 2``; ``--set SET --again 2`` measures the second member of
``MEMBERS`` once more and shows the stored scores beside the new ones, writing nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import cells, measured, stored
from numpy.typing import NDArray

from tapereader.bundle import decode
from tapereader.bundle.conformal import answers
from tapereader.dataset import grouped_folds, near_duplicate_groups
from tapereader.dataset.parts import Split
from tapereader.metrics import accuracy, macro_f1
from tapereader.models.backbones import resolve_backbone
from tapereader.sources import LabelledText, load_dataset
from tapereader.training.evaluation import Comparison, compare, evaluate_outputs
from tapereader.training.experiment import JudgingConfig, baseline_outputs, calibrate
from tapereader.training.trainer import REVISION, FinetuneConfig, finetune

EXPERIMENT, BASELINES = "phrasebank-best", "phrasebank-best-baselines"
SETS = ("financial-phrasebank-all-agree", "financial-phrasebank")
PLAIN, ADAPTED = "mpnet", "mpnet, adapted to news"
#: Documents the adapted backbone read, as the command above reports them; its weights are in no repository.
ADAPTED_DOCUMENTS = 11_758
#: (backbone, seed), in the order they are measured: what decides comes first.
MEMBERS = ((PLAIN, 0), (ADAPTED, 0), (ADAPTED, 1), (ADAPTED, 2), (PLAIN, 1), (PLAIN, 2))


@dataclass(frozen=True)
class Ensemble:
    """What was chosen on validation, and its answers on test.

    Parameters
    ----------
    validation : accuracy and macro-F1 of each candidate on the inner validation part, by its name
    test : the same on the test part
    chosen : name of the candidate with the best macro-F1 on validation
    n_members : how many are measured; more of them can change the choice
    seeds : for each backbone with more than one member, the accuracy and macro-F1 of every member alone, on validation
        and on test
    intervals : of the chosen one on test: metric to ``value, low, high``, near-duplicate groups resampled whole
    baselines : accuracy and macro-F1 on the same test part, by name; empty for not measured
    against : the chosen one against the baseline with the best macro-F1, or None
    """

    validation: dict[str, tuple[float, float]]
    test: dict[str, tuple[float, float]]
    chosen: str
    n_members: int
    seeds: dict[str, dict[str, list[tuple[float, float]]]]
    intervals: dict[str, dict[str, float | None]]
    baselines: dict[str, tuple[float, float]]
    against: Comparison | None


def one_split(labelled: LabelledText) -> Split:
    """Return the fixed grouped split: the first of five folds."""
    return grouped_folds(labelled, k=5, seed=0, groups=near_duplicate_groups(labelled.texts).groups)[0]


def measure_member(labelled: LabelledText, split: Split, config: FinetuneConfig) -> dict[str, Any]:
    """Train one member, and keep its calibrated probabilities on validation and test."""
    train, validation, test = (labelled.take(part) for part in (split.train, split.validation, split.test))
    model = finetune(train, validation, config)
    calibration = calibrate(model, validation, JudgingConfig())
    contract = labelled.card.contract
    return {
        "seconds": round(model.seconds, 1),
        "threads": torch.get_num_threads(),
        **{
            part: np.round(decode(contract, model.logits(rows.texts), calibration), 5).tolist()
            for part, rows in (("validation", validation), ("test", test))
        },
    }


def measure_baselines(labelled: LabelledText, split: Split) -> dict[str, Any]:
    """Fit the baselines on train and validation together, as in every other table, and keep their answers on test."""
    config = FinetuneConfig.for_profile("fast")
    found = baseline_outputs(
        labelled, split, JudgingConfig(),
        resolved=resolve_backbone(config.backbone), config=config, groups=near_duplicate_groups(labelled.texts).groups,
    )  # fmt: skip
    return {"test": {name: np.round(outputs, 5).tolist() for name, outputs in found.items()}}


def member_key(labelled: LabelledText, split: Split, backbone: str, weights: str, seed: int) -> dict[str, Any]:
    """Return everything that decides one member's cell."""
    return {
        "dataset": labelled.card.name, "data": labelled.id, "split": split.id,
        "config": FinetuneConfig.for_profile("quality", seed=seed).id, "revision": REVISION,
        "backbone": backbone, "weights": weights, "seed": seed,
    }  # fmt: skip


def baselines_key(labelled: LabelledText, split: Split) -> dict[str, Any]:
    """Return everything that decides the baselines' cell."""
    return {
        "dataset": labelled.card.name, "data": labelled.id, "split": split.id,
        "config": FinetuneConfig.for_profile("fast").id, "baselines": list(JudgingConfig().baselines),
        "revision": REVISION,
    }  # fmt: skip


def run(name: str, folders: dict[str, str], *, again: int | None = None) -> None:
    """Measure the missing members of one set, and the baselines; or one member again."""
    labelled = load_dataset(name)
    split = one_split(labelled)
    for number, (backbone, seed) in enumerate(MEMBERS, start=1):
        folder = folders.get(backbone)
        if again not in (None, number):
            continue
        if folder is None:
            if again is not None:
                raise SystemExit(f"Member {again} is {backbone!r}, seed {seed}; name its folder with `--adapted`.")
            continue
        key = member_key(labelled, split, backbone, resolve_backbone(folder).sha256, seed)
        config = FinetuneConfig.for_profile("quality", seed=seed).replace(backbone=folder)
        found = [stored(EXPERIMENT, key)] if again else []
        found.append(
            measured(EXPERIMENT, key, lambda c=config: measure_member(labelled, split, c), again=again is not None)
        )
        for cell, said in zip(found, (", stored", ", measured again") if again else ("",), strict=True):
            if cell is None:
                print(f"{name}, {backbone}, seed {seed}{said}: {'nothing' if again else 'another process is at it'}")
                continue
            scores = {
                part: [round(score, 4) for score in _scores(labelled, rows, np.asarray(cell["result"][part]))]
                for part, rows in (("validation", split.validation), ("test", split.test))
            }
            print(f"{name}, {backbone}, seed {seed}{said}: accuracy and macro-F1 {scores}", flush=True)
    if again is None:
        measured(BASELINES, baselines_key(labelled, split), lambda: measure_baselines(labelled, split))


def choose(name: str) -> Ensemble | None:
    """Average the measured members of one set, and choose among the candidates on validation."""
    labelled = load_dataset(name)
    split = one_split(labelled)
    members = {backbone: _members(labelled, split, backbone) for backbone in (PLAIN, ADAPTED)}
    candidates: dict[str, list[dict[str, Any]]] = {}
    for backbone, found in members.items():
        if found and found[0]["key"]["seed"] == 0:
            candidates[f"{backbone}, one seed"] = found[:1]
        if len(found) > 1:
            candidates[f"{backbone}, {len(found)} seeds averaged"] = found
    if not candidates:
        return None
    parts = (("validation", split.validation), ("test", split.test))
    outputs = {
        part: {title: _mean(found, part) for title, found in candidates.items()} for part in ("validation", "test")
    }
    scores = {
        part: {title: _scores(labelled, rows, given) for title, given in outputs[part].items()} for part, rows in parts
    }
    # A tie goes to the candidate with more members: an average cannot be luckier than its parts.
    chosen = max(candidates, key=lambda title: (scores["validation"][title][1], len(candidates[title])))
    seeds = {
        backbone: {part: [_scores(labelled, rows, _mean([cell], part)) for cell in found] for part, rows in parts}
        for backbone, found in members.items()
        if len(found) > 1
    }
    contract, targets = labelled.card.contract, labelled.take(split.test).targets()
    groups = near_duplicate_groups(labelled.texts).groups[split.test]
    ours = outputs["test"][chosen]
    scored = evaluate_outputs(contract, targets, ours, groups=groups).metrics
    cell = stored(BASELINES, baselines_key(labelled, split))
    theirs = {} if cell is None else {kind: np.asarray(given) for kind, given in cell["result"]["test"].items()}
    baselines = {kind: _scores(labelled, split.test, given) for kind, given in theirs.items()}
    best = max(baselines, key=lambda kind: baselines[kind][1], default=None)
    return Ensemble(
        validation=scores["validation"],
        test=scores["test"],
        chosen=chosen,
        n_members=sum(map(len, members.values())),
        seeds=seeds,
        intervals={metric: dict(scored[metric]) for metric in ("accuracy", "macro_f1")},
        baselines=baselines,
        against=None if best is None else compare(contract, targets, ours, theirs[best], groups=groups),
    )


def _members(labelled: LabelledText, split: Split, backbone: str) -> list[dict[str, Any]]:
    """Return the measured members of one backbone by seed: cells whose whole key is the expected one."""
    here = [cell for cell in cells(EXPERIMENT) if cell["key"].get("backbone") == backbone]
    # The adapted weights are made on the spot, so any are taken, but never two kinds in one average.
    known = {resolve_backbone(PLAIN).sha256} if backbone == PLAIN else {cell["key"]["weights"] for cell in here}
    seeds = [seed for name, seed in MEMBERS if name == backbone]
    found = {
        weights: [
            cell
            for seed in sorted(seeds)
            if (cell := stored(EXPERIMENT, member_key(labelled, split, backbone, weights, seed))) is not None
        ]
        for weights in known
    }
    found = {weights: some for weights, some in found.items() if some}
    if len(found) > 1:
        raise SystemExit(
            f"The members of {backbone!r} on {labelled.card.name} must have one kind of weights; got {len(found)}: "
            f"{', '.join(weights[:12] for weights in sorted(found))}. Move the cells of all but one away."
        )
    return next(iter(found.values()), [])


def _mean(found: list[dict[str, Any]], part: str) -> NDArray[np.float64]:
    return np.asarray(np.mean([cell["result"][part] for cell in found], axis=0), dtype=np.float64)


def _scores(labelled: LabelledText, rows: NDArray[np.int64], outputs: NDArray[np.float64]) -> tuple[float, float]:
    targets = labelled.take(rows).targets()
    given = answers(labelled.card.contract, outputs)
    return float(accuracy(targets, given)), float(macro_f1(targets, given))


def main() -> None:
    """Read the command line, measure and say what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapted", type=Path, default=None, help="folder of the adapted backbone")
    parser.add_argument("--set", choices=SETS, default=None, help="only this one")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--again", type=int, default=None, metavar="MEMBER", help="measure this member again, 1 to 6")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.again is not None and not 1 <= options.again <= len(MEMBERS):
        raise SystemExit(f"`--again` must be a member, 1 to {len(MEMBERS)}; got {options.again}.")
    folders = {PLAIN: "mpnet"} | ({ADAPTED: str(options.adapted)} if options.adapted else {})
    for name in (options.set,) if options.set else SETS:
        run(name, folders, again=options.again)
        found = choose(name) if options.again is None else None
        if found is not None:
            print(f"{name}: chosen on validation: {found.chosen}; on test {found.test[found.chosen]}")


if __name__ == "__main__":
    main()
