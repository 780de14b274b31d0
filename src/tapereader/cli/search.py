"""``tapereader search``: labelled text in, the recipe that validation likes best out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson

if TYPE_CHECKING:
    from tapereader.recipes.search import SearchRun

_SHOWN_TRIALS = 5


@asked.with_file_options
def search(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET_OR_FILE", help="A name from `data list`, or a file; else --config says."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The search's folder: new, or this very search's.")],
    file: asked.FileFacts,
    trials: Annotated[
        int | None,
        typer.Option("--trials", metavar="N", min=1, help="Trainings in all, earlier ones counted; else 20."),
    ] = None,
    profile: asked.Profile = "fast",
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME_OR_PATH", help="Network to start from; else the profile's."),
    ] = None,
    method: asked.Method = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the search; trainings keep the recipe's.")
    ] = None,
    config: asked.ConfigFile = None,
    override: asked.Overrides = None,
    download: asked.Download = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Try recipes on the inner validation part and write down the best; the test part is not touched.

    A search that is killed, or asked for more trials, goes on when the same command is given again.
    """
    with asked.learning("A search"):
        from tapereader.recipes.search import search as run
        from tapereader.recipes.search_config import build_config
    learning: dict[str, object] = {"backbone": backbone}
    if method is not None:
        learning["adapter"] = {"method": method}
    asked_for = build_config(
        config,
        profile=profile,
        values={
            "train": {"dataset": dataset, "columns": file, "finetune": learning},
            "search": {"trials": trials, "seed": seed},
        },
        overrides=tuple(override or ()),
    )
    with console.stages(quiet=as_json) as report:
        made = run(asked_for, out, report=report, allow_download=download, data_root=root)
    if as_json:
        console.answer_json(
            {
                "folder": made.folder,
                "synthetic": made.synthetic,
                "score": made.result.score,
                "best": made.best.model_dump(mode="json"),
                "trials": made.result.trials,
                "warnings": made.warnings,
            }
        )
    else:
        _show(made)


def _show(made: SearchRun) -> None:
    for line in made.warnings:
        console.note(line)
    if made.synthetic:
        console.say(console.SYNTHETIC)
    trials = made.result.trials
    counts = {outcome: sum(trial.outcome == outcome for trial in trials) for outcome in ("finished", "pruned")}
    console.say(
        f"{counts['finished']} trials finished, {counts['pruned']} stopped early; the best by validation score:"
    )
    best = sorted((trial for trial in trials if trial.score is not None), key=lambda trial: -(trial.score or 0.0))
    varied = list(dict.fromkeys(name for trial in best for name in trial.chosen))
    console.table(
        ("trial", "score", *varied),
        [(trial.number, trial.score, *(trial.chosen.get(name) for name in varied)) for trial in best[:_SHOWN_TRIALS]],
        right=("trial", "score", *varied),
    )
    console.say("These rows chose it, so the score flatters it: what new text gets, a training shows on its test part.")
    console.say(f"Wrote {made.folder / 'best.yaml'} and all trials to {made.folder / 'trials.csv'}. Train it with:")
    console.say(f"  tapereader train --config {made.folder / 'best.yaml'} --out DIR")
