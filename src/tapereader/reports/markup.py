"""Small pieces of HTML that the sections of a page share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from tapereader.governance.facts import number

_CAPTIONS = {
    "comparison": "The deciding score with 95 % intervals",
    "confusion": "True label down, answer across; shaded by share of the true label",
    "reliability": "Said and come true: on the dashed line, 70 % sure is right 70 % of the time",
    "coverage": "Prediction sets against their promise",
    "learning": "Loss while it learnt",
}


def figures(charts: Mapping[str, str], *names: str) -> str:
    """Return the named charts that there are, side by side where the screen is wide."""
    found = [name for name in names if name in charts]
    if not found:
        return ""
    drawn = []
    for name in found:
        caption = escape(_CAPTIONS[name])
        # The size in points would fix the width; the view box keeps the shape.
        svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", charts[name], count=1)
        svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{caption}" ', 1)
        drawn.append(f"<figure><figcaption>{caption}</figcaption>{svg}</figure>")
    return f'<div class="charts">{"".join(drawn)}</div>'


def bars(names: list[str], probabilities: list[float]) -> str:
    """Return the five greatest probabilities as bars, the answer's marked."""
    order = sorted(range(len(names)), key=lambda at: -probabilities[at])[:5]
    cells = []
    for at in order:
        top = " top" if at == order[0] else ""
        share = 100 * probabilities[at]
        cells.append(
            f'<span class="name{top}">{escape(names[at])}</span><span class="bar{top}">'
            f'<i style="width:{share:.1f}%"></i></span><span class="share{top}">{share:.0f} %</span>'
        )
    return f'<div class="bars">{"".join(cells)}</div>'


def scored_cell(score: Mapping[str, float | None] | None) -> str:
    """Return a score with its interval in small print."""
    if score is None or score["value"] is None:
        return "–"
    if score["low"] is None:
        return number(score["value"])
    return f"{number(score['value'])}<small>{number(score['low'])} to {number(score['high'])}</small>"


def percent(share: float | None) -> str:
    """Return a share as a percentage, one digit; a dash where it is undefined."""
    return "–" if share is None else f"{100 * share:.1f} %"


def shortened(text: str) -> str:
    """Return at most the first 400 characters."""
    return text if len(text) <= 400 else text[:400].rstrip() + " …"
