"""The hidden folder beside a result in which a run keeps its checkpoints until it is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tapereader.bundle.writing import reported_writing
from tapereader.core.errors import TapereaderError


def work_folder(out: Path) -> Path:
    """Return where the run that makes ``out`` keeps its checkpoints."""
    return out.parent / f".{out.name}.run"


@contextmanager
def run_folder(out: Path, identity: Mapping[str, str | None]) -> Iterator[Path]:
    """Keep a run's folder beside ``out`` where the run is broken off, and leave nothing where it is refused.

    A folder that a killed run of the same identity left is taken up; one of another run is emptied first. Whoever
    finishes the run removes the folder.

    Parameters
    ----------
    out : what the run makes
    identity : ids of everything that decides the result: config, data, split, parents

    Raises
    ------
    DataError
        If the folder cannot be written to, or the disk is full.
    """
    work = work_folder(out)
    made = [folder for folder in (work, *work.parents) if not folder.exists()]
    try:
        with reported_writing(out):
            _claim(work, json.dumps(identity))
            yield work
    except TapereaderError:
        shutil.rmtree(work, ignore_errors=True)
        for folder in made[1:]:
            with suppress(OSError):  # somebody else uses it by now
                folder.rmdir()
        raise


def _claim(work: Path, stamp: str) -> None:
    found = work / "run.json"
    if work.exists() and (not found.is_file() or found.read_text(encoding="utf-8") != stamp):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    found.write_text(stamp, encoding="utf-8")
