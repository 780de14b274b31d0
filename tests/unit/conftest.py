"""The facts of one invented model, built with the real classes; cards and pages are tested on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tapereader.bundle import LabelContract, decode
from tapereader.bundle.conformal import abstentions, prediction_sets
from tapereader.governance import RunManifest
from tapereader.training.calibration import fit_calibration
from tapereader.training.evaluation import compare, evaluate_outputs

CONTRACT = LabelContract(
    kind="single-label",
    names=("negative", "neutral", "positive"),
    meanings=("bad for the share", "neither", "good for the share"),
)


@pytest.fixture(scope="session")
def model_facts() -> Callable[..., dict[str, Any]]:
    """Return ``build(**changes)``: the facts of a model on 240 made-up rows, with top-level fields replaced."""
    rng = np.random.default_rng(11)
    targets = rng.integers(0, 3, 240)
    logits = rng.normal(size=(240, 3)) + 2.4 * np.eye(3)[targets]
    calibration = fit_calibration(CONTRACT, logits[:100], targets[:100], abstain_at=0.9)
    ours = decode(CONTRACT, logits, calibration)
    theirs = decode(CONTRACT, logits + 1.5 * rng.normal(size=(240, 3)), calibration)
    evaluation = evaluate_outputs(
        CONTRACT,
        targets,
        ours,
        groups=np.arange(240) // 2,
        prediction_sets=prediction_sets(CONTRACT, ours, calibration),
        promised=calibration.coverage,
        abstained=abstentions(CONTRACT, ours, calibration),
    )
    manifest = RunManifest(
        kind="train",
        config_id="c0ffee123456",
        config={"seed": 3},
        data_ids={"made-up-news": "0123456789ab"},
        split_ids={"train": "aaaabbbbcccc", "test": "ddddeeeeffff"},
        seed=3,
        code={"version": "0.1.0", "commit": "0123456789abcdef0123456789abcdef01234567", "modified": False},
        libraries={"python": "3.11.7", "numpy": "2.4.6"},
        hardware={
            "processor": "Example CPU",
            "cores": 2,
            "flags": ["avx2"],
            "memory_gib": 8.0,
            "system": "Linux x86_64",
        },
        started_at="2026-01-02T03:04:05+00:00",
        finished_at="2026-01-02T03:05:35+00:00",
        parents=({"kind": "backbone", "name": "minilm", "sha256": "ab" * 32, "cutoff": "2021-08-30"},),
        licences=(
            {"of": "Made-up news", "name": "CC BY-NC 4.0", "commercial_use": False, "source": "Nobody (2020)"},
            {"of": "minilm", "name": "Apache-2.0", "commercial_use": True, "source": ""},
        ),
        synthetic=True,
    )
    facts: dict[str, Any] = {
        "title": "Tone of made-up news",
        "bundle_id": "7f3a01c2d4e5",
        "manifest": manifest.to_dict(),
        "contract": CONTRACT.to_dict(),
        "dataset": {
            "name": "made-up-news",
            "title": "Made-up news",
            "id": "0123456789ab",
            "n": 1200,
            "task": "sentiment",
            "language": "en",
            "licence": {"name": "CC BY-NC 4.0", "commercial_use": False, "source": "Nobody (2020)"},
            "origin": "your file",
            "synthetic": True,
            "traps": ["Written by a program."],
        },
        "split": "a fifth kept away, near-duplicates together",
        "evaluation": evaluation.to_dict(),
        "calibration": calibration.to_dict(),
        "before": evaluate_outputs(CONTRACT, targets, np.roll(ours, 1, axis=1)).to_dict(),
        "baselines": {"tfidf": evaluate_outputs(CONTRACT, targets, theirs).to_dict()},
        "comparisons": {"tfidf": compare(CONTRACT, targets, ours, theirs).to_dict()},
        "slices": [
            {"by": "numbers", "value": value, "n": 120, "metric": "macro_f1", "score": score, "low": 0.6, "high": 0.8}
            for value, score in (("with a number", 0.71), ("without a number", 0.78))
        ],
        "mistakes": [
            {
                "row": 17,
                "text": "A <script>alert(1)</script> & more",
                "pair": None,
                "truth": "negative",
                "answer": "positive",
                "badness": 0.9,
            }
        ],
        "examples": [
            {
                "text": "Sales rose.",
                "pair": "Acme",
                "probabilities": [0.1, 0.2, 0.7],
                "answer": "positive",
                "prediction_set": ["neutral", "positive"],
                "abstained": False,
            }
        ],
        "learning_curve": [
            {"step": 10, "train_loss": 1.0, "held_out_loss": None},
            {"step": 20, "train_loss": 0.6, "held_out_loss": 0.7},
        ],
        "rerun": "tapereader train news.csv --out model --seed 3",
    }
    return lambda **changes: facts | changes
