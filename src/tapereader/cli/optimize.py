"""``tapereader optimize``: a finished bundle in, a smaller or faster one out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson


@asked.with_file_options
def optimize(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that training wrote.")],
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET_OR_FILE", help="What it was trained on, where that is a file."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new bundle's folder, which must not exist.")],
    file: asked.FileFacts,
    method: Annotated[
        Literal["int8-dynamic", "int8-static", "bf16", "prune", "drop-layers", "distil", "sparse"] | None,
        typer.Option("--method", help="What is done to the network; else int8-dynamic."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="BUNDLE", help="For distil: who teaches; else this bundle.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", metavar="NAME_OR_PATH", help="For distil: network that learns; else this bundle's."),
    ] = None,
    transfer: Annotated[
        list[str] | None,
        typer.Option("--transfer", metavar="NAME_OR_FILE", help="For distil: unlabelled text to hear the teacher on."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", min=0.0, help="Points of macro-F1 (R2 for numbers) it may lose; else 0.5 (0.01)."),
    ] = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Write it although it loses more, or agrees too seldom.")
    ] = False,
    speed: Annotated[
        bool, typer.Option("--speed/--no-speed", help="Measure time and memory of both, which takes minutes.")
    ] = True,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads; else all.")] = None,
    config: asked.ConfigFile = None,
    override: asked.Overrides = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the bundle in the place of an older one.")] = False,
    download: asked.Download = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle smaller or faster, and judge it beside its parent on the same test rows.

    A variant that loses more than its budget is refused and leaves nothing.
    """
    with asked.learning("Making a bundle smaller"):
        from tapereader.recipes.optimize import optimize as run
    from tapereader.recipes.data import FileOptions
    from tapereader.recipes.optimize_config import build_optimize_config

    asked_for = build_optimize_config(
        config, values={"method": method, "budget": budget, "budget_r2": budget, "threads": threads,
                        "distil": {"teacher": teacher, "student": student,
                                   "transfer": {"sources": transfer} if transfer else None}},
        overrides=tuple(override or ()),
    )  # fmt: skip
    with console.stages(quiet=as_json) as report:
        made = run(
            bundle, out, asked_for, dataset=dataset, options=FileOptions(**file), allow_loss=allow_loss, speed=speed,
            replace_older=replace, report=report, allow_download=download,
            data_root=root,
        )  # fmt: skip
    if as_json:
        console.answer_json(
            {"bundle": out, "bundle_id": made.bundle.id, "report": made.report, "changes": made.changes,
             "facts": made.facts}
        )  # fmt: skip
        return
    from tapereader.governance import changes_table

    if made.facts["dataset"]["synthetic"]:
        console.say(console.SYNTHETIC)
    console.say(f"Bundle {made.changes['parent']} before and after {asked_for.method}:")
    console.table(["", "before", "after"], changes_table(made.changes, made.facts), right=("before", "after"))
    verdict = made.changes["verdict"]
    found = verdict["comparison"]
    console.say(
        f"\nDifference in {found['metric']}: {found['difference']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f}, "
        f"paired, {found['n']:,} rows)."
    )
    if verdict["agreement"] is not None:
        console.say(f"Same answer on {100 * verdict['agreement']:.2f} % of {verdict['n_agreement']:,} held-out rows.")
    for fault in verdict["faults"]:
        console.note(f"Written although {fault}.")
    console.say()
    console.facts({"bundle": f"{out}  (id {made.bundle.id})", "report": made.report})
