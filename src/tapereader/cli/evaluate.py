"""``tapereader evaluate``: a bundle judged on labelled text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.scores import show_scores

_SHOWN_MISTAKES = 5
_SHOWN_CHARACTERS = 80


@asked.with_file_options
def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that training wrote.")],
    dataset: asked.Dataset,
    *,
    file: asked.FileFacts,
    split: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        typer.Option("--split", help="Which rows; else the test part of the bundle's own data, all of any other."),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Fit baselines on the rows the bundle learnt from.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the intervals.")] = 0,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Judge a bundle on labelled text, with intervals, beside baselines; only answers in words need torch."""
    from tapereader.recipes.data import FileOptions
    from tapereader.recipes.evaluate import evaluate as run

    fitted = {} if baselines else {"baselines": ()}
    with console.stages(quiet=as_json) as report:
        found = run(
            bundle,
            dataset,
            part=split,
            options=FileOptions(**file),
            seed=seed,
            data_root=root,
            report=report,
            **fitted,
        )
    if as_json:
        console.answer_json(found.to_dict())
        return
    if found.synthetic:
        console.say(console.SYNTHETIC)
    for note in found.notes:
        console.note(note)
    console.say(f"Bundle {found.bundle_id} on {found.n:,} rows ({found.part}) of {found.dataset}:")
    show_scores(found.to_dict())
    if found.kept:
        from tapereader.governance.facts import MODEL_TITLES

        kept = ", ".join(MODEL_TITLES.get(name, name) for name in found.kept)
        console.say(f"As the bundle keeps it from its training, on the same rows: {kept}.")
    if found.seen:
        console.say(found.seen)
    wrong = [mistake.to_dict() for mistake in found.mistakes[:_SHOWN_MISTAKES]]
    if wrong:
        console.say("\nWhere it was surest and wrong:")
        columns = ["row", "truth", "answer", "text"]
        console.table(columns, [(w["row"], w["truth"], w["answer"], w["text"][:_SHOWN_CHARACTERS]) for w in wrong])
