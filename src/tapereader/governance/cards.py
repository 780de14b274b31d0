"""The model card: Markdown written from a run's facts alone, never by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from tapereader.governance.facts import (
    METRIC_TITLES,
    MODEL_TITLES,
    ModelFacts,
    int8_words,
    models_compared,
    number,
    shown_metrics,
    winners,
)

_LANGUAGES = {"en": ["en"], "zh": ["zh"], "mixed": ["en", "zh"], "unknown": []}

_PICTURES = {
    "comparison": "Score of this model beside the baselines, with intervals",
    "confusion": "True labels and answers",
    "coverage": "How often prediction sets held the truth",
    "learning": "Loss while training",
    "reliability": "Stated confidence against what came true",
}


def model_card(facts: ModelFacts, *, plots: Sequence[str] = ()) -> str:
    """Write the card of a model as Markdown with the front matter that the Hugging Face hub reads.

    Every sentence is a fact of the run or a limit that follows from one; what is not known is not said. Terms that
    forbid commercial use stand first, in bold; synthetic training text is marked; where a baseline wins, it says so.

    Parameters
    ----------
    facts : see :class:`tapereader.governance.facts.ModelFacts`
    plots : names of the pictures that stand in ``plots/`` beside the card

    Returns
    -------
    str, a whole Markdown document

    References
    ----------
    Mitchell et al. (2019), Model Cards for Model Reporting, FAT* '19.
    """
    blocks = [_front_matter(facts), f"# {facts['title']}", *_notices(facts)]
    for title, lines in (
        ("What it answers", _labels(facts)),
        ("Intended use", _use(facts)),
        ("Results", [*_results(facts), *_pictures(plots)]),
        ("Calibration and abstention", _calibration(facts)),
        ("Training data", _data(facts)),
        ("Limits", _limits(facts)),
        ("How to load it", _loading(facts)),
        ("How it was made", _making(facts)),
    ):
        blocks += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(blocks) + "\n"


def _front_matter(facts: ModelFacts) -> str:
    manifest, dataset = facts["manifest"], facts["dataset"]
    tags = ["tapereader", "finance", str(dataset["task"]), str(facts["contract"]["kind"])]
    if manifest["synthetic"]:
        tags.append("synthetic-data")
    matter: dict[str, Any] = {
        "license": "other",
        "license_name": "non-commercial" if manifest["non_commercial"] else "see-licences",
        "library_name": "tapereader",
        "tags": tags,
        "metrics": [facts["evaluation"]["headline"]],
        "model_name": facts["title"],
    }
    if _LANGUAGES.get(dataset["language"]):
        matter = {"language": _LANGUAGES[dataset["language"]]} | matter
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


def _notices(facts: ModelFacts) -> Iterator[str]:
    if facts["manifest"]["non_commercial"]:
        named = _listed(
            f"{_cell(item['of'])} ({_cell(item['name'])})"
            for item in facts["manifest"]["licences"]
            if item.get("commercial_use") is False
        )
        yield f"> **NON-COMMERCIAL USE ONLY.** This model was made from {named or 'material'}, whose terms forbid it."
    if facts["manifest"]["synthetic"]:
        yield (
            "> **SYNTHETIC DATA.** The training text was made by a program. The scores below hold for that text and "
            "say nothing about real news."
        )
    theirs, _ = winners(facts)
    if theirs:
        wins = "A simpler rule wins" if len(theirs) == 1 else "Simpler rules win"
        yield f"> **{wins}.** On these rows {_outscoring(theirs)} than this model."


def _labels(facts: ModelFacts) -> Iterator[str]:
    contract = facts["contract"]
    if contract["kind"] == "regression":
        bounds = [number(contract.get(end), digits=2) for end in ("low", "high")]
        reach = f" between {bounds[0]} and {bounds[1]}" if contract.get("low") is not None else ""
        yield f"One number, `{contract['names'][0]}`{reach}."
        return
    yield f"A {contract['kind']} question. The order of the labels is the order of the outputs:"
    yield ""
    yield "| output | label | meaning |"
    yield "|---|---|---|"
    meanings = contract.get("meanings") or [""] * len(contract["names"])
    for at, (name, meaning) in enumerate(zip(contract["names"], meanings, strict=True)):
        yield f"| {at} | `{_cell(name)}` | {_cell(meaning)} |"


def _use(facts: ModelFacts) -> Iterator[str]:
    language = {"en": "English", "zh": "Chinese", "mixed": "English and Chinese"}.get(facts["dataset"]["language"], "")
    kind = f"{language} " if language else ""
    yield f"Reading {kind}text like that of {_cell(facts['dataset']['title'])}, to answer `{facts['dataset']['task']}`."
    yield "An answer is a statement about the text, not advice to buy or sell. Where it abstains, a person decides."


def _results(facts: ModelFacts) -> Iterator[str]:
    evaluation = facts["evaluation"]
    names = shown_metrics(facts)
    level = f"{evaluation['level'] * 100:.0f} %"
    yield (
        f"Scored on {evaluation['n']:,} rows in {evaluation['n_groups']:,} groups ({_cell(facts['split'])}). In "
        f"brackets the {level} interval from {evaluation['n_resamples']:,} resamples of whole groups, seed "
        f"{evaluation['seed']}. The first column decides."
    )
    yield ""
    yield "| | " + " | ".join(METRIC_TITLES.get(name, name) for name in names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for model, scored in models_compared(facts).items():
        title = MODEL_TITLES.get(model, model)
        cells = [_scored(scored["metrics"].get(name)) for name in names]
        if model == "ours":
            title, cells = f"**{title}**", [f"**{cell}**" for cell in cells]
        yield f"| {title} | " + " | ".join(cells) + " |"
    yield ""
    if said := int8_words(facts):
        yield f"- {said}"
    for name, found in (facts.get("comparisons") or {}).items():
        yield "- " + _compared(MODEL_TITLES.get(name, name), found)
    if evaluation["per_class"]:
        yield ""
        yield "| label | precision | recall | F1 | rows |"
        yield "|---|---|---|---|---|"
        for row in evaluation["per_class"]:
            numbers = " | ".join(number(row[column]) for column in ("precision", "recall", "f1"))
            yield f"| `{_cell(row['name'])}` | {numbers} | {row['support']:,} |"


def _pictures(plots: Sequence[str]) -> Iterator[str]:
    for name in plots:
        yield ""
        yield f"![{_PICTURES.get(name, name)}](plots/{name}.svg)"


def _calibration(facts: ModelFacts) -> Iterator[str]:
    calibration, evaluation = facts["calibration"], facts["evaluation"]
    if facts["contract"]["kind"] == "generation":
        yield "It says a label, without a probability: the one said counts as 1, the others as 0. It gives no"
        yield "prediction set and never abstains; an answer that names no label is `unparsed`."
        return
    if not calibration["n"]:
        yield "It was not calibrated: its probabilities are the network's own, and no prediction set is given."
        return
    yield f"Fitted on {calibration['n']:,} held-out rows; temperature {number(calibration['temperature'])}."
    coverage = evaluation.get("coverage")
    if calibration["coverage"] is None:
        yield "Their groups were too few to promise any coverage, so it gives no prediction sets."
    elif coverage is not None:
        size = "labels a set" if facts["contract"]["kind"] != "regression" else "wide"
        held, low, high = (_percent(coverage[end]) for end in ("value", "low", "high"))
        yield (
            f"Prediction sets promise to hold the truth in {calibration['coverage'] * 100:.0f} % of cases; on the "
            f"scored rows they did in {held} ({low} to {high}), on average "
            f"{number(coverage['mean_size'], digits=2)} {size}."
        )
    abstention = evaluation.get("abstention")
    if calibration["abstain_below"] is None:
        yield "It never abstains."
    else:
        yield f"It abstains where it is less than {_percent(calibration['abstain_below'])} sure of its own answer."
        if abstention is not None:
            kept = abstention.get("kept_accuracy")
            of_kept = f"; of the answers it kept, {_percent(kept['value'])} were right" if kept else ""
            yield f"On the scored rows it left {_percent(abstention['rate'])} to a person{of_kept}."


def _data(facts: ModelFacts) -> Iterator[str]:
    dataset = facts["dataset"]
    terms = {True: "commercial use allowed", False: "**commercial use forbidden**", None: "commercial use not stated"}
    yield f"- {_cell(dataset['title'])} (`{dataset['name']}`), {dataset['n']:,} rows, content id `{dataset['id']}`"
    yield f"- Copy: {_cell(dataset['origin'])}"
    for licence in facts["manifest"]["licences"]:
        source = f"; {_cell(licence['source'])}" if licence.get("source") else ""
        allowed = terms[licence["commercial_use"]]
        yield f"- Licence of {_cell(licence['of'])}: {_cell(licence['name'])}, {allowed}{source}"
    for name, split_id in facts["manifest"]["split_ids"].items():
        yield f"- Split `{_cell(name)}`: id `{split_id}`"
    for trap in dataset.get("traps") or []:
        yield f"- Note: {_cell(trap)}"


def _limits(facts: ModelFacts) -> Iterator[str]:
    theirs, unclear = winners(facts)
    if theirs:
        yield f"- {_outscoring(theirs)} on these rows."
    if unclear:
        yield f"- It cannot be told apart from {_listed(unclear)} on these rows."
    for row in facts["evaluation"]["per_class"]:
        if row["support"] < 30:
            yield f"- `{_cell(row['name'])}` has {row['support']} scored rows: its scores are little more than a guess."
    weak = [part for part in facts.get("slices") or [] if part["score"] is not None]
    if weak:
        worst = min(weak, key=lambda part: part["score"])
        yield (
            f"- Weakest part of the rows: {_cell(worst['by'])}, {_cell(worst['value'])} ({worst['n']:,} rows, "
            f"{METRIC_TITLES.get(worst['metric'], worst['metric'])} {_scored(worst, of='score')})."
        )
    for parent in facts["manifest"]["parents"]:
        cutoff = parent.get("cutoff")
        known = f"may hold text up to {cutoff}" if cutoff else "holds text of unknown date: treat any past as seen"
        yield f"- Its parent `{_cell(parent['name'])}` {known}. A test on earlier dates is no test of foresight."
    yield "- Text of another kind, period or language than the training data can be answered wrongly with confidence."


def _loading(facts: ModelFacts) -> Iterator[str]:
    # A sentence of our own: the card travels, and the texts of the training data may not.
    example = '"营业利润同比增长12%。"' if facts["dataset"]["language"] == "zh" else '"Operating profit rose 12%."'
    if facts["contract"]["kind"] == "generation":
        yield "It answers in words, so reading it needs torch: install the extra `train`."
        yield ""
        yield "```python"
        yield "from tapereader.recipes.predict import predict"
        yield ""
        yield f'predict("path/to/this/folder", texts=[{example}])["predictions"]'
        yield "```"
        yield ""
        yield "The network alone is in `model/`, for transformers; `model/instruction.json` is what it is asked."
        return
    yield "```python"
    yield "from tapereader import Engine"
    yield ""
    yield 'engine = Engine("path/to/this/folder")  # ONNX Runtime; needs no torch'
    yield f"engine.predict([{example}])"
    yield "```"
    yield ""
    if facts.get("members"):
        yield "Its members are whole bundles in `members/`, each of which can be used alone."
        return
    yield "The encoder alone, in transformers; `model/head.safetensors` beside it holds the answer layer:"
    yield ""
    yield "```python"
    yield "from transformers import AutoModel, AutoTokenizer"
    yield ""
    yield 'encoder = AutoModel.from_pretrained("path/to/this/folder/model")'
    yield 'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder/model")'
    yield "```"


def _making(facts: ModelFacts) -> Iterator[str]:
    manifest = facts["manifest"]
    hardware, code = manifest["hardware"], manifest["code"]
    commit = f", commit `{code['commit'][:12]}`" if code.get("commit") else ""
    changed = " with local changes" if code.get("modified") else ""
    # The id is a hash over this card too, so the card cannot hold it.
    yield f"- Config `{manifest['config_id']}`, seed {manifest['seed']}; the bundle's id stands in `manifest.json`"
    yield f"- {manifest['started_at']} to {manifest['finished_at']}, {number(manifest['minutes'], digits=1)} minutes"
    yield f"- {hardware['processor']}, {hardware['cores']} cores, {' '.join(hardware['flags']) or 'no listed features'}"
    yield f"- tapereader {code['version']}{commit}{changed}"
    yield "- " + ", ".join(f"{name} {release}" for name, release in manifest["libraries"].items())
    for parent in manifest["parents"]:
        digest = f", sha256 `{parent['sha256'][:12]}…`" if parent.get("sha256") else ""
        yield f"- Made from {_cell(parent['kind'])} `{_cell(parent['name'])}`{digest}"
    if facts.get("rerun"):
        yield ""
        yield "To make it again:"
        yield ""
        yield f"```\n{facts['rerun']}\n```"


def _compared(title: str, found: Any) -> str:
    verdict = {"ours": "this model is better", "theirs": f"**{title} is better**", "unclear": "no clear difference"}
    return (
        f"Against {title}: {METRIC_TITLES.get(found['metric'], found['metric'])} {found['difference']:+.3f} "
        f"({found['low']:+.3f} to {found['high']:+.3f}, p = {found['p_value']:.3f}): {verdict[found['better']]}."
    )


def _scored(score: Any, *, of: str = "value") -> str:
    if score is None or score[of] is None:
        return "–"
    if score["low"] is None:
        return number(score[of])
    return f"{number(score[of])} [{number(score['low'])}, {number(score['high'])}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _listed(names: Any) -> str:
    items = list(names)
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def _outscoring(titles: Sequence[str]) -> str:
    return f"{_listed(titles)} {'scores' if len(titles) == 1 else 'score'} higher"


def _cell(text: Any) -> str:
    # What comes from outside must not open a table cell, a tag or a new line.
    plain = " ".join(str(text).split())
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
