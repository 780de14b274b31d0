"""The best we can do on Financial PhraseBank: MPNet adapted to unlabelled news, three seeds, averaged.

One fixed grouped split of each set; every member is a cell that keeps its answers on the inner validation part and on
the test part. Which backbone is used and whether seeds are averaged is chosen on validation; the test part only scores
the choice. Needs ``TAPEREADER_DATA``, and the adapted backbone, made with::

    tapereader pretrain corpus-reuters-company-news corpus-benzinga-headlines --backbone mpnet --objective masked
        --max-documents 12000 --exclude financial-phrasebank --exclude financial-phrasebank-all-agree --out ADAPTED

then ``python benchmarks/best.py --adapted ADAPTED --threads 2``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import cells, measured
from numpy.typing import NDArray

from tapereader.bundle import decode
from tapereader.bundle.conformal import answers
from tapereader.dataset import grouped_folds, near_duplicate_groups
from tapereader.dataset.parts import Split
from tapereader.metrics import accuracy, macro_f1
from tapereader.models.backbones import resolve_backbone
from tapereader.sources import LabelledText, load_dataset
from tapereader.training.experiment import JudgingConfig, calibrate
from tapereader.training.trainer import REVISION, FinetuneConfig, finetune

EXPERIMENT = "phrasebank-best"
SETS = ("financial-phrasebank-all-agree", "financial-phrasebank")
PLAIN, ADAPTED = "mpnet", "mpnet, adapted to news"
#: (backbone, seed), in the order they are measured: what decides comes first.
MEMBERS = ((PLAIN, 0), (ADAPTED, 0), (ADAPTED, 1), (ADAPTED, 2), (PLAIN, 1), (PLAIN, 2))


@dataclass(frozen=True)
class Ensemble:
    """What was chosen on validation, and its answers on test.

    Parameters
    ----------
    validation : accuracy and macro-F1 of each candidate on the inner validation part, by its name
    test : the same on the test part, for candidates whose every member is measured
    chosen : name of the candidate with the best macro-F1 on validation
    """

    validation: dict[str, tuple[float, float]]
    test: dict[str, tuple[float, float]]
    chosen: str


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


def run(name: str, folders: dict[str, str]) -> None:
    """Measure the missing members of one set."""
    labelled = load_dataset(name)
    split = one_split(labelled)
    for backbone, seed in MEMBERS:
        folder = folders.get(backbone)
        if folder is None:
            continue
        recipe = FinetuneConfig.for_profile("quality", seed=seed)
        key = {
            "dataset": name, "data": labelled.id, "split": split.id, "config": recipe.id, "revision": REVISION,
            "backbone": backbone, "weights": resolve_backbone(folder).sha256, "seed": seed,
        }  # fmt: skip
        config = recipe.replace(backbone=folder)
        cell = measured(EXPERIMENT, key, lambda c=config: measure_member(labelled, split, c))
        print(f"{name}, {backbone}, seed {seed}: {'measured' if cell else 'another process is at it'}", flush=True)


def choose(name: str) -> Ensemble | None:
    """Average the measured members of one set, and choose among the candidates on validation."""
    labelled = load_dataset(name)
    split = one_split(labelled)
    wanted = {"split": split.id, "data": labelled.id, "revision": REVISION}
    found = [
        cell for cell in cells(EXPERIMENT)
        if all(cell["key"][name] == value for name, value in wanted.items())
    ]  # fmt: skip
    candidates: dict[str, list[dict[str, Any]]] = {}
    for backbone in (PLAIN, ADAPTED):
        members = sorted((c for c in found if c["key"]["backbone"] == backbone), key=lambda c: c["key"]["seed"])
        if members and members[0]["key"]["seed"] == 0:
            candidates[f"{backbone}, one seed"] = members[:1]
        if len(members) > 1:
            candidates[f"{backbone}, {len(members)} seeds averaged"] = members
    if not candidates:
        return None
    scores = {
        part: {
            title: _scores(labelled, rows, np.mean([cell["result"][part] for cell in members], axis=0))
            for title, members in candidates.items()
        }
        for part, rows in (("validation", split.validation), ("test", split.test))
    }
    # A tie goes to the candidate with more members: an average cannot be luckier than its parts.
    chosen = max(candidates, key=lambda title: (scores["validation"][title][1], len(candidates[title])))
    return Ensemble(scores["validation"], scores["test"], chosen)


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
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    folders = {PLAIN: "mpnet"} | ({ADAPTED: str(options.adapted)} if options.adapted else {})
    for name in (options.set,) if options.set else SETS:
        run(name, folders)
        found = choose(name)
        if found is not None:
            print(f"{name}: chosen on validation: {found.chosen}; on test {found.test[found.chosen]}")


if __name__ == "__main__":
    main()
