"""One self-contained HTML page about why a bundle answered as it did: words coloured, and how far to believe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tapereader.reports.style import style_sheet

#: Least share of the full weight that is shown, and words named below it each way.
_LEAST, _NAMED = 0.08, 4
_METHODS = {"integrated-gradients": "Integrated gradients", "occlusion": "Occlusion"}
_HOW = {
    "integrated-gradients": "gradients gathered on the way from a text of padding to the text",
    "occlusion": "the answer with the word, against the answer without it",
}
#: Sides differ in their line too, so that they can be told apart in grey and by the colour-blind.
_RULES = """
:root{--for:11 95 160;--against:190 38 28;--most:.5}
@media(prefers-color-scheme:dark){:root{--for:70 150 225;--against:236 92 80;--most:.58}}
@media print{:root{--for:11 95 160;--against:190 38 28;--most:.5}}
.w{border-radius:.15em;padding:.08em .04em;-webkit-box-decoration-break:clone;box-decoration-break:clone;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.p{background:rgb(var(--for)/calc(.06 + var(--s)*var(--most)));
border-bottom:2px solid rgb(var(--for)/calc(.35 + .65*var(--s)))}
.n{background:rgb(var(--against)/calc(.06 + var(--s)*var(--most)));
border-bottom:2px dashed rgb(var(--against)/calc(.35 + .65*var(--s)))}
.explained td,.explained th{position:static;padding:.9rem 1.4rem .9rem 0}
.explained td.number:last-child{padding-right:0}
.explained q{quotes:none;display:block;font-size:1.02rem;line-height:1.9;overflow-wrap:anywhere;white-space:pre-line}
.explained td small{margin-top:.35rem;line-height:1.45;font-size:.8rem;white-space:normal}
.explained td.text{width:52%;min-width:15rem}
.explained b{font-weight:650}
.near{list-style:none;margin:0;padding:0;font-size:.84rem;line-height:1.4}
.near li{margin:0 0 .55rem}.near li:last-child{margin:0}
.near i{font-style:normal;color:var(--muted)}
main{max-width:72rem}
header .lead{line-height:1.75}
.all{border:0;margin-top:1.6rem;padding-top:0}
@media(max-width:48rem){.explained thead{display:none}.explained tr{display:block;border-bottom:1px solid var(--line);
padding:1rem 0}.explained td,.explained td.number{display:block;border:0;padding:0 0 .5rem;text-align:left;width:auto}
.explained td.text{width:auto;padding-bottom:.7rem}
.explained td[data-name]::before{content:attr(data-name) " ";color:var(--muted);font-size:.82rem}
.explained td.number+td.wordy{padding-left:0}.explained td.wordy[data-name]::before{display:block;margin-bottom:.25rem}}
"""


def explanation_page(facts: Mapping[str, Any]) -> str:
    """Write the page: a row for each text and label, on any screen, in light and dark, without a request.

    All text from outside is escaped.

    Parameters
    ----------
    facts : what ``ExplainResult.to_dict`` gives

    Returns
    -------
    str, a whole HTML document
    """
    body = "".join([*_header(facts), *_rows(facts), *_reading(facts)])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Why it answers so · {escape(facts['task'])}</title><style>{style_sheet()}{_RULES}</style></head>"
        f"<body><main>{body}<footer>Answers of bundle <code>{escape(facts['bundle_id'])}</code>. This page makes no "
        "requests.</footer></main></body></html>\n"
    )


def _header(facts: Mapping[str, Any]) -> Iterator[str]:
    judged = facts["faithfulness"]
    yield f'<header><p class="eyebrow">Explanations · {escape(facts["task"])}</p><h1>Why it answers so</h1>'
    yield '<p class="lead"><span class="w p" style="--s:.8">Blue, underlined</span> words speak for the label, '
    yield '<span class="w n" style="--s:.8">red, dashed</span> words against it. The stronger the colour, the more.</p>'
    if facts["note"]:
        yield f'<p class="banner">{escape(facts["note"])}</p>'
    if judged is not None and judged["n"] > 1 and judged["gain"]["low"] <= 0:
        yield '<p class="banner"><b>Not shown to be better than random.</b> Do not rely on these explanations.</p>'
    strip = {"Explanations": f"{len(facts['explanations']):,}", "Method": _METHODS[facts["method"]]}
    if judged is not None:
        gain = judged["gain"]
        strip["Faithfulness above random"] = _signed(gain["value"])
        if judged["n"] > 1:
            strip[f"{gain['level'] * 100:.0f} % interval"] = f"{_signed(gain['low'])} to {_signed(gain['high'])}"
    if facts["against"] is not None:
        strip["Neighbours from"] = f"{facts['against']['rows']:,} training rows"
    yield '<dl class="strip">'
    yield "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in strip.items())
    yield "</dl></header>"


def _rows(facts: Mapping[str, Any]) -> Iterator[str]:
    near = any(one["neighbours"] for one in facts["explanations"])
    heads = ["<th>text</th>", "<th>label</th>"]
    judged = facts["faithfulness"] is not None
    heads += ['<th class="number">faithfulness</th>'] if judged else []
    heads += ["<th>nearest known texts</th>"] if near else []
    yield f'<section class="all"><table class="explained"><thead><tr>{"".join(heads)}</tr></thead><tbody>'
    for one in facts["explanations"]:
        yield f'<tr><td class="text">{_coloured(one, facts["language"])}</td>'
        yield f'<td data-name="label">{_label(one)}</td>'
        if judged:
            yield f'<td class="number" data-name="faithfulness">{_judged(one)}</td>'
        if near:
            yield f'<td class="wordy" data-name="nearest known texts">{_neighbours(one, facts["language"])}</td>'
        yield "</tr>"
    yield "</tbody></table>"
    if facts["errors"]:
        told = "; ".join(f"row {error['row']:,}: {error['error']}" for error in facts["errors"])
        yield f'<p class="note">Not explained: {escape(told)}.</p>'
    yield "</section>"


def _coloured(one: Mapping[str, Any], language: str) -> str:
    text = one["text"]
    pieces, last = [], 0
    for word in one["words"]:
        pieces.append(escape(text[last : word["start"]]))
        last, shown = word["end"], escape(text[word["start"] : word["end"]])
        share = abs(word["weight"]) / one["full_weight"]
        if share >= _LEAST:
            side = "p" if word["weight"] > 0 else "n"
            shown = f'<span class="w {side}" style="--s:{share:.2f}" title="{_signed(word["weight"])}">{shown}</span>'
        pieces.append(shown)
    pieces.append(escape(text[last:]))
    about = "" if one["pair"] is None else f"<small>about <b>{escape(one['pair'])}</b></small>"
    return f'<q lang="{_language(language)}">{"".join(pieces)}</q>{about}<small>{_named(one)}</small>'


def _named(one: Mapping[str, Any]) -> str:
    ranked = sorted(one["words"], key=lambda word: -abs(word["weight"]))
    told = []
    for name, sign in (("for", 1), ("against", -1)):
        words = [word for word in ranked if sign * word["weight"] >= _LEAST * one["full_weight"]][:_NAMED]
        if words:
            told.append(
                f"{name}: " + ", ".join(f"{escape(_quoted(w['text']))} {_signed(w['weight'], 2)}" for w in words)
            )
    return " · ".join(told) or "No word weighs much."


def _label(one: Mapping[str, Any]) -> str:
    if one["probability"] is None:
        return f"{escape(one['label'])} <b>{one['value']:.4g}</b>"
    said = f"<b>{escape(one['label'])}</b> {one['probability']:.3f}"
    if one["answer"] != one["label"]:
        said += f"<small>the answer is {escape(one['answer'].replace('|', ', ') or 'no label')}</small>"
    return said


def _judged(one: Mapping[str, Any]) -> str:
    judged, complete = one["faithfulness"], one["completeness"]
    if judged is None:
        said = "–<small>one word has one order</small>"
    else:
        beaten = round(judged["beaten"] * judged["n_random"])
        said = f"<b>{_signed(judged['gain'])}</b><small>beats {beaten} of {judged['n_random']} random</small>"
    if complete is not None and not complete["complete"]:
        said += f"<small>{100 * complete['gap_share']:.1f} % of the score is missing</small>"
    return said


def _neighbours(one: Mapping[str, Any], language: str) -> str:
    rows = []
    for near in one["neighbours"]:
        about = "" if near["pair"] is None else f" about {escape(near['pair'])}"
        label = escape(near["label"].replace("|", ", ") or "no label")
        rows.append(
            f"<li><b>{label}</b> <i>{near['similarity']:.3f} · row {near['row']:,}{about}</i><br>"
            f'<span lang="{_language(language)}">{escape(near["text"])}</span></li>'
        )
    return f'<ul class="near">{"".join(rows)}</ul>'


def _reading(facts: Mapping[str, Any]) -> Iterator[str]:
    unit = "the value" if facts["kind"] == "regression" else "the logit of the label's probability"
    yield "<section><h2>How to read this</h2>"
    yield f"<p>A word's weight is what it adds to {unit}: {_HOW[facts['method']]}. "
    complete = [one["completeness"] for one in facts["explanations"] if one["completeness"] is not None]
    if complete:
        worst = max(complete, key=lambda found: found["gap_share"])
        yield "The weights of a text sum to what it adds over a text of padding, to "
        yield f"{100 * worst['gap_share']:.2f} % at worst. "
    yield "</p>"
    judged = facts["faithfulness"]
    if judged is not None:
        yield "<p>Faithfulness takes words away, and puts them in, in the order of their weights, and compares the "
        yield "area under the label's probability with that of random orders of the same words. 0 is no better than "
        yield "random. "
        yield ", ".join(
            f"{name} {_signed(judged[field]['value'])} ({_signed(judged[field]['low'])} to "
            f"{_signed(judged[field]['high'])})"
            for name, field in (("Taken away", "deletion_gain"), ("put in", "insertion_gain"))
        )
        yield f", over {judged['n']:,} explanations.</p>"
    yield '<p class="note">Words are explained as the model weighs them. That a word weighs much says nothing about '
    yield "whether it should.</p></section>"


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _quoted(word: str) -> str:
    return word if any(mark.isalnum() for mark in word) else f"“{word}”"


def _language(language: str) -> str:
    return {"zh": "zh-Hans", "en": "en"}.get(language, "und")
