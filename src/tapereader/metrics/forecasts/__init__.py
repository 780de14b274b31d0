"""How good forecasts were: labels, sets of labels, ordered labels, numbers and stated probabilities."""

from tapereader.metrics.forecasts.labels import (
    ClassScore,
    accuracy,
    confusion_matrix,
    exact_match,
    macro_f1,
    matthews,
    micro_f1,
    per_class,
    quadratic_kappa,
    rank_mae,
    samples_f1,
    weighted_f1,
)
from tapereader.metrics.forecasts.probabilities import (
    auc,
    brier,
    brier_rows,
    expected_calibration_error,
    reliability,
)
from tapereader.metrics.forecasts.values import (
    mae,
    pearson,
    r2,
    rmse,
    spearman,
    weighted_cosine,
)

__all__ = [
    "ClassScore",
    "accuracy",
    "auc",
    "brier",
    "brier_rows",
    "confusion_matrix",
    "exact_match",
    "expected_calibration_error",
    "macro_f1",
    "mae",
    "matthews",
    "micro_f1",
    "pearson",
    "per_class",
    "quadratic_kappa",
    "r2",
    "rank_mae",
    "reliability",
    "rmse",
    "samples_f1",
    "spearman",
    "weighted_cosine",
    "weighted_f1",
]
