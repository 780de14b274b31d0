"""How a model's scores are shown on a terminal: one line a model, the headline metric first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from tapereader.cli import console

if TYPE_CHECKING:
    from tapereader.governance.facts import ModelFacts

#: Metrics in the table; the card and ``--json`` have them all.
_METRICS = 4


def show_scores(judged: Mapping[str, Any]) -> None:
    """Write how a model does beside everything it was compared with, and say where it is not better.

    Parameters
    ----------
    judged : ``evaluation``, and where there are any ``before``, ``baselines`` and ``comparisons``, as the facts of a
        model hold them
    """
    from tapereader.governance.facts import METRIC_TITLES, MODEL_TITLES, models_compared, shown_metrics, winners

    facts = cast("ModelFacts", judged)  # what the functions below read is in both
    metrics = shown_metrics(facts)[:_METRICS]
    titles = [METRIC_TITLES.get(metric, metric) for metric in metrics]
    rows = [
        (MODEL_TITLES.get(name, name), *(_score(found["metrics"].get(metric)) for metric in metrics))
        for name, found in models_compared(facts).items()
    ]
    console.table(("", *titles), rows, right=titles)
    better, unclear = winners(facts)
    if better:
        console.say(f"Better than this model: {', '.join(better)}.")
    if unclear:
        console.say(f"Cannot be told apart from this model: {', '.join(unclear)}.")


def _score(found: Mapping[str, Any] | None) -> str | None:
    from tapereader.governance.facts import number

    if found is None:
        return None
    spread = "" if found.get("low") is None else f" [{number(found['low'])}, {number(found['high'])}]"
    return f"{number(found['value'])}{spread}"
