"""``tapereader crossvalidate``: what a recipe is worth on a data set, from rows no network had learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.scores import show_scores

if TYPE_CHECKING:
    from tapereader.recipes.crossvalidate import CrossValidation


@asked.with_file_options
def crossvalidate(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET_OR_FILE", help="A name from `data list`, or a file; else --config says."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's folder: new, or this very run's.")],
    file: asked.FileFacts,
    folds: Annotated[int, typer.Option("--folds", metavar="K", min=2, help="Networks to train.")] = 5,
    profile: asked.Profile = "fast",
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME_OR_PATH", help="Network to start from; else the profile's."),
    ] = None,
    method: asked.Method = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the head, the batches and dropout.")] = None,
    config: asked.ConfigFile = None,
    override: asked.Overrides = None,
    download: asked.Download = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Train one network a fold, and judge every row by the one that never saw it or a near-copy.

    Writes scores and no bundle. A run that is killed goes on where it was when the same command is given again.
    """
    with asked.learning("Fine-tuning"):
        from tapereader.recipes.crossvalidate import crossvalidate as run
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
        found = run(asked_for, out, folds=folds, report=report, allow_download=download, data_root=root)
    if as_json:
        console.answer_json({"folder": found.folder, **found.to_dict()})
    else:
        _show(found)


def _show(found: CrossValidation) -> None:
    from tapereader.governance.facts import METRIC_TITLES, MODEL_TITLES, number

    for line in found.warnings:
        console.note(line)
    if found.dataset["synthetic"]:
        console.say("Synthetic data, written by a program: these scores say nothing about the world.")
    console.say(
        f"{found.evaluation.n:,} rows, each answered once by a network that saw neither it nor a near-copy "
        f"({found.folds} folds):"
    )
    show_scores(found.to_dict())
    headline = found.evaluation.headline
    console.say(f"\n{METRIC_TITLES.get(headline, headline)}, mean and standard deviation over folds:")
    rows = []
    for name in found.by_fold:
        spread = found.spread(name)
        told = "–" if spread is None else f"{number(spread[0])} ± {number(spread[1])}"
        rows.append((MODEL_TITLES.get(name, name), told))
    console.table(("", "over folds"), rows, right=("over folds",))
    console.say(f"Wrote {found.folder / 'result.json'}, and every fold's answers beside it.")
