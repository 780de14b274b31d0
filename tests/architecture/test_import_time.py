"""Starting up is fast, and what scores and reports never loads a deep-learning library."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tapereader

SOURCE = Path(tapereader.__file__).parent

#: Promised on a quiet machine. A shared one is noisy, so a test fails only at twice the promise.
IMPORT_SECONDS, HELP_SECONDS, NOISE = 0.2, 0.5, 2.0

HEAVY = ("torch", "transformers", "peft", "accelerate", "optuna", "onnx")
RIGHT_WING = ("core", "store", "metrics", "governance", "bundle", "sources", "dataset", "engine", "reports")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=120)


def best_of_five(*arguments: str) -> float:
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        run(*arguments)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules a fresh interpreter holds after a statement."""
    out = run(
        "-c", f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    return set(json.loads(out.stdout.splitlines()[-1]))


def modules_of(folder: str) -> list[str]:
    paths = sorted((SOURCE / folder).rglob("*.py"))
    names = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def test_importing_the_package_is_fast() -> None:
    assert best_of_five("-c", "import tapereader") - best_of_five("-c", "pass") < IMPORT_SECONDS * NOISE


def test_help_is_fast() -> None:
    assert best_of_five("-m", "tapereader.cli.app", "--help") < HELP_SECONDS * NOISE


def test_help_loads_no_table_or_learning_library() -> None:
    loaded = loaded_by("from tapereader.cli.app import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass")
    assert not loaded & {*HEAVY, "pandas", "numpy", "sklearn", "scipy", "pydantic", "onnxruntime", "yaml"}


def test_importing_the_package_loads_only_itself() -> None:
    assert not loaded_by("import tapereader") & {*HEAVY, "pandas", "numpy", "sklearn", "pydantic", "typer", "rich"}


@pytest.mark.parametrize("folder", RIGHT_WING)
def test_the_right_wing_loads_no_learning_library(folder: str) -> None:
    modules = modules_of(folder)
    assert modules
    assert not loaded_by("\n".join(f"import {name}" for name in modules)) & set(HEAVY)
