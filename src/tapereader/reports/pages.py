"""One self-contained HTML page about a trained model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tapereader.core.errors import MissingExtraError
from tapereader.governance.facts import (
    METRIC_TITLES,
    MODEL_TITLES,
    ModelFacts,
    models_compared,
    number,
    shown_metrics,
    winners,
)
from tapereader.reports.charts import model_charts, to_svg
from tapereader.reports.markup import figures, scored_cell
from tapereader.reports.sections import examples, labels, mistakes, parts, provenance, trust
from tapereader.reports.style import follow_page, style_sheet


def model_page(facts: ModelFacts) -> str:
    """Write a model's page: one HTML file that needs nothing else, on any screen, in light and dark.

    All text from outside is escaped. Without matplotlib the page has no charts, and says so.

    Parameters
    ----------
    facts : see :class:`tapereader.governance.facts.ModelFacts`

    Returns
    -------
    str, a whole HTML document
    """
    try:
        charts = {
            name: follow_page(to_svg(figure, name=name)) for name, figure in model_charts(facts, style="light").items()
        }
    except MissingExtraError as error:
        charts, missing = {}, f'<p class="note">Charts are left out. {escape(str(error))}</p>'
    else:
        missing = ""
    language = {"zh": "zh-Hans", "en": "en"}.get(facts["dataset"]["language"], "en")
    title = escape(facts["title"])
    body = "".join(
        [
            *_header(facts),
            missing,
            *_results(facts, charts),
            *labels(facts, charts),
            *trust(facts, charts),
            *examples(facts),
            *parts(facts),
            *mistakes(facts),
            *provenance(facts),
        ]
    )
    # The page's own words are English whatever it is about; the texts it shows carry their language themselves.
    body = body.replace("<q>", f'<q lang="{language}">')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{style_sheet()}</style></head><body><main>{body}"
        f"<footer>Written by tapereader {escape(str(facts['manifest']['code']['version']))} from the facts of bundle "
        f"<code>{escape(facts['bundle_id'])}</code>. This page makes no requests.</footer></main></body></html>\n"
    )


def headline(facts: ModelFacts) -> str:
    """Return the result in one sentence of plain text.

    Parameters
    ----------
    facts : see :class:`tapereader.governance.facts.ModelFacts`
    """
    return re.sub(r"</?b>", "", _headline(facts, mark=lambda text: text))


def _headline(facts: ModelFacts, *, mark: Any) -> str:
    evaluation = facts["evaluation"]
    metric = evaluation["headline"]
    title = METRIC_TITLES.get(metric, metric)
    ours = evaluation["metrics"][metric]
    between = f" ({number(ours['low'])} to {number(ours['high'])})" if ours["low"] is not None else ""
    sentence = f"Its {title} is {mark(number(ours['value']))}{between} on {evaluation['n']:,} rows it never saw"
    rivals = {
        name: scored["metrics"][metric]["value"]
        for name, scored in (facts.get("baselines") or {}).items()
        if scored["metrics"].get(metric, {}).get("value") is not None
    }
    against = []
    if rivals:
        best = max(rivals, key=lambda name: rivals[name])
        against.append(f"{mark(number(rivals[best]))} for the best plain baseline ({MODEL_TITLES.get(best, best)})")
    before = facts.get("before")
    if before is not None and before["metrics"].get(metric, {}).get("value") is not None:
        against.append(f"{mark(number(before['metrics'][metric]['value']))} before fine-tuning")
    return sentence + (f", against {' and '.join(against)}." if against else ".")


def _header(facts: ModelFacts) -> Iterator[str]:
    manifest, dataset, evaluation = facts["manifest"], facts["dataset"], facts["evaluation"]
    yield f'<header><p class="eyebrow">Model report · {escape(dataset["task"])}</p><h1>{escape(facts["title"])}</h1>'
    yield f'<p class="lead">{_headline(facts, mark=lambda text: f"<b>{escape(text)}</b>")}</p>'
    if manifest["synthetic"]:
        yield '<p class="banner"><b>Synthetic data.</b> The text was made by a program: these scores say nothing about '
        yield "real news.</p>"
    if manifest["non_commercial"]:
        yield '<p class="banner"><b>Non-commercial use only.</b> The terms of its training data forbid any other.</p>'
    theirs, unclear = winners(facts)
    if theirs:
        wins, score = ("A simpler rule wins", "scores") if len(theirs) == 1 else ("Simpler rules win", "score")
        yield f'<p class="banner"><b>{wins}.</b> {escape(" and ".join(theirs))} {score} higher here.</p>'
    if unclear:
        yield f'<p class="note">No clear difference from {escape(", ".join(unclear))}.</p>'
    strip = {
        "Rows scored": f"{evaluation['n']:,}",
        "Training time": f"{manifest['minutes']:.1f} min",
        "Processor": f"{manifest['hardware']['cores']} cores",
        "Made from": ", ".join(str(parent["name"]) for parent in manifest["parents"]) or "nothing",
        "Finished": str(manifest["finished_at"])[:10],
    }
    yield '<dl class="strip">'
    yield "".join(f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in strip.items())
    yield "</dl></header>"


def _results(facts: ModelFacts, charts: Mapping[str, str]) -> Iterator[str]:
    evaluation = facts["evaluation"]
    names = shown_metrics(facts)
    yield "<section><h2>Is it better than something simple?</h2>"
    yield f"<p>Scored on {evaluation['n']:,} rows in {evaluation['n_groups']:,} groups: {escape(facts['split'])}. "
    yield f"The first column decides; {evaluation['level'] * 100:.0f} % intervals are from resampled groups.</p>"
    yield figures(charts, "comparison", "learning")
    heads = "".join(f'<th class="number">{escape(METRIC_TITLES.get(name, name))}</th>' for name in names)
    yield f'<div class="wide"><table><thead><tr><th></th>{heads}</tr></thead><tbody>'
    for model, scored in models_compared(facts).items():
        cells = "".join(f'<td class="number">{scored_cell(scored["metrics"].get(name))}</td>' for name in names)
        kind = ' class="ours"' if model == "ours" else ""
        yield f"<tr{kind}><td>{escape(MODEL_TITLES.get(model, model))}</td>{cells}</tr>"
    yield "</tbody></table></div>"
    if facts.get("comparisons"):
        yield '<div class="wide"><table><thead><tr><th>This model against</th><th class="number">difference</th>'
        yield '<th class="number">p</th><th>verdict</th></tr></thead><tbody>'
        words = {"ours": "better", "theirs": "worse", "unclear": "not clear"}
        for name, found in facts["comparisons"].items():
            small = f"<small>{found['low']:+.3f} to {found['high']:+.3f}</small>"
            yield f"<tr><td>{escape(MODEL_TITLES.get(name, name))}</td>"
            yield f'<td class="number">{found["difference"]:+.3f}{small}</td>'
            yield f'<td class="number">{found["p_value"]:.3f}</td>'
            yield f"<td>{words[found['better']]}</td></tr>"
        yield "</tbody></table></div>"
    yield "</section>"
