"""``tapereader explain``: a bundle and texts in, what each word weighs out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.core.errors import ConfigError

#: Words named in the line below a text, each way.
_NAMED = 4
#: Least share of the full weight that is shown.
_LEAST = 0.08
#: From which share of the full weight on a word gets a style for the label, and against it; strongest first. Both
#: colours of a style are set, so that a word is legible on any background; the underline tells the sides apart where
#: there is no colour.
_STYLES = (
    (0.6, "bold underline #ffffff on #0b5fa0", "bold #ffffff on #b3261e"),
    (0.25, "underline #000000 on #7db8e8", "#000000 on #f0988f"),
    (_LEAST, "underline #000000 on #cfe4f5", "#000000 on #f9d5d1"),
)
#: For terminals of sixteen colours, whose paler ones cannot be told apart.
_FEW_COLOURS = (
    (0.6, "bold underline white on blue", "bold white on red"),
    (_LEAST, "underline bright_blue", "bright_red"),
)


def explain(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that training wrote.")],
    texts: asked.Texts = None,
    *,
    file: asked.Input = None,
    text: asked.TextColumn = None,
    pair: asked.PairColumn = None,
    about: asked.About = None,
    encoding: asked.FileEncoding = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Explain the first N rows of the file.")
    ] = None,
    method: Annotated[
        Literal["auto", "integrated-gradients", "occlusion"],
        typer.Option("--method", help="Gradients need the extra train; auto takes them where they can be had."),
    ] = "auto",
    label: Annotated[
        str | None, typer.Option("--label", metavar="NAME", help="The label to explain; else what the bundle answers.")
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option("--terms", metavar="FILE", help="What counts as one word, one a line: names, Chinese words."),
    ] = None,
    chinese: Annotated[
        Literal["character", "piece"],
        typer.Option("--chinese", help="Words of Chinese: characters, or the pieces that the model reads."),
    ] = "character",
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness/--no-faithfulness", help="Judge each explanation against random ones.")
    ] = True,
    random_orders: Annotated[
        int, typer.Option("--random-orders", metavar="N", min=20, help="How many random explanations.")
    ] = 20,
    neighbours: Annotated[
        int, typer.Option("--neighbours", metavar="K", min=0, help="Show the K nearest texts of the training part.")
    ] = 0,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="DATASET_OR_FILE", help="What it was trained on, where that is a file."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page that needs nothing else.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads; else all.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of random orders and intervals.")] = 0,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Say what each word weighs in an answer, and how far to believe that.

    Blue words speak for the label, red ones against it. The faithfulness score takes words away in the explanation's
    order and in random ones: 0 is no better than random.
    """
    if texts and file is not None:
        raise ConfigError("Texts must come as words or from --input; got both. Leave one out.")
    if not texts and file is None and sys.stdin.isatty():
        raise ConfigError("There must be something to explain; got nothing. Give texts, or --input FILE.")
    if about is not None and not texts:
        raise ConfigError("--about names the target of texts given as words; got none. A file has a column: --pair.")
    if texts and (text is not None or pair is not None):
        raise ConfigError("--text and --pair name columns of a file; got texts given as words. Leave the columns out.")
    if against is not None and not neighbours:
        raise ConfigError("--against says where neighbours are looked for; got no --neighbours K. Give how many.")
    from tapereader.recipes.explain import explain as run

    with console.stages(quiet=as_json) as report:
        found = run(
            bundle,
            texts=texts or None,
            pairs=[about] * len(texts) if texts and about is not None else None,
            input=None if texts else (file or "-"),
            text_column=text,
            pair_column=pair,
            encoding=encoding,
            limit=limit,
            method=method,
            label=label,
            terms=_read_terms(terms),
            chinese=chinese,
            faithfulness=faithfulness,
            n_random=random_orders,
            neighbours=neighbours,
            against=against,
            threads=threads,
            seed=seed,
            data_root=root,
            report=report,
        )
    answer = found.to_dict()
    if html is not None:
        from tapereader.recipes.writing import write_text
        from tapereader.reports import explanation_page

        write_text(html, explanation_page(answer))
    if as_json:
        console.answer_json(answer)
        return
    if found.note:
        console.note(found.note)
    for one in answer["explanations"]:
        _show(one)
    _show_trust(answer)
    if html is not None:
        console.say(f"Wrote {html}.")


def _read_terms(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--terms must name a readable file in UTF-8, one term a line; {error}.") from error
    return tuple(line.strip() for line in lines if line.strip())


def _show(one: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    # A pipe gets each text as one line, whatever its length.
    terminal = Console(width=None if sys.stdout.isatty() else 2 * len(one["text"]) + 2, highlight=False)
    shown = Text(one["text"])
    full = one["full_weight"]
    styles = _FEW_COLOURS if terminal.color_system == "standard" else _STYLES
    for word in one["words"]:
        style = next((pair for least, *pair in styles if abs(word["weight"]) >= least * full), None)
        if style is not None:
            shown.stylize(style[0] if word["weight"] > 0 else style[1], word["start"], word["end"])
    terminal.print(shown)
    about = f" about {one['pair']}" if one["pair"] is not None else ""
    if one["probability"] is None:
        said = f"{one['label']} {one['value']:.4g}"
    else:
        other = f", answered {one['answer'] or 'none'}" if one["answer"] != one["label"] else ""
        said = f"{one['label']} {one['probability']:.3f}{other}"
    ranked = sorted(one["words"], key=lambda word: -abs(word["weight"]))
    sides = [
        (name, [word for word in ranked if sign * word["weight"] >= _LEAST * full][:_NAMED])
        for name, sign in (("for", 1), ("against", -1))
    ]
    told = [
        f"{name} " + ", ".join(f"{_quoted(word['text'])} {word['weight']:+.2f}" for word in words)
        for name, words in sides
        if words
    ]
    console.say(f"  {said}{about}: {'; '.join(told) or 'no word weighs much'}")
    judged = one["faithfulness"]
    if judged is not None:
        beaten = round(judged["beaten"] * judged["n_random"])
        console.say(f"  faithfulness {judged['gain']:+.3f}, better than {beaten} of {judged['n_random']} random orders")
    complete = one["completeness"]
    if complete is not None and not complete["complete"]:
        console.say(f"  incomplete: {100 * complete['gap_share']:.1f} % missing after {complete['steps']} steps")
    for near in one["neighbours"]:
        console.say(f"  near {near['similarity']:.3f}  {near['label']}  row {near['row']:,}  {near['text']}")
    console.say()


def _show_trust(answer: Mapping[str, Any]) -> None:
    for error in answer["errors"]:
        console.note(f"Row {error['row']:,} was not explained: {error['error']}.")
    judged = answer["faithfulness"]
    if judged is None or judged["n"] == 1:
        return
    parts = [
        f"{name} {judged[field]['value']:+.3f} ({judged[field]['low']:+.3f} to {judged[field]['high']:+.3f})"
        for name, field in (("faithfulness", "gain"), ("deletion", "deletion_gain"), ("insertion", "insertion_gain"))
    ]
    console.say(f"{answer['method']} on {judged['n']:,} explanations, above random: {'; '.join(parts)}.")
    if judged["gain"]["low"] <= 0:
        console.say("Not shown to be better than random: do not rely on these explanations.")


def _quoted(word: str) -> str:
    return word if any(mark.isalnum() for mark in word) else f"“{word}”"
