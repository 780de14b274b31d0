"""``tapereader demo``: the whole way on the embedded data set."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.train import show_result

_EXAMPLE = "Operating profit rose to EUR 13.1m from EUR 8.7m"


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; an older demo is replaced.")
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the training.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fine-tune the default network on the embedded synthetic headlines; no network, nothing to prepare."""
    with asked.learning("The demo"):
        from tapereader.recipes.demo import demo as run

    with console.stages(quiet=as_json) as report:
        made = run(out, seed=seed, report=report)
    show_result(made, made.bundle.path, as_json=as_json)
    if not as_json:
        # The words that started this one: the reader may not have the command on the path.
        command = shlex.quote(sys.argv[0])
        console.say(f"Open {made.report.resolve().as_uri()} in a browser, or ask the model something:")
        console.say(f'  {command} predict {shlex.quote(str(out / "bundle"))} "{_EXAMPLE}"')
