"""``tapereader pretrain``: unlabelled text in, a backbone out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson

if TYPE_CHECKING:
    from tapereader.recipes.pretrain import PretrainResult


def pretrain(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT_SET_OR_FILE", help="Names from `data list`, or files of your own; else --config says."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The backbone's folder, which must not exist.")],
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME_OR_PATH", help="Network to go on from; else minilm.")
    ] = None,
    objective: Annotated[
        Literal["auto", "masked", "contrastive", "causal"] | None,
        typer.Option("--objective", help="What is learnt; else masked words (encoders) or the next word (decoders)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until", metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="Only text known before this day, UTC."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="NAME", help="Labelled set whose texts must not be read; may be repeated."),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option("--max-documents", metavar="N", help="At most so many texts, drawn at random.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="COL", help="Column of texts of your files.")] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="COL", help="Column of times of your files.")] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="Encoding of your files, where it is not UTF-8.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Passes over the text; else 1.")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Optimizer steps, in the place of passes.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the draw, the masks and the batches.")] = None,
    config: asked.ConfigFile = None,
    override: asked.Overrides = None,
    download: asked.Download = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a network's pretraining on unlabelled text; the result is a backbone like any other.

    A run that is killed goes on where it was when the same command is given again.
    """
    with asked.learning("Pretraining"):
        from tapereader.recipes.pretrain import build_config
        from tapereader.recipes.pretrain import pretrain as run
    asked_for = build_config(
        config,
        values={
            "backbone": backbone,
            "corpus": {
                "sources": sources or None,
                "text": text,
                "time": time,
                "encoding": encoding,
                "max_documents": max_documents,
                "until": until.date() if until else None,
                "exclude": exclude or None,
            },
            "objective": objective,
            "epochs": epochs,
            "steps": steps,
            "seed": seed,
        },
        overrides=tuple(override or ()),
    )
    with console.stages(quiet=as_json) as report:
        made = run(asked_for, out, report=report, allow_download=download, data_root=root)
    if as_json:
        card = made.backbone.backbone
        console.answer_json(
            {
                "backbone": out,
                "sha256": made.backbone.sha256,
                "pretraining_cutoff": card.pretraining_cutoff,
                "cutoff_note": card.cutoff_note,
                "corpus": made.corpus,
                "held_out": made.held_out,
                "warnings": made.warnings,
                "manifest": made.manifest.to_dict(),
            }
        )
    else:
        _show(made, out)


def _show(made: PretrainResult, out: Path) -> None:
    for line in made.warnings:
        console.note(line)
    card, counts, held_out = made.backbone.backbone, made.corpus["documents"], made.held_out
    left_out = {name: count for name, count in counts.items() if name not in ("train", "held_out", "undated") and count}
    console.facts(
        {
            "texts learnt from": counts["train"],
            "left out": ", ".join(f"{count:,} {_LEFT_OUT[name]}" for name, count in left_out.items()),
            "objective": held_out["objective"],
            f"loss on {held_out['documents']:,} texts kept away": (
                f"{held_out['loss_before']:.3f} before, {held_out['loss_after']:.3f} after"
            ),
            "took": f"{held_out['steps']:,} steps, {held_out['tokens']:,} tokens, {held_out['seconds'] / 60:.1f} min",
            "text ends": f"{card.pretraining_cutoff or 'unknown'} ({card.cutoff_note})",
            "backbone": out,
        }
    )
    console.say(f"Start a training from it with: tapereader train DATASET_OR_FILE --backbone {out} --out DIR")


#: How the reasons of ``Corpus.counts`` are said.
_LEFT_OUT = {
    "empty": "blank",
    "later": "known too late",
    "duplicates": "repeated",
    "beyond_limit": "beyond the limit",
    "excluded_exact": "in an excluded set",
    "excluded_near": "nearly in an excluded set",
    "near_held_out": "nearly in the texts kept away",
}
