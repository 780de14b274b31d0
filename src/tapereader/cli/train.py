"""``tapereader train``: labelled text in, a bundle out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.scores import show_scores

if TYPE_CHECKING:
    from tapereader.recipes.preparing import TrainResult

#: Shared with ``demo``.
WithPdf = Annotated[bool, typer.Option("--pdf", help="Write the report as PDF too, beside the page.")]


@asked.with_file_options
def train(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET_OR_FILE", help="A name from `data list`, or a file; else --config says."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's folder, which must not exist.")],
    file: asked.FileFacts,
    profile: asked.Profile = "fast",
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME_OR_PATH", help="Network to start from; else the profile's."),
    ] = None,
    method: asked.Method = None,
    answer: Annotated[
        Literal["labels", "words"] | None,
        typer.Option("--answer", help="`words` teaches a decoder or T5 to say the label; else a head gives it."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", metavar="TEXT", help="For words: asked of each text; else the task's.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the head, the batches and dropout.")] = None,
    config: asked.ConfigFile = None,
    override: asked.Overrides = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the bundle in the place of an older one.")] = False,
    pdf: WithPdf = False,
    download: asked.Download = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a network on labelled text, judge it, and write a bundle.

    A run that is killed goes on where it was when the same command is given again.
    """
    with asked.learning("Fine-tuning"):
        from tapereader.recipes.train import learn_along
        from tapereader.recipes.train import train as run
        from tapereader.recipes.train_config import build_config
        from tapereader.training import processes
    learning: dict[str, Any] = {"backbone": backbone, "seed": seed}
    if method is not None:
        learning["adapter"] = {"method": method}
    asked_for = build_config(
        config,
        profile=profile,
        values={"dataset": dataset, "columns": file, "finetune": learning, "answer": answer, "question": question},
        overrides=tuple(override or ()),
    )
    refuse_missing_pdf(pdf)
    if not processes.is_first():
        learn_along(asked_for, out, replace=replace, allow_download=download, data_root=root)
        return
    with console.stages(quiet=as_json) as report:
        made = run(asked_for, out, replace=replace, report=report, allow_download=download, data_root=root)
    printed = print_page(made) if pdf else None
    show_result(made, out, printed=printed, as_json=as_json)
    if not as_json:
        show_how_to_open(made.report)


def refuse_missing_pdf(asked_for: bool) -> None:
    """Stop before minutes of work whose last step cannot be done."""
    if asked_for:
        from tapereader.reports.pdf import page_pdf

        page_pdf("<p>")


def print_page(made: TrainResult) -> Path:
    """Write the report as PDF beside its page and return where it is."""
    from tapereader.recipes.writing import write_bytes
    from tapereader.reports.pdf import page_pdf

    path = made.report.with_suffix(".pdf")
    write_bytes(path, page_pdf(made.report.read_text(encoding="utf-8")))
    return path


def show_result(made: TrainResult, out: Path, *, printed: Path | None, as_json: bool) -> None:
    """Write what a training made: its warnings on stderr, its scores and where it is on stdout."""
    from tapereader.governance.facts import int8_words

    facts = made.facts
    if as_json:
        console.answer_json(
            {
                "bundle": out,
                "bundle_id": made.bundle.id,
                "report": made.report,
                "pdf": printed,
                "warnings": made.warnings,
                "facts": facts,
            }
        )
        return
    for line in made.warnings:
        console.note(line)
    if facts["dataset"]["synthetic"]:
        console.say(console.SYNTHETIC)
    console.say(f"On {facts['evaluation']['n']:,} rows that were not learnt from ({facts['split']}):")
    show_scores(facts)
    if said := int8_words(facts):
        console.say(said)
    console.say()
    console.facts({"bundle": f"{out}  (id {made.bundle.id})", "report": made.report, "as PDF": printed})


def show_how_to_open(page: Path) -> None:
    """Say how a page is looked at, on any desktop."""
    address = page.resolve().as_uri()
    console.say(
        f"Open {address} in a browser, or run: {shlex.quote(sys.executable)} -m webbrowser {shlex.quote(address)}"
    )
