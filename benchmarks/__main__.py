"""``make bench``: measure every missing cell, then write the pages. Stop it at any time; it goes on where it was."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
STEPS = (
    ("text_sets.py",),
    ("best.py",),
    ("train_speed.py",),
    ("train_speed.py", "--accuracy"),
    ("tables.py",),
)


def main() -> None:
    """Run each step as its own command line would."""
    sys.path.insert(0, str(HERE))
    for script, *options in STEPS:
        print(f"== {script} {' '.join(options)}".rstrip(), flush=True)
        sys.argv = [str(HERE / script), *options]
        runpy.run_path(str(HERE / script), run_name="__main__")


if __name__ == "__main__":
    main()
