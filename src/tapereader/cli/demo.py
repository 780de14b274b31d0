"""``tapereader demo``: the whole way on the embedded data set."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.train import WithPdf, print_page, refuse_missing_pdf, show_how_to_open, show_result

if TYPE_CHECKING:
    from tapereader.recipes.preparing import TrainResult

_EXAMPLE = "Operating profit rose to EUR 13.1m from EUR 8.7m"


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; an older demo is replaced.")
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the training.")] = 0,
    pdf: WithPdf = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune the default network on the embedded synthetic headlines; no network, nothing to prepare."""
    with asked.learning("The demo"):
        from tapereader.recipes.demo import demo as run

    refuse_missing_pdf(pdf)
    with console.stages(quiet=as_json) as report:
        made = run(out, seed=seed, report=report)
    printed = print_page(made) if pdf else None
    show_result(made, made.bundle.path, printed=printed, as_json=as_json)
    if not as_json:
        _show_examples(made)
        show_how_to_open(made.report)
        _show_next(out / "bundle")


def _show_examples(made: TrainResult) -> None:
    """Write what the model says to three sentences, with its calibrated probability."""
    names = made.facts["contract"]["names"]
    rows = [
        (one["answer"], f"{one['probabilities'][names.index(one['answer'])]:.0%}", one["text"])
        for one in made.facts["examples"]
    ]
    console.say("\nWhat it says to sentences nobody labelled:")
    console.table(("label", "sure", "text"), rows, right=("sure",))
    console.say()


def _show_next(bundle: Path) -> None:
    # The words that started this one: the reader may not have the command on the path.
    command = shlex.quote(sys.argv[0])
    console.say("\nTry next, a sentence of your own and a file of your own:")
    console.say(f'  {command} predict {shlex.quote(str(bundle))} "{_EXAMPLE}"')
    console.say(f"  {command} train headlines.csv --text headline --label tone --out runs/tone")
