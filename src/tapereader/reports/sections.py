"""The sections of a model's page below its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tapereader.governance.facts import METRIC_TITLES, ModelFacts, int8_words, number
from tapereader.reports.markup import bars, figures, percent, scored_cell, shortened

_TERMS = {True: "commercial use allowed", False: "commercial use forbidden", None: "commercial use not stated"}


def labels(facts: ModelFacts, charts: Mapping[str, str]) -> Iterator[str]:
    """Yield the section on every label: precision, recall, F1 and the confusion chart."""
    contract, rows = facts["contract"], facts["evaluation"]["per_class"]
    if not rows:
        return
    meanings = dict(zip(contract["names"], contract.get("meanings") or [""] * len(contract["names"]), strict=True))
    yield "<section><h2>Label by label</h2>"
    columns = ("precision", "recall", "f1")
    heads = "".join(f'<th class="number">{"F1" if column == "f1" else column}</th>' for column in columns)
    yield f'<div class="wide"><table><thead><tr><th>label</th>{heads}<th class="number">rows</th></tr></thead><tbody>'
    for row in rows:
        meaning = f"<small>{escape(meanings[row['name']])}</small>" if meanings.get(row["name"]) else ""
        cells = "".join(f'<td class="number">{number(row[column])}</td>' for column in columns)
        yield f'<tr><td>{escape(row["name"])}{meaning}</td>{cells}<td class="number">{row["support"]:,}</td></tr>'
    yield f"</tbody></table></div>{figures(charts, 'confusion')}</section>"


def trust(facts: ModelFacts, charts: Mapping[str, str]) -> Iterator[str]:
    """Yield the section on calibration, coverage and abstention."""
    calibration, evaluation = facts["calibration"], facts["evaluation"]
    yield "<section><h2>How far to trust it</h2><p>"
    if not calibration["n"]:
        yield "It was not calibrated: its probabilities are the network's own. "
    elif calibration["coverage"] is None:
        yield f"Calibrated on {calibration['n']:,} held-out rows, in too few groups to promise any coverage. "
    else:
        yield f"Calibrated on {calibration['n']:,} held-out rows. "
        coverage = evaluation["coverage"]
        if coverage is not None:
            unit = "wide" if facts["contract"]["kind"] == "regression" else "labels"
            yield f"Its prediction sets promise {calibration['coverage'] * 100:.0f} % and held the truth in "
            size = number(coverage["mean_size"], digits=2)
            yield f"{percent(coverage['value'])} of these rows, on average {size} {unit}. "
    abstention = evaluation["abstention"]
    if calibration["abstain_below"] is None:
        yield "It never abstains."
    else:
        yield f"It abstains below {percent(calibration['abstain_below'])} confidence"
        if abstention is not None:
            kept = abstention.get("kept_accuracy")
            yield f": {percent(abstention['rate'])} of these rows were left to a person"
            yield f", and {percent(kept['value'])} of the answers it kept were right" if kept else ""
        yield "."
    if said := int8_words(facts):
        yield f" {escape(said)}"
    yield f"</p>{figures(charts, 'reliability', 'coverage')}</section>"


def examples(facts: ModelFacts) -> Iterator[str]:
    """Yield the section with answers to example texts."""
    rows = facts.get("examples") or []
    if not rows:
        return
    yield '<section><h2>What it says</h2><ul class="rows">'
    for row in rows:
        about = f"<p>about <b>{escape(row['pair'])}</b></p>" if row.get("pair") else ""
        yield f"<li><q>{escape(shortened(row['text']))}</q>{about}"
        if facts["contract"]["kind"] == "regression":
            yield f"<p><b>{number(row['value'])}</b></p>"
        else:
            yield bars(facts["contract"]["names"], row["probabilities"])
        if row.get("abstained"):
            yield "<p>It abstains: a person should look.</p>"
        elif len(row.get("prediction_set") or ()) > 1:
            yield f"<p>Cannot exclude: {escape(', '.join(row['prediction_set']))}.</p>"
        yield "</li>"
    yield "</ul></section>"


def parts(facts: ModelFacts) -> Iterator[str]:
    """Yield the section with scores of parts of the rows."""
    rows = facts.get("slices") or []
    if not rows:
        return
    metric = METRIC_TITLES.get(rows[0]["metric"], rows[0]["metric"])
    yield "<section><h2>Where it is weaker</h2>"
    yield f'<div class="wide"><table><thead><tr><th>rows</th><th class="number">{escape(metric)}</th>'
    yield '<th class="number">count</th></tr></thead><tbody>'
    by = None
    for row in rows:
        if row["by"] != by:
            by = row["by"]
            yield f'<tr class="part"><td colspan="3">by {escape(by)}</td></tr>'
        score = scored_cell({"value": row["score"], "low": row["low"], "high": row["high"]})
        yield f'<tr><td>{escape(row["value"])}</td><td class="number">{score}</td>'
        yield f'<td class="number">{row["n"]:,}</td></tr>'
    yield "</tbody></table></div></section>"


def mistakes(facts: ModelFacts) -> Iterator[str]:
    """Yield the section with the surest mistakes."""
    rows = facts.get("mistakes") or []
    if not rows:
        return
    yield "<section><h2>Its surest mistakes</h2>"
    yield '<p>Blind spots of the model, or wrong labels: both are worth reading.</p><ul class="rows">'
    for row in rows:
        about = f" about <b>{escape(row['pair'])}</b>" if row.get("pair") else ""
        yield f"<li><q>{escape(shortened(row['text']))}</q><p>It says <b>{escape(row['answer'])}</b>{about}, "
        yield f"the label says <b>{escape(row['truth'])}</b> · row {row['row']:,}</p></li>"
    yield "</ul></section>"


def provenance(facts: ModelFacts) -> Iterator[str]:
    """Yield the section on data, licences, run, machine and code."""
    manifest, dataset = facts["manifest"], facts["dataset"]
    code, hardware = manifest["code"], manifest["hardware"]
    commit = f", commit {code['commit'][:12]}" if code.get("commit") else ""
    changed = " with local changes" if code.get("modified") else ""
    entries = [
        ("Data", f"{dataset['title']} ({dataset['origin']}), {dataset['n']:,} rows, id {dataset['id']}"),
        *[
            (f"Licence of {item['of']}", f"{item['name']}, {_TERMS[item['commercial_use']]}")
            for item in manifest["licences"]
        ],
        ("Splits", ", ".join(f"{name} {split_id}" for name, split_id in manifest["split_ids"].items())),
        ("Made from", ", ".join(_parent(parent) for parent in manifest["parents"]) or "nothing"),
        ("Run", f"config {manifest['config_id']}, seed {manifest['seed']}, {manifest['started_at']}"),
        ("Machine", f"{hardware['processor']}, {hardware['cores']} cores, {' '.join(hardware['flags'])}"),
        ("Code", f"tapereader {code['version']}{commit}{changed}"),
        ("Libraries", ", ".join(f"{name} {release}" for name, release in manifest["libraries"].items())),
    ]
    entries += [("Note", trap) for trap in dataset.get("traps") or []]
    yield '<section><h2>Where it comes from</h2><dl class="facts">'
    yield "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in entries)
    yield "</dl>"
    if facts.get("rerun"):
        yield f"<pre>{escape(facts['rerun'])}</pre>"
    yield "</section>"


def _parent(parent: Mapping[str, Any]) -> str:
    cutoff = f", text up to {parent['cutoff']}" if parent.get("cutoff") else ", text of unknown date"
    digest = f", sha256 {parent['sha256'][:12]}…" if parent.get("sha256") else ""
    return f"{parent['name']}{cutoff}{digest}"
