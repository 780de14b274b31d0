"""A training that is killed and taken up again ends where the unbroken one ends: ``python benchmarks/resume.py``.

Trains on the embedded data set twice through the command line, with the same seed and one thread; the second run is
killed with SIGKILL once it has a checkpoint, and started again with the same command.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OPTIONS = ("--set", "split.kind=official", "--set", "finetune.epochs=2", "--set", "judging.baselines=[]", "--seed", "3")


def command(out: Path) -> list[str]:
    """Return the same training for every run; only the folder differs."""
    return [sys.executable, "-m", "tapereader.cli.app", "train", "synthetic-sentiment", "--out", str(out), *OPTIONS]


def outcome(out: Path) -> dict[str, Any]:
    """Return what a bundle scored, and the hash of its weights."""
    metrics = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["evaluation"]["metrics"]
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    return {"weights": weights[:16], **{name: metrics[name]["value"] for name in ("accuracy", "macro_f1", "brier")}}


def main() -> None:
    """Run both, and compare."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        subprocess.run(command(room / "unbroken"), env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
        running = subprocess.Popen(command(room / "killed"), env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
        work = room / ".killed.run"
        while not list(work.glob("checkpoint-*/trainer_state.json")):
            if running.poll() is not None:
                raise SystemExit("The run ended before it wrote a checkpoint; nothing to kill.")
            time.sleep(0.2)
        time.sleep(2.0)
        running.send_signal(signal.SIGKILL)
        running.wait()
        left = sorted(path.name for path in work.iterdir())
        print(f"killed with {left}; bundle there: {(room / 'killed').exists()}")
        subprocess.run(command(room / "killed"), env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
        unbroken, resumed = outcome(room / "unbroken"), outcome(room / "killed")
        print(
            f"unbroken: {unbroken}\nresumed:  {resumed}\n"
            f"same: {unbroken == resumed}; run folder gone: {not work.exists()}"
        )
        shutil.rmtree(room / "killed")
    raise SystemExit(0 if unbroken == resumed else 1)


if __name__ == "__main__":
    main()
