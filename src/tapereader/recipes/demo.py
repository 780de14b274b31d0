"""``demo``: the whole way on the embedded data set, with no network and nothing to prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tapereader.recipes.preparing import Report, TrainResult
from tapereader.recipes.train import train
from tapereader.recipes.train_config import build_config

#: The embedded data set, dealt so that every test sentence comes from a template that was not learnt from.
DATASET = "synthetic-sentiment"


def demo(out: Path, *, seed: int = 0, report: Report | None = None) -> TrainResult:
    """Fine-tune the default network on synthetic headlines, judge it, and write bundle and report.

    What an earlier demo wrote there is replaced.

    Parameters
    ----------
    out : folder for ``bundle`` and ``bundle-report.html``
    seed : of the training
    report : told how far it is
    """
    values: dict[str, Any] = {
        "dataset": DATASET,
        "split": {"kind": "official"},
        "finetune": {"seed": seed, "epochs": 4},
        "title": "Demo: the mood of synthetic headlines",
    }
    config = build_config(None, profile="fast", values=values)
    return train(config, out / "bundle", replace=True, report=report)
