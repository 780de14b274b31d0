"""How much room the parts of a bundle take."""

from __future__ import annotations

from pathlib import Path


def part_mib(folder: Path, part: str) -> float:
    """Return the size, in MiB, of all files in folders of that name: of an ensemble, in all its members."""
    files = [path for path in folder.rglob("*") if path.is_file() and part in path.relative_to(folder).parts[:-1]]
    return sum(path.stat().st_size for path in files) / 2**20
