"""``tapereader train``: labelled text in, a bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.scores import show_scores

if TYPE_CHECKING:
    from tapereader.recipes.preparing import TrainResult


@asked.with_file_options
def train(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET_OR_FILE", help="A name from `data list`, or a file; else --config says."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's folder, which must not exist.")],
    file: asked.FileFacts,
    profile: Annotated[
        Literal["fast", "quality"], typer.Option("--profile", help="The recipe: minutes, or the better score.")
    ] = "fast",
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME_OR_PATH", help="Network to start from; else the profile's."),
    ] = None,
    method: Annotated[
        Literal["full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck"] | None,
        typer.Option("--method", help="What learns; else everything but the word embeddings."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the head, the batches and dropout.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="YAML with any field; options given here win.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change one field; may be repeated.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the bundle in the place of an older one.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Let weights be fetched if they are not here.")] = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a network on labelled text, judge it, and write a bundle.

    A run that is killed goes on where it was when the same command is given again.
    """
    with asked.learning("Fine-tuning"):
        from tapereader.recipes.train import train as run
        from tapereader.recipes.train_config import build_config
    learning: dict[str, Any] = {"backbone": backbone, "seed": seed}
    if method is not None:
        learning["adapter"] = {"method": method}
    asked_for = build_config(
        config,
        profile=profile,
        values={"dataset": dataset, "columns": file, "finetune": learning},
        overrides=tuple(override or ()),
    )
    with console.stages(quiet=as_json) as report:
        made = run(asked_for, out, replace=replace, report=report, allow_download=download, data_root=root)
    show_result(made, out, as_json=as_json)


def show_result(made: TrainResult, out: Path, *, as_json: bool) -> None:
    """Write what a training made: its warnings on stderr, its scores and where it is on stdout."""
    facts = made.facts
    if as_json:
        console.answer_json(
            {
                "bundle": out,
                "bundle_id": made.bundle.id,
                "report": made.report,
                "warnings": made.warnings,
                "facts": facts,
            }
        )
        return
    for line in made.warnings:
        console.note(line)
    if facts["dataset"]["synthetic"]:
        console.say("Synthetic data: these scores say nothing about the world.")
    console.say(f"On {facts['evaluation']['n']:,} rows that were not learnt from ({facts['split']}):")
    show_scores(facts)
    console.say(f"Wrote bundle {made.bundle.id} to {out} and its report to {made.report}.")
