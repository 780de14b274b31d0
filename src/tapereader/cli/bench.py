"""``tapereader bench``: how fast a bundle answers here, on each backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tapereader.cli import console
from tapereader.cli.console import AsJson
from tapereader.core.errors import ConfigError


def bench(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", help="The bundle, then its variants; a file among them holds the texts."),
    ],
    *,
    text: Annotated[str | None, typer.Option("--text", metavar="COL", help="The file's column of texts.")] = None,
    pair: Annotated[str | None, typer.Option("--pair", metavar="COL", help="The file's column of targets.")] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="Encoding of the file, where it is not UTF-8.")
    ] = None,
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="NAME", help="Measure this one; may be repeated. Else all installed ones."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads; else all.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Processes each is measured in, in turn.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure speed, waiting time, memory and load time of every backend, each in processes of its own.

    Beside the bundle, variants of it can be given, such as what `optimize` wrote: all are asked the same texts. Without
    a file these are the bundle's sanity sentences, which are short.
    """
    files = [path for path in paths if path.is_file()]
    if len(files) > 1:
        raise ConfigError(f"The texts must stand in one file; got {', '.join(path.name for path in files)}.")
    if not files and (text is not None or pair is not None or encoding is not None):
        raise ConfigError(
            "--text, --pair and --encoding describe a file of texts; got none. Give one, or leave them out."
        )
    from tapereader.recipes.bench import bench as run

    with console.stages(quiet=as_json) as report:
        found = run(
            [path for path in paths if path not in files],
            texts=files[0] if files else None,
            text_column=text,
            pair_column=pair,
            encoding=encoding,
            backends=backends,
            threads=threads,
            rounds=rounds,
            report=report,
        ).to_dict()
    if as_json:
        console.answer_json(found)
        return
    for reason in found["skipped"]:
        console.note(f"Left out: {reason}")
    _show(found)


def _show(found: Mapping[str, Any]) -> None:
    columns = (
        "bundle", "backend", "sentences/s at 32", "at 1,024", "p50 ms", "p95 ms", "p99 ms", "load s", "RSS MiB",
        "network MiB", "of peak",
    )  # fmt: skip
    console.table(columns, [_cells(line) for line in found["lines"]], right=columns[2:])
    peaks = ", ".join(f"{name} {value:,.0f}" for name, value in found["peak_gflops"].items())
    rounds = f"{found['rounds']} rounds" if found["rounds"] > 1 else "1 round"
    console.say(
        f"\n{found['n_texts']:,} texts of {found['tokens_a_text']} tokens ({found['texts']}); {found['threads']} "
        f"threads; medians of {rounds}, lowest and highest in brackets."
    )
    console.say(f"Matrix peak of {found['hardware']['processor']}, GFLOP/s: {peaks}.")


def _cells(line: Mapping[str, Any]) -> tuple[Any, ...]:
    share = line["share_of_peak"]
    return (
        line["bundle"],
        line["backend"],
        *(_spread(line[f"sentences_per_second_{size}"], ",.0f") for size in (32, 1024)),
        *(_spread(line[f"{name}_ms"], ".1f") for name in ("p50", "p95", "p99")),
        f"{line['load_seconds']['median']:.1f}",
        f"{line['rss_mib']['median']:.0f}",
        f"{line['network_mib']:.1f}",
        None if share is None else f"{100 * share:.0f} % {line['precision']}",
    )


def _spread(value: Mapping[str, float], digits: str) -> str:
    return f"{value['median']:{digits}} ({value['low']:{digits}}-{value['high']:{digits}})"
