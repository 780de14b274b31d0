"""From a file of sixty rows to a bundle that answers as the network did, whatever happens in between."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.bundle import Bundle
from tapereader.core.errors import ConfigError, DataError
from tapereader.engine import Engine
from tapereader.recipes.crossvalidate import crossvalidate
from tapereader.recipes.predict import predict
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig, build_config
from tapereader.sources import read_labelled
from tapereader.training.evaluation import Evaluation
from tapereader.training.trainer import finetune


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny-bert")


def write_rows(path: Path, *, kind: str = "single-label", n: int = 60) -> Path:
    rows = labelled_rows(kind, n=n, seed=5)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number, (text, label) in enumerate(zip(rows.texts, rows.frame["label"], strict=True)):
            writer.writerow([f"{text} {number}", label])
    return path


def asked(bert: Path, dataset: Path | str, **changes: Any) -> TrainConfig:
    finetune_values = recipe(bert, epochs=4).model_dump(mode="json") | changes.pop("finetune", {})
    return TrainConfig.from_mapping({
        "dataset": str(dataset), "split": {"validation": 0.2, "test": 0.2}, "finetune": finetune_values,
    } | changes)  # fmt: skip


@pytest.fixture(scope="module")
def made(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("train")
    return train(asked(bert, write_rows(folder / "rows.csv")), folder / "bundle")


def test_the_bundle_has_everything_it_should(made: Any) -> None:
    found = {path.name for path in made.bundle.path.iterdir()}
    assert {
        "model", "onnx", "README.md", "evaluation.json", "licences.txt", "manifest.json", "config.yaml",
        "contract.json", "calibration.json",
    } <= found  # fmt: skip
    assert {path.name for path in (made.bundle.path / "model").iterdir()} == {
        "config.json", "head.safetensors", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    # Nothing of the run is left beside it but the page for people.
    assert sorted(path.name for path in made.bundle.path.parent.iterdir()) == [
        "bundle", "bundle-report.html", "rows.csv",
    ]  # fmt: skip
    manifest = made.bundle.manifest
    assert manifest["kind"] == "train"
    assert manifest["data_ids"] == {"rows": read_labelled(made.bundle.path.parent / "rows.csv").id}
    assert [parent["name"] for parent in manifest["parents"]] == ["tiny-bert"]
    assert str(made.bundle.path.parent) not in json.dumps(manifest)
    assert not manifest["synthetic"]
    assert not manifest["non_commercial"]


def test_training_rows_that_an_authors_test_part_repeats_are_left_out_and_counted(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = labelled_rows(n=60, seed=5)
    texts = [f"{text} {number}" for number, text in enumerate(rows.texts)]
    texts[57:60] = texts[0:3]  # three test rows are training rows again
    part = ["train"] * 45 + ["test"] * 15
    frame = rows.frame.assign(text=texts, official_paper=part)
    frame.loc[57:59, "label"] = frame.loc[0:2, "label"].to_numpy()
    published = type(rows)(rows.card, frame)
    monkeypatch.setattr("tapereader.recipes.preparing.open_labelled", lambda *_, **__: published)
    config = asked(
        bert, "tiny", finetune={"epochs": 1}, judging={"baselines": ["majority"], "before": False},
        split={"kind": "official", "near_duplicates": 1.0},
    )  # fmt: skip
    made = train(config, tmp_path / "bundle")
    told = "; 3 rows of the authors' training parts were left out because later parts repeat them"
    assert made.facts["split"].endswith(told)
    assert made.facts["evaluation"]["n"] == 15
    assert told in (made.bundle.path / "README.md").read_text(encoding="utf-8")


def test_the_card_names_no_id_that_it_cannot_know(made: Any) -> None:
    """The id is a hash over the card as well: the card says where it stands, and holds no empty name."""
    card = (made.bundle.path / "README.md").read_text(encoding="utf-8")
    assert "``," not in card
    config_id = made.bundle.manifest["config_id"]
    assert f"- Config `{config_id}`, seed 0; the bundle's id stands in `manifest.json`" in card
    stated = json.loads((made.bundle.path / "manifest.json").read_text(encoding="utf-8"))
    assert stated["bundle_id"] == made.bundle.id


def test_engine_and_predict_answer_as_the_network_did(made: Any, bert: Path) -> None:
    """The network is trained once more from the stored config and split; a bundle is its graph, read without torch."""
    rows = read_labelled(made.bundle.path.parent / "rows.csv")
    config = TrainConfig.load(made.bundle.path / "config.yaml")
    from tapereader.bundle import decode
    from tapereader.dataset.choice import choose_split, find_groups

    split = choose_split(rows, config.split, find_groups(rows, config.split))
    assert split.id in made.bundle.manifest["split_ids"].values()
    model = finetune(rows.take(split.train), None, config.finetune.replace(backbone=str(bert)))
    expected = decode(made.bundle.contract, model.logits(rows.texts), made.bundle.calibration)
    outputs = Engine(made.bundle, threads=1).outputs(rows.texts)
    assert np.abs(outputs - expected).max() < 1e-5
    answered = predict(made.bundle, texts=rows.texts)["predictions"]
    table = np.asarray([[row[f"p_{name}"] for name in made.bundle.contract.names] for row in answered])
    assert np.abs(table - expected).max() < 1e-5
    assert [row["label"] for row in answered] == [made.bundle.contract.names[c] for c in expected.argmax(axis=1)]


def test_the_evaluation_is_of_the_test_part_beside_the_baselines(made: Any) -> None:
    numbers = json.loads((made.bundle.path / "evaluation.json").read_text(encoding="utf-8"))
    evaluation = Evaluation.from_dict(numbers["evaluation"])
    assert evaluation.n == 12
    assert set(numbers["baselines"]) == {"majority", "word-list", "tfidf", "frozen-embedding"}
    assert set(numbers["comparisons"]) == {*numbers["baselines"], "before"}
    assert numbers["before"]["n"] == 12
    # Numbers alone: no text of the rows goes with the bundle.
    text = read_labelled(made.bundle.path.parent / "rows.csv").texts[0]
    holders = [path for path in made.bundle.path.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    assert holders == []


def test_the_stored_config_reads_back_to_the_one_that_ran(made: Any, bert: Path) -> None:
    stored = TrainConfig.load(made.bundle.path / "config.yaml")
    assert stored.dataset == "rows.csv"
    assert stored.finetune.backbone == "tiny-bert"
    ran = asked(bert, made.bundle.path.parent / "rows.csv")
    assert stored.replace(dataset=ran.dataset, finetune=stored.finetune.replace(backbone=str(bert))) == ran
    assert build_config(made.bundle.path / "config.yaml", profile="quality", values={}) == stored


def test_the_same_training_gives_the_same_bundle_files(made: Any, bert: Path, tmp_path: Path) -> None:
    source = made.bundle.path.parent / "rows.csv"
    again = train(asked(bert, source), tmp_path / "again")
    for name in ("model/model.safetensors", "model/head.safetensors", "calibration.json", "evaluation.json"):
        assert (again.bundle.path / name).read_bytes() == (made.bundle.path / name).read_bytes(), name


def test_a_folder_that_holds_something_is_refused_and_left_alone(made: Any, bert: Path) -> None:
    out = made.bundle.path
    before = sorted(path.stat().st_mtime_ns for path in out.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        train(asked(bert, out.parent / "rows.csv"), out)
    assert str(caught.value) == f"`out` must not exist yet; got {str(out)!r}. Give another name, or `--replace`."
    assert sorted(path.stat().st_mtime_ns for path in out.rglob("*")) == before


def test_a_bundle_is_replaced_where_that_is_asked(bert: Path, tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "rows.csv"), tmp_path / "bundle"
    first = train(asked(bert, source, finetune={"epochs": 1}), out)
    second = train(asked(bert, source, finetune={"epochs": 1, "seed": 1}), out, replace=True)
    assert Bundle.load(out).id == second.bundle.id != first.bundle.id


@pytest.mark.parametrize("kind", ["ordinal", "regression"])
def test_other_kinds_of_questions_come_through_whole(kind: str, bert: Path, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.csv", kind=kind, n=75)
    columns = {"task_kind": kind}
    if kind == "ordinal":
        columns["labels"] = ["negative", "neutral", "positive"]  # type: ignore[assignment]  # plain values of a file
    found = train(asked(bert, source, columns=columns, finetune={"epochs": 2}), tmp_path / "bundle")
    assert found.bundle.contract.kind == kind
    (row,) = predict(found.bundle, texts=["profit rose"])["predictions"]
    assert ("value" in row) == (kind == "regression")


def test_terms_that_forbid_trade_stand_on_the_card(bert: Path, tmp_path: Path) -> None:
    """Invented rows in the place of a data set whose licence is non-commercial."""
    rows = labelled_rows(n=60, seed=5)
    (tmp_path / "data" / "financial_phrasebank").mkdir(parents=True)
    texts = [f"{text} {n}" for n, text in enumerate(rows.texts)]
    pd.DataFrame({"text": texts, "label": rows.frame["label"].astype(str), "agreement": 100}).to_parquet(
        tmp_path / "data" / "financial_phrasebank" / "sentences.parquet"
    )
    config = asked(bert, "financial-phrasebank-all-agree", finetune={"epochs": 1})
    found = train(config, tmp_path / "bundle", data_root=tmp_path / "data")
    assert found.bundle.manifest["non_commercial"]
    assert "NON-COMMERCIAL" in (found.bundle.path / "README.md").read_text(encoding="utf-8")
    assert "CC BY-NC-SA 3.0; commercial use FORBIDDEN" in (found.bundle.path / "licences.txt").read_text("utf-8")


def test_a_licence_that_says_nothing_is_not_called_forbidding(made: Any) -> None:
    assert "NON-COMMERCIAL" not in (made.bundle.path / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_synthetic_text_is_marked_as_such(bert: Path, tmp_path: Path) -> None:
    config = asked(
        bert, "synthetic-sentiment", finetune={"epochs": 1}, judging={"baselines": ["majority"], "before": False}
    )
    found = train(config, tmp_path / "bundle")
    assert found.bundle.manifest["synthetic"]
    assert "synthetic" in (found.bundle.path / "README.md").read_text(encoding="utf-8").lower()
    assert found.facts["dataset"]["synthetic"]


def test_rows_that_cannot_be_learnt_from_leave_nothing(bert: Path, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("text,label\nprofit rose,up\nloss grew,up\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        train(asked(bert, source), tmp_path / "deep" / "bundle")
    assert str(caught.value) == (
        f"A single-label column must have at least 2 different label(s); got only 'up' in column 'label' of "
        f"{str(source)!r}. Give all names by `labels=` if the others are just not in this file."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


RUN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig

def report(what, done, of):
    if what == "Fine-tuning" and done == int(sys.argv[4]):
        os.kill(os.getpid(), 9)

train(TrainConfig.load(sys.argv[2]), Path(sys.argv[3]), report=report)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_as_an_unbroken_one(made: Any, bert: Path, tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(asked(bert, made.bundle.path.parent / "rows.csv").to_yaml(), encoding="utf-8")
    out = tmp_path / "bundle"

    def call(kill_at: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", RUN, str(Path(__file__).parents[2]), str(config), str(out), str(kill_at)],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False, timeout=120,
        ).returncode  # fmt: skip

    assert call(14) == -signal.SIGKILL
    assert not out.exists()
    left = [path.name for path in (tmp_path / ".bundle.run").iterdir()]
    assert any(name.startswith("checkpoint-") for name in left)
    assert call(-1) == 0
    assert not (tmp_path / ".bundle.run").exists()
    for name in ("model/model.safetensors", "model/head.safetensors", "calibration.json", "evaluation.json"):
        assert (out / name).read_bytes() == (made.bundle.path / name).read_bytes(), name


def test_the_second_of_several_processes_writes_no_bundle(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match="must be called in the first process alone"):
        train(asked(bert, write_rows(tmp_path / "rows.csv")), tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_what_only_one_process_can_do_refuses_several(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError) as caught:
        crossvalidate(asked(bert, write_rows(tmp_path / "rows.csv")), tmp_path / "out", folds=3)
    assert str(caught.value) == (
        "`crossvalidate` must be one process; got a launch of 2. Start it without torchrun or accelerate launch: it "
        "takes all processor threads, or the first accelerator, by itself. `train` can be several."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


SHARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tapereader.recipes.train import learn_along, train
from tapereader.recipes.train_config import TrainConfig

def report(what, done, of):
    if what == "Fine-tuning" and done:
        out.with_suffix(".steps").write_text(str(of))
        if done == int(sys.argv[4]):
            os.kill(os.getpid(), 9)

config, out = TrainConfig.load(sys.argv[2]), Path(sys.argv[3])
if os.environ["RANK"] == "0":
    train(config, out, report=report)
else:
    learn_along(config, out)
"""


@pytest.mark.slow
def test_two_processes_learn_one_model_which_the_first_writes_and_go_on_after_a_kill(
    made: Any, bert: Path, tmp_path: Path
) -> None:
    rows = made.bundle.path.parent / "rows.csv"
    config, script = tmp_path / "train.yaml", tmp_path / "share.py"
    config.write_text(asked(bert, rows).to_yaml(), encoding="utf-8")
    script.write_text(SHARE, encoding="utf-8")

    def call(out: Path, kill_at: int) -> int:
        return subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
             str(script), str(Path(__file__).parents[2]), str(config), str(out), str(kill_at)],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False, timeout=300,
        ).returncode  # fmt: skip

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert call(whole, -1) == 0
    assert call(broken, 14) != 0
    assert not broken.exists()
    assert call(broken, -1) == 0
    assert not (tmp_path / ".broken.run").exists()
    for name in ("model/model.safetensors", "model/head.safetensors", "calibration.json", "evaluation.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    # As many steps as one process makes of 36 rows: the documents of a step are shared out, not doubled.
    learning = asked(bert, rows).finetune
    steps = learning.epochs * math.ceil(36 / learning.batch_size)
    assert whole.with_suffix(".steps").read_text() == str(steps)
