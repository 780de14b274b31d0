"""``tapereader ensemble``: several bundles in, one out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.cli.train import WithPdf, print_page, refuse_missing_pdf, show_how_to_open, show_result


@asked.with_file_options
def ensemble(
    members: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Two or more, of one training set.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's folder, which must not exist.")],
    file: asked.FileFacts,
    combine: Annotated[
        Literal["mean", "weighted", "stacked"],
        typer.Option("--combine", help="Mean of probabilities; weighted on validation; or a linear map learnt there."),
    ] = "mean",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="DATASET_OR_FILE", help="What they were trained on, where it is a file."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the bundle in the place of an older one.")] = False,
    pdf: WithPdf = False,
    root: asked.Root = None,
    as_json: AsJson = False,
) -> None:
    """Make one bundle of several that were trained on the same rows; it asks them all.

    It is calibrated on the rows that no member learnt from, and judged beside each of them on the test rows.
    """
    from tapereader.recipes.data import FileOptions
    from tapereader.recipes.ensemble import EnsembleConfig
    from tapereader.recipes.ensemble import ensemble as run

    refuse_missing_pdf(pdf)
    with console.stages(quiet=as_json) as report:
        made = run(
            members, out, EnsembleConfig(combine=combine), dataset=dataset, options=FileOptions(**file),
            replace=replace, report=report, data_root=root,
        )  # fmt: skip
    printed = print_page(made) if pdf else None
    show_result(made, out, printed=printed, as_json=as_json)
    if not as_json:
        show_how_to_open(made.report)
