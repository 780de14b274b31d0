"""The scripts in `examples/` run, with a small random network in the place of the default one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="three of the four scripts need the extra train")

from tests.tiny_models import write_model

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = ["Sales fell 12 % and the company cut its outlook", "Operating profit rose"]


def run(name: str, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def trained(network: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The bundle that the script about one's own file makes, and what it said."""
    out = tmp_path_factory.mktemp("own") / "bundle"
    changes = ("finetune.epochs=1", "finetune.max_length=32", "finetune.precision=float32", "judging.baselines=[tfidf]")
    said = run("own_csv.py", "--out", str(out), "--backbone", str(network), *(f"--set={change}" for change in changes))
    return out, said


def test_every_script_is_run_here_and_says_how_it_is_called() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 4
    for path in scripts:
        assert f'"{path.name}"' in tested
        assert f"python examples/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1]


def test_a_file_of_ones_own_becomes_a_bundle(trained: tuple[Path, list[str]]) -> None:
    out, said = trained
    assert (out / "manifest.json").is_file()
    assert any(re.fullmatch(r"macro-F1 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) on rows it never saw", line) for line in said)
    assert f"report: {out}-report.html" in said
    assert re.fullmatch(r"answer: (negative|neutral|positive), \d+% sure", said[-1])


def test_a_bundle_answers_without_a_deep_learning_library(trained: tuple[Path, list[str]]) -> None:
    said = run("predict_without_torch.py", str(trained[0]), *TEXTS)
    assert [line.split(": ")[-1] for line in said] == TEXTS


def test_transformers_opens_a_bundle_and_answers_alike(trained: tuple[Path, list[str]]) -> None:
    assert run("read_with_transformers.py", str(trained[0]), *TEXTS)[0].startswith("greatest difference")


def test_a_network_is_a_step_of_a_pipeline(network: Path) -> None:
    said = run("sklearn_pipeline.py", "--backbone", str(network), "--rows", "60", "--epochs", "1", "--max-length", "32")
    assert [line.split(":")[0] for line in said] == ["most common label", "fine-tuned"]
