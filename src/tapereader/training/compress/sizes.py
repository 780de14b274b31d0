"""How much room files take."""

from __future__ import annotations

from pathlib import Path


def folder_mib(folder: Path) -> float:
    """Return the size of all files below a folder, in MiB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
