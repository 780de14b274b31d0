"""What is known about one trained model: the one set of facts that cards and pages are written from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class DatasetFacts(TypedDict):
    """What the training data states about itself, in plain JSON types.

    ``id`` is its content id; ``n`` its rows; ``licence`` has ``name``, ``commercial_use`` and ``source``.
    """

    name: str
    title: str
    id: str
    n: int
    task: str
    language: str
    licence: Mapping[str, Any]
    origin: str
    synthetic: bool
    traps: NotRequired[list[str]]


class ModelFacts(TypedDict):
    """What is known about one trained model, in plain JSON types.

    ``manifest``, ``contract``, ``calibration`` and every evaluation and comparison are what the ``to_dict`` of
    ``RunManifest``, ``LabelContract``, ``Calibration``, ``Evaluation`` and ``Comparison`` return. ``baselines`` maps a
    baseline's name to its evaluation on the same rows, ``before`` is the untuned model's, ``comparisons`` maps a
    baseline's name (or ``before``) to the paired comparison with ours. ``split`` says in words which rows were
    scored. ``learning_curve`` has rows of ``step``, ``train_loss``, ``held_out_loss``; ``examples`` rows of ``text``,
    ``pair``, ``probabilities`` or ``value``, ``answer``, ``prediction_set`` and ``abstained``. ``members`` are the ids
    of the bundles of an ensemble. ``int8`` says whether the network in eight bits is ``shipped``, and then answers and
    was scored; with ``agreement`` (with the one in float) on ``n`` held-out rows and the paired ``gain`` of ``metric``
    from ``low`` to ``high``, or ``why`` not.
    """

    title: str
    bundle_id: str
    manifest: Mapping[str, Any]
    contract: Mapping[str, Any]
    dataset: DatasetFacts
    split: str
    evaluation: Mapping[str, Any]
    calibration: Mapping[str, Any]
    before: NotRequired[Mapping[str, Any] | None]
    baselines: NotRequired[Mapping[str, Mapping[str, Any]]]
    comparisons: NotRequired[Mapping[str, Mapping[str, Any]]]
    slices: NotRequired[list[Mapping[str, Any]]]
    mistakes: NotRequired[list[Mapping[str, Any]]]
    examples: NotRequired[list[Mapping[str, Any]]]
    int8: NotRequired[Mapping[str, Any]]
    learning_curve: NotRequired[list[Mapping[str, Any]]]
    rerun: NotRequired[str]
    members: NotRequired[list[str]]


#: How a metric is written for people.
METRIC_TITLES = {
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "cosine": "Cosine",
    "ece": "Calibration error",
    "exact_match": "Exact match",
    "macro_f1": "Macro-F1",
    "mae": "Mean absolute error",
    "matthews": "Matthews correlation",
    "micro_f1": "Micro-F1",
    "pearson": "Pearson correlation",
    "quadratic_kappa": "Quadratic kappa",
    "r2": "R²",
    "rank_mae": "Mean distance in ranks",
    "rmse": "Root mean squared error",
    "samples_f1": "Samples F1",
    "spearman": "Rank correlation",
    "unparsed": "Unreadable answers",
    "weighted_f1": "Weighted F1",
}
MODEL_TITLES = {
    "before": "Before fine-tuning",
    "frozen-embedding": "Frozen embedding + regression",
    "majority": "Majority",
    "ours": "This model",
    "tfidf": "TF-IDF + regression",
    "word-list": "Financial word list",
}


def models_compared(facts: ModelFacts) -> dict[str, Mapping[str, Any]]:
    """Return name to evaluation: baselines in order, before fine-tuning, and ours last."""
    found = dict(facts.get("baselines") or {})
    before = facts.get("before")
    if before is not None:
        found["before"] = before
    return found | {"ours": facts["evaluation"]}


def shown_metrics(facts: ModelFacts) -> list[str]:
    """Return the metrics worth a column, the headline first; micro-F1 only where it is not plain accuracy."""
    evaluation = facts["evaluation"]
    order = [
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "micro_f1",
        "samples_f1",
        "exact_match",
        "quadratic_kappa",
        "rank_mae",
        "matthews",
        "r2",
        "mae",
        "rmse",
        "pearson",
        "spearman",
        "cosine",
        "unparsed",
        "brier",
        "ece",
    ]
    headline = evaluation["headline"]
    known = [name for name in order if name in evaluation["metrics"] and name != headline]
    if "accuracy" in known:
        known = [name for name in known if name != "micro_f1"]
    return [headline, *known]


def winners(facts: ModelFacts) -> tuple[list[str], list[str]]:
    """Return the titles of what beats this model on the headline for sure, and of what cannot be told apart."""
    theirs, unclear = [], []
    for name, comparison in (facts.get("comparisons") or {}).items():
        title = MODEL_TITLES.get(name, name)
        if comparison["better"] == "theirs":
            theirs.append(title)
        elif comparison["better"] == "unclear":
            unclear.append(title)
    return theirs, unclear


def number(value: float | None, *, digits: int = 3) -> str:
    """Write a number for people; an undefined one is a dash."""
    if value is None:
        return "–"
    written = f"{value:.{digits}f}"
    # A rounded zero has no sign.
    return written.removeprefix("-") if float(written) == 0 else written.replace("-", "−")


def int8_words(facts: ModelFacts) -> str | None:
    """Return which network answers where nobody names a backend, and how it compares; None where nothing was decided.

    Examples
    --------
    >>> int8_words({"int8": {"shipped": False, "why": "too few rows"}})
    'The network in float answers. In eight bits it is not shipped: too few rows.'
    """
    found = facts.get("int8")
    if found is None:
        return None
    if not found["shipped"]:
        return f"The network in float answers. In eight bits it is not shipped: {found['why']}."
    same = "" if found["agreement"] is None else f"says the same on {100 * found['agreement']:.2f} % of "
    rows = f"{found['n']:,} held-out rows" if same else f"was judged on {found['n']:,} held-out rows"
    metric = METRIC_TITLES.get(found["metric"], found["metric"])
    return (
        f"The network in eight bits answers where nobody names a backend, and is what was scored. Beside the one in "
        f"float it {same}{rows}; {metric} {found['gain']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})."
    )
