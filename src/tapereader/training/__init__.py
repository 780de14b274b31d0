"""How a model learns, and how what it learnt is judged: training, calibration, baselines, evaluation.

Names are loaded when first used: judging needs no deep-learning library, learning does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BASELINES": "tapereader.training.baselines",
    "Baseline": "tapereader.training.baselines",
    "Comparison": "tapereader.training.evaluation",
    "Evaluation": "tapereader.training.evaluation",
    "FinetuneConfig": "tapereader.training.trainer",
    "FrozenEmbedding": "tapereader.training.baselines",
    "IntegratedGradients": "tapereader.training.attribution",
    "LinearHead": "tapereader.training.linear",
    "Mistake": "tapereader.training.slices",
    "Slice": "tapereader.training.slices",
    "TextClassifier": "tapereader.training.estimators",
    "TextRegressor": "tapereader.training.estimators",
    "compare": "tapereader.training.evaluation",
    "evaluate_outputs": "tapereader.training.evaluation",
    "finetune": "tapereader.training.trainer",
    "fit_calibration": "tapereader.training.calibration",
    "headline_metric": "tapereader.training.evaluation",
    "score_slices": "tapereader.training.slices",
    "worst_mistakes": "tapereader.training.slices",
}

__all__ = [
    "BASELINES",
    "Baseline",
    "Comparison",
    "Evaluation",
    "FinetuneConfig",
    "FrozenEmbedding",
    "IntegratedGradients",
    "LinearHead",
    "Mistake",
    "Slice",
    "TextClassifier",
    "TextRegressor",
    "compare",
    "evaluate_outputs",
    "finetune",
    "fit_calibration",
    "headline_metric",
    "score_slices",
    "worst_mistakes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tapereader.training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
