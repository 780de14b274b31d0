"""``tapereader data``: labelled text, named or your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson

if TYPE_CHECKING:
    from tapereader.dataset import ContaminationReport

app = typer.Typer(no_args_is_help=True, help="List, describe, check and import labelled text.")


@app.command("list")
def list_(root: asked.Root = None, as_json: AsJson = False) -> None:
    """List the named data sets, and which of them are here."""
    from tapereader.recipes.data import list_corpora, list_data

    found, corpora = list_data(root=root), list_corpora()
    if as_json:
        console.answer_json({"labelled": found, "unlabelled": corpora})
        return
    console.table(
        ("name", "task", "kind", "language", "published rows", "commercial use", "state"),
        [
            (
                line.card.name,
                line.card.task,
                line.card.contract.kind,
                line.card.language,
                line.card.published_rows,
                _permission(line.card.licence.commercial_use),
                line.state,
            )
            for line in found
        ],
        right=("published rows",),
    )
    console.say("\nUnlabelled text, for pretraining:")
    console.table(
        ("name", "title", "language", "dates"), [(card.name, card.title, card.language, card.dates) for card in corpora]
    )


@app.command()
@asked.with_file_options
def describe(
    dataset: asked.Dataset,
    *,
    file: asked.FileFacts,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Say what a data set states about itself, and count its rows where they are here."""
    from tapereader.recipes.data import FileOptions, describe_data

    found = describe_data(dataset, options=FileOptions(**file), root=root)
    if as_json:
        console.answer_json(found)
        return
    card, counts = found.card, found.label_counts or {}
    meanings = dict(zip(card.contract.names, card.contract.meanings, strict=False))
    console.facts(
        {
            "name": card.name,
            "title": card.title,
            "synthetic": "yes, written by a program" if card.synthetic else None,
            "task": f"{card.task} ({card.contract.kind})",
            "labels": [f"{name}: {meanings[name]}" if meanings.get(name) else name for name in card.contract.names],
            "language": card.language,
            "licence": card.licence.name,
            "commercial use": _permission(card.licence.commercial_use),
            "published": card.licence.source,
            "this copy": card.origin,
            "published rows": card.published_rows,
            "official splits": ", ".join(card.official_splits),
            "know that": list(card.traps),
            "rows here": found.rows if found.state == "ready" else _absent(card.name),
            "data id": found.id,
            "columns": ", ".join(found.columns),
            "rows a label": [f"{name}: {count:,}" for name, count in counts.items()],
        }
    )


@app.command()
@asked.with_file_options
def check(
    dataset: asked.Dataset,
    *,
    against: Annotated[
        str | None, typer.Option("--against", metavar="DATASET_OR_FILE", help="Count the texts this other set has too.")
    ] = None,
    file: asked.FileFacts,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Look for what would spoil a training, with row numbers. Leaves with 2 where something would stop it."""
    from tapereader.recipes.data import FileOptions, check_data

    with console.progress("Checking", quiet=as_json):
        found = check_data(dataset, against=against, options=FileOptions(**file), root=root)
    if as_json:
        console.answer_json(found.to_dict())
    else:
        for line in found.report.lines():
            console.say(line)
        if found.contamination is not None:
            _show_overlap(found.contamination, against)
    if found.report.errors:
        raise typer.Exit(2)


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `data list`.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The release as its authors publish it.")],
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Read an original public release into the folder of data sets."""
    from tapereader.recipes.data import import_data

    with console.progress("Reading", quiet=as_json):
        written = import_data(name, path, root=root)
    if as_json:
        console.answer_json({"name": name, "path": written})
    else:
        console.say(f"Wrote {written}.")


def _show_overlap(found: ContaminationReport, against: str | None) -> None:
    console.say(
        f"{found.n_exact:,} of {found.n_rows:,} texts stand in {against}, {found.n_near:,} more nearly "
        f"({found.share:.1%} in all)"
    )
    for example in found.examples:
        console.say(f"  row {example.row} and row {example.against_row} ({example.similarity:.2f}): {example.text}")


def _absent(name: str) -> str:
    from tapereader.sources import importable_names

    return f"none; set TAPEREADER_DATA{', or import the release' if name in importable_names() else ''}"


def _permission(commercial_use: Any) -> str:
    return {True: "yes", False: "no", None: "not stated"}[commercial_use]
