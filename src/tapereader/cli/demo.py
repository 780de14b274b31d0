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
_EXAMPLES = 3


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
        from tapereader.recipes.demo import demo_config

    refuse_missing_pdf(pdf)
    with console.stages(quiet=as_json) as report:
        made = run(out, config=demo_config(seed=seed), report=report)
    printed = print_page(made) if pdf else None
    if as_json:
        show_result(made, made.bundle.path, printed=printed, as_json=True)
    else:
        show_demo(made, printed=printed)


def show_demo(made: TrainResult, *, printed: Path | None) -> None:
    """Write everything a newcomer wants to see: scores, a few answers, where it all is, and what to try next."""
    show_result(made, made.bundle.path, printed=printed, as_json=False)
    show_how_to_open(made.report)
    _show_examples(made)
    _show_next(made.bundle.path)


def _show_examples(made: TrainResult) -> None:
    """Write what the model says to three sentences, with its calibrated probability."""
    names = made.facts["contract"]["names"]
    rows = [
        (one["answer"], f"{one['probabilities'][names.index(one['answer'])]:.0%}", one["text"])
        for one in made.facts["examples"][:_EXAMPLES]
    ]
    console.say("\nWhat it says to sentences nobody labelled:")
    console.table(("label", "sure", "text"), rows, right=("sure",))


def _show_next(bundle: Path) -> None:
    # The words that started this one: the reader may not have the command on the path.
    command = shlex.quote(sys.argv[0])
    console.say("\nTry next, a sentence of your own and a file of your own:")
    console.say(f'  {command} predict {shlex.quote(str(bundle))} "{_EXAMPLE}"')
    console.say(f"  {command} train headlines.csv --text headline --label tone --out runs/tone")
