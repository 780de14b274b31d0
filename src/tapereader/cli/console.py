"""How the terminal door speaks: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

#: Shared by every verb that answers.
AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON on stdout, and nothing else there.")]

#: Told how much is done, of how much (None where nobody knows).
Advance = Callable[[int, int | None], None]
#: Told what is being done, how much of it is done, and of how much (0 where nobody knows).
Report = Callable[[str, int, int], None]

#: Stands above every score on text that a program wrote.
SYNTHETIC = "Synthetic data, written by a program: these scores say nothing about the world."
#: Wide enough for a table that goes to a file or a pipe, where there is no window to fit.
_WIDTH_OF_A_FILE = 160
#: Work shorter than this leaves no line in a log.
QUIET_SECONDS = 5.0


def plain(value: Any) -> Any:
    """Turn an answer into what JSON can hold; a number that is not finite becomes null.

    Examples
    --------
    >>> plain({"out": Path("runs/a"), "score": float("nan"), "labels": ("down", "up")})
    {'out': 'runs/a', 'score': None, 'labels': ['down', 'up']}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # a NumPy scalar or array, without importing NumPy here
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def answer_json(answer: Any) -> None:
    """Write one JSON document on stdout."""
    sys.stdout.write(json.dumps(plain(answer), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def say(line: str = "") -> None:
    """Write one line of an answer on stdout, as it is."""
    sys.stdout.write(line + "\n")


def note(line: str) -> None:
    """Write one line about the work, not part of the answer, on stderr."""
    sys.stderr.write(line + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Write a table on stdout, fitted to the window if there is one.

    Parameters
    ----------
    columns : headings
    rows : one value a column; None is shown as a dash
    right : headings of the columns that hold numbers
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for position, name in enumerate(columns):
        # Names are what a reader copies from the first column: they are never broken.
        shown.add_column(name, justify="right" if name in right else "left", no_wrap=position == 0, overflow="fold")
    for row in rows:
        shown.add_row(*(Text("-" if value is None else _cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False).print(shown)


def facts(pairs: Mapping[str, Any]) -> None:
    """Write ``name  value`` lines on stdout, the names aligned; empty values are left out."""
    kept = {name: value for name, value in pairs.items() if value not in (None, "", (), [], {})}
    width = max((len(name) for name in kept), default=0)
    for name, value in kept.items():
        first, *rest = value if isinstance(value, list | tuple) else [value]
        say(f"{name:<{width}}  {_cell(first)}")
        for line in rest:
            say(f"{'':<{width}}  {_cell(line)}")


@contextmanager
def progress(what: str, *, quiet: bool, in_bytes: bool = False) -> Iterator[Advance]:
    """Show a bar on stderr while work goes on; nothing where stderr is not a terminal.

    Parameters
    ----------
    what : the work, in two or three words
    quiet : True shows nothing at all
    in_bytes : what is counted are bytes

    Yields
    ------
    callable ``advance(done, total)``, cheap enough to call once a batch
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@contextmanager
def stages(*, quiet: bool) -> Iterator[Report]:
    """Show the stages of a long piece of work on stderr: bars on a terminal, in a log a line a stage and a quarter.

    A log is told nothing of the first seconds: short work, and what is refused at once, leaves its answer alone there.

    Parameters
    ----------
    quiet : True shows nothing at all

    Yields
    ------
    callable ``report(what, done, of)``; ``of`` is 0 where nobody knows
    """
    if quiet:
        yield lambda _what, _done, _of: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda what, done, of: bars.update(bar, description=what, completed=done, total=of or None)


def _lines() -> Report:
    """Return what reports in plain lines, for logs: who reads one must see that long work goes on."""
    began = time.monotonic()
    said: set[str] = set()

    def report(what: str, done: int, of: int) -> None:
        quarter = min(4 * done // of, 3) if of else 0
        line = f"{what}: {25 * quarter} %" if quarter else what
        if line not in said and time.monotonic() - began >= QUIET_SECONDS:
            said.add(line)
            note(line)

    return report


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
