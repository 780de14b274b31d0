"""The part of a card that says what making a model smaller changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tapereader.governance.facts import METRIC_TITLES, ModelFacts, number

_MEASURED = (
    ("graph_mib", "Size of the graph, MiB", 1),
    ("weights_mib", "Size of `model/`, MiB", 1),
    ("rss_mib", "Memory while answering, MiB", 0),
    ("load_seconds", "From opening to the first answer, s", 2),
    ("p50_ms", "One text, median, ms", 1),
    ("p95_ms", "One text, 95th percentile, ms", 1),
    ("p99_ms", "One text, 99th percentile, ms", 1),
    ("sentences_per_second_32", "Texts a second, 32 a call", 0),
    ("sentences_per_second_1024", "Texts a second, 1,024 a call", 0),
)


def changes_table(changes: Mapping[str, Any], facts: ModelFacts) -> list[tuple[str, str, str]]:
    """Return rows of what was measured, before and after.

    Parameters
    ----------
    changes : as ``optimization.json`` holds them: ``before`` and ``after`` with sizes and speeds
    facts : of the variant, whose parent stands among its baselines
    """
    name = f"Parent {changes['parent']}"
    before, after = (facts.get("baselines") or {})[name]["metrics"], facts["evaluation"]["metrics"]
    shown = dict.fromkeys([facts["evaluation"]["headline"], "accuracy", "mae", "brier", "ece"])
    rows = [
        (METRIC_TITLES.get(metric, metric), _scored(before[metric]), _scored(after[metric]))
        for metric in shown
        if metric in before and metric in after
    ]
    for field, title, digits in _MEASURED:
        if field in changes["before"]:
            before_it, after_it = (number(changes[side][field], digits=digits) for side in ("before", "after"))
            rows.append((title, before_it, after_it))
    return rows


def changes_section(changes: Mapping[str, Any], facts: ModelFacts) -> str:
    """Write the section of the card as Markdown."""
    verdict = changes["verdict"]
    lines = [f"## What was changed ({changes['method']})", "", changes["note"], ""]
    lines += _lines(changes_table(changes, facts))
    threads = changes["before"].get("threads")
    if "threads" in changes["before"]:
        lines += ["", f"Time and memory of a fresh process on ONNX Runtime, the parent in float and the variant as "
                  f"it answers by itself, {threads or 'all'} threads, tokenising "
                  f"included, on {changes['before']['n_texts']:,} texts of the data set."]  # fmt: skip
    if verdict["agreement"] is not None:
        lines += ["", f"It says what its parent says on {100 * verdict['agreement']:.2f} % of "
                  f"{verdict['n_agreement']:,} held-out rows."]  # fmt: skip
    if verdict["faults"]:
        lines += ["", f"**Written although {' and '.join(verdict['faults'])}.**"]
    return "\n".join(lines) + "\n"


def _lines(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    return ["| | before | after |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _scored(score: Mapping[str, Any]) -> str:
    if score["low"] is None:
        return number(score["value"])
    return f"{number(score['value'])} [{number(score['low'])}, {number(score['high'])}]"
