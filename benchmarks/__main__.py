"""``make bench``: measure every missing cell, then write the pages. Stop it at any time; it goes on where it was.

Cells that stand are not measured again and bad inputs that were asked are not asked again, so with nothing missing it
takes a few minutes, most of them for the training that is killed and taken up. A step that fails does not keep the
others from running; the command then leaves with 1.
"""

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
    ("inference.py", "--threads", "2"),
    ("variants.py",),
    ("resume.py",),
    ("bad_inputs.py", "--missing"),
    ("tables.py",),
)


def main() -> int:
    """Run each step as its own command line would, then print the tables of speed."""
    sys.path.insert(0, str(HERE))
    failed = [" ".join(step) for step in STEPS if not _passes(step)]
    # Here and not above: the steps before it must not pay for what it loads, nor fail with it.
    from inference import inference_section
    from tables import speed_section

    print("\n".join(["", *speed_section(), *inference_section()]))
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return 1 if failed else 0


def _passes(step: tuple[str, ...]) -> bool:
    script, *options = step
    print(f"== {' '.join(step)}", flush=True)
    sys.argv = [str(HERE / script), *options]
    try:
        runpy.run_path(str(HERE / script), run_name="__main__")
    except SystemExit as stop:
        # Some scripts end with their exit code, 0 too.
        if isinstance(stop.code, str):
            print(stop.code, flush=True)
        return stop.code in (None, 0)
    return True


if __name__ == "__main__":
    sys.exit(main())
