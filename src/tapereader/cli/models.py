"""``tapereader models``: the pretrained networks a training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapereader.cli import console
from tapereader.cli.console import AsJson

if TYPE_CHECKING:
    from tapereader.models.backbones import Backbone
    from tapereader.recipes.models import ModelDescription, ModelRow

app = typer.Typer(no_args_is_help=True, help="List, fetch and describe pretrained networks.")

Cache = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Where fetched weights lie; else your user cache.")
]


@app.command("list")
def list_(cache: Cache = None, as_json: AsJson = False) -> None:
    """List the networks known by name, and which of them are here."""
    from tapereader.recipes.models import list_models

    rows = list_models(cache_dir=cache)
    if as_json:
        console.answer_json(rows)
        return
    console.table(
        ("name", "kind", "parameters", "languages", "text ends", "licence", "state", "to fetch"),
        [
            (
                row.name,
                row.kind,
                f"{row.parameters / 1e6:.0f} M",
                ", ".join(row.languages),
                row.pretraining_cutoff or "unknown",
                row.licence,
                f"{row.state}, default" if row.default else row.state,
                _size(row.download_bytes) if row.download_bytes else None,
            )
            for row in rows
        ],
        right=("parameters", "to fetch"),
    )


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `models list`, or a hub id.")],
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a network's weights and check them against their pinned hashes."""
    from tapereader.recipes.models import get_model

    with console.progress(f"Fetching {name}", quiet=as_json, in_bytes=True) as advance:
        found = get_model(name, cache_dir=cache, progress=lambda _stage, done, total: advance(done, total))
    if as_json:
        console.answer_json(found)
    else:
        console.say(f"{found.backbone.name} is ready: {_size(found.disk_bytes)} in {found.folder}.")


@app.command()
def describe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, a Hugging Face folder, or a hub id.")],
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Say what is known of a network: what it may be used for, and how late its text ends."""
    from tapereader.recipes.models import describe_model, list_models

    # A name that is known can be described before it is fetched.
    absent = [row for row in list_models(cache_dir=cache) if row.name == name and row.state == "absent"]
    answer: ModelRow | ModelDescription
    if absent:
        answer, shown = absent[0], _absent(absent[0])
    else:
        answer = found = describe_model(name, cache_dir=cache)
        shown = _facts(found)
    if as_json:
        console.answer_json(answer)
    else:
        console.facts(shown)


def _facts(found: ModelDescription) -> dict[str, object]:
    return _known(found.backbone) | {
        "prefix": found.backbone.prefix,
        "tokens at once": found.backbone.max_tokens,
        "licence stated": found.licence_note,
        "state": "ready",
        "folder": found.folder,
        "SHA-256": found.sha256,
        "revision": found.revision,
        "size": _size(found.disk_bytes),
        "files": list(found.files),
    }


def _absent(row: ModelRow) -> dict[str, object]:
    return _known(row) | {"state": f"absent; `tapereader models get {row.name}` fetches {_size(row.download_bytes)}"}


def _known(one: Backbone | ModelRow) -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "kind": one.kind,
        "parameters": one.parameters,
        "languages": ", ".join(one.languages),
        "licence": one.licence,
        "text ends": f"{one.pretraining_cutoff or 'unknown'} ({one.cutoff_note})",
    }


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
