"""A run that was killed goes on where it was, and ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

import torch
from tests.tiny_models import labelled_rows, recipe, same_weights, write_model

from tapereader.models.adapters import AdapterConfig
from tapereader.training.optimization import OptimizerConfig
from tapereader.training.trainer import FinetuneConfig, finetune


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind) for kind in ("bert", "t5")}


RUN = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tapereader.training.trainer import finetune
from tests.tiny_models import labelled_rows, recipe
from tapereader.models.adapters import AdapterConfig
from safetensors.torch import save_file

folder, work, out, kill_at, changes = sys.argv[2:7]
config = recipe(Path(folder), **json.loads(changes), epochs=6, encoder_dropout=0.1, checkpoints=6)

def progress(done, of):
    if done == int(kill_at):
        os.kill(os.getpid(), 9)

model = finetune(labelled_rows(n=48), None, config, work_dir=Path(work), progress=progress)
save_file({n: t.contiguous() for n, t in model.network.state_dict().items()}, out)
Path(out + ".json").write_text(json.dumps([e.get("loss") for e in model.history]))
"""


def run_apart(folder: Path, work: Path, out: Path, *, kill_at: int, precision: str) -> int:
    command = [sys.executable, "-c", RUN, str(Path(__file__).parents[3]), str(folder), str(work), str(out)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    changes = json.dumps({"precision": precision})
    done = subprocess.run(
        [*command, str(kill_at), changes], env=settings, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_run_ends_as_the_unbroken_one(precision: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """36 steps, a checkpoint every 6th; killed at 20, it goes on from 18 and gives the same weights, to the bit."""
    from safetensors.torch import load_file

    whole, resumed, work = tmp_path / "whole", tmp_path / "resumed", tmp_path / "work"
    assert run_apart(folders["bert"], tmp_path / "other", whole, kill_at=-1, precision=precision) == 0
    assert run_apart(folders["bert"], work, resumed, kill_at=20, precision=precision) == -signal.SIGKILL
    assert not resumed.exists()
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-18"]
    # A checkpoint that a kill cut short has no state file yet: it is not taken up.
    (work / "checkpoint-19").mkdir()
    (work / "checkpoint-19" / "model.safetensors").write_bytes(b"half")
    assert run_apart(folders["bert"], work, resumed, kill_at=-1, precision=precision) == 0
    mine, theirs = load_file(resumed), load_file(whole)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert json.loads(Path(f"{resumed}.json").read_text()) == json.loads(Path(f"{whole}.json").read_text())


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("t5", {}),
        ("bert", {"adapter": AdapterConfig(method="lora", rank=4)}),
        ("bert", {"adapter": AdapterConfig(method="adalora", rank=4)}),
        ("bert", {"adapter": AdapterConfig(method="gradual")}),
        ("bert", {"adapter": AdapterConfig(method="bottleneck")}),
        ("bert", {"adapter": AdapterConfig(method="prompt", virtual_tokens=4)}),
        ("bert", {"adapter": AdapterConfig(method="top-k", layers=1)}),
        ("bert", {"early_stopping_patience": 9}),
        ("bert", {"optimizer": OptimizerConfig(name="adafactor", learning_rate=1e-3)}),
    ],
    ids=["t5", "lora", "adalora", "gradual", "bottleneck", "prompt", "cached", "stopping", "adafactor"],
)
def test_every_way_goes_on_where_it_was(
    kind: str, changes: dict[str, Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    rows, held_out = labelled_rows(n=24), labelled_rows(n=12, seed=1)
    config: FinetuneConfig = recipe(folders[kind], epochs=4, checkpoints=4, **changes)
    whole = finetune(rows, held_out, config, work_dir=tmp_path / "whole")

    class CutOffError(Exception):
        pass

    def cut(done: int, of: int) -> None:
        if done == of // 2 + 1:
            raise CutOffError

    with pytest.raises(CutOffError):
        finetune(rows, held_out, config, work_dir=tmp_path / "cut", progress=cut)
    steps: list[int] = []
    resumed = finetune(rows, held_out, config, work_dir=tmp_path / "cut", progress=lambda done, _: steps.append(done))
    # Of 12 steps: the checkpoint after the sixth was taken up. AdaLoRA keeps none, and starts again.
    assert steps[0] == (1 if config.adapter.method == "adalora" else 7)
    assert same_weights(resumed, whole)


def test_early_stopping_goes_on_waiting_where_it_was(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores fall from the first epoch on, so that a patience of two ends the run after the third."""
    scores = [0.5, 0.4, 0.3, 0.9, 0.2, 0.1]
    left = iter(scores)
    monkeypatch.setattr("tapereader.training.loop.validation_score", lambda *_: next(left))
    rows, held_out = labelled_rows(n=24), labelled_rows(n=12, seed=1)
    config = recipe(folders["bert"], epochs=6, early_stopping_patience=2)
    whole = finetune(rows, held_out, config, work_dir=tmp_path / "whole")

    class CutOffError(Exception):
        pass

    def cut(done: int, _: int) -> None:
        if done == 7:  # in the third of epochs of three steps
            raise CutOffError

    left = iter(scores)
    with pytest.raises(CutOffError):
        finetune(rows, held_out, config, work_dir=tmp_path / "cut", progress=cut)
    left = iter(scores[2:])
    resumed = finetune(rows, held_out, config, work_dir=tmp_path / "cut")
    assert max(entry["epoch"] for entry in resumed.history) == max(entry["epoch"] for entry in whole.history) == 3.0
    assert same_weights(resumed, whole)


def test_a_finished_run_is_not_run_again(folders: dict[str, Path], tmp_path: Path) -> None:
    config = recipe(folders["bert"], epochs=2, checkpoints=2)
    first = finetune(labelled_rows(), None, config, work_dir=tmp_path)
    steps: list[int] = []
    again = finetune(labelled_rows(), None, config, work_dir=tmp_path, progress=lambda done, _: steps.append(done))
    assert steps == []
    assert same_weights(first, again)
