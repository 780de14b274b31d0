"""Results kept one cell a file: a long benchmark goes on where it stopped, and any cell can be measured again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapereader.governance import collect_environment

RESULTS = Path(__file__).parent / "results"


def cell_path(experiment: str, key: dict[str, Any]) -> Path:
    """Return where the result of one cell stands; the name holds a hash of everything that decides it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    return RESULTS / experiment / f"{digest}.json"


def measured(
    experiment: str, key: dict[str, Any], measure: Callable[[], dict[str, Any]], *, again: bool = False
) -> dict[str, Any] | None:
    """Return a cell's result, measuring it if nobody has.

    Two runs at once share the work: a cell that another process is at is passed over, and None is returned. Measured
    again, a result comes without a hardware entry, and what stands is left as it is: :func:`stored` gives it.

    Parameters
    ----------
    experiment : folder of the cell
    key : plain values that decide the result: config, data, split and code revision
    measure : makes the result, plain JSON types
    again : measure even where a result stands, without writing it
    """
    if again:
        return {"key": key, "result": measure()}
    standing = stored(experiment, key)
    if standing is not None:
        return standing
    path = cell_path(experiment, key)
    with _claimed(path) as ours:
        if not ours:
            return None
        started = time.perf_counter()
        result = measure()
        environment = collect_environment()
        cell = {
            "key": key,
            "result": result,
            "minutes": round((time.perf_counter() - started) / 60, 2),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "code": environment["code"],
            "hardware": environment["hardware"],
            "libraries": environment["libraries"],
        }
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(cell, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(draft, path)
        return cell


def stored(experiment: str, key: dict[str, Any]) -> dict[str, Any] | None:
    """Return the cell whose key is exactly this one, or None for not measured."""
    path = cell_path(experiment, key)
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def cells(experiment: str) -> list[dict[str, Any]]:
    """Return all cells of an experiment that were measured, in a fixed order."""
    found = sorted((RESULTS / experiment).glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock")
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        # A lock whose owner is gone was left by a killed run.
        owner = lock.read_text(encoding="utf-8").strip()
        if owner.isdigit() and Path(f"/proc/{owner}").exists():
            yield False
            return
        lock.unlink(missing_ok=True)
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(handle, str(os.getpid()).encode())
    os.close(handle)
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
