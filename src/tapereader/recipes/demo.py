"""``demo``: the whole way on the embedded data set, with no network and nothing to prepare."""

from __future__ import annotations

from pathlib import Path

from tapereader.recipes.preparing import Report, TrainResult
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig, build_config
from tapereader.training import processes

#: The embedded data set, dealt so that every test sentence comes from a template that was not learnt from.
DATASET = "synthetic-sentiment"


def demo_config(*, seed: int) -> TrainConfig:
    """Return what the demo trains: the default network on synthetic headlines.

    Parameters
    ----------
    seed : of the training
    """
    return build_config(
        None,
        profile="fast",
        values={
            "dataset": DATASET,
            "split": {"kind": "official"},
            "finetune": {"seed": seed, "epochs": 4},
            "title": "Demo: the mood of synthetic headlines",
        },
    )


def demo(out: Path, *, config: TrainConfig, report: Report | None = None) -> TrainResult:
    """Fine-tune a network on synthetic headlines, judge it, and write bundle and report.

    What an earlier demo wrote there is replaced.

    Parameters
    ----------
    out : folder for ``bundle`` and ``bundle-report.html``
    config : of :func:`demo_config`
    report : told how far it is
    """
    processes.refuse_several("demo")
    return train(config, out / "bundle", replace=True, report=report)
