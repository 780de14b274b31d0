"""From a finished bundle to a smaller one that says nearly the same, and what is refused on the way."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="a graph is changed with the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import contract_of, labelled_rows, recipe, write_model

from tapereader.bundle import Bundle
from tapereader.cli.app import main
from tapereader.core.errors import ConfigError
from tapereader.engine import Engine
from tapereader.recipes.data import FileOptions
from tapereader.recipes.ensemble import EnsembleConfig, ensemble
from tapereader.recipes.evaluate import evaluate
from tapereader.recipes.optimize import optimize
from tapereader.recipes.optimize_config import DistilConfig, OptimizeConfig, PruneConfig, build_optimize_config
from tapereader.recipes.own_rows import open_own_rows
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig
from tapereader.recipes.transfer import with_transfer
from tapereader.training.pretraining.corpus import CorpusConfig


def write_rows(path: Path, kind: str) -> Path:
    rows = labelled_rows(kind, n=90, seed=5)
    labels = ["|".join(one) if isinstance(one, tuple) else one for one in rows.frame["label"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number, (text, label) in enumerate(zip(rows.texts, labels, strict=True)):
            writer.writerow([f"{text} {number}", label])
    return path


def trained(folder: Path, kind: str = "single-label", epochs: int = 8) -> Bundle:
    names = list(contract_of(kind).names) if kind == "ordinal" else None
    bert = write_model(folder / "tiny-bert", width=64)
    config = TrainConfig.from_mapping({
        "dataset": str(write_rows(folder / "rows.csv", kind)), "split": {"validation": 0.2, "test": 0.2},
        "finetune": recipe(bert, epochs=epochs).model_dump(mode="json"),
        "judging": {"baselines": ["majority"], "before": False}, "columns": {"task_kind": kind, "labels": names},
    })  # fmt: skip
    return train(config, folder / "bundle").bundle


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trained(tmp_path_factory.mktemp("optimize"))


def rows_of(bundle: Bundle) -> str:
    return str(bundle.path.parent / "rows.csv")


def asked(**changes: Any) -> OptimizeConfig:
    return OptimizeConfig(**({"threads": 1} | changes))


@pytest.mark.parametrize("method", ["int8-dynamic", "int8-static", "bf16"])
def test_a_variant_is_a_whole_bundle_that_knows_its_parent(parent: Bundle, method: Any, tmp_path: Path) -> None:
    made = optimize(
        parent, tmp_path / "small", asked(method=method), dataset=rows_of(parent), speed=False, allow_loss=True
    )
    variant = Bundle.load(tmp_path / "small")
    assert variant.id == made.bundle.id != parent.id
    (stated,) = variant.manifest["parents"]
    assert (stated["kind"], stated["id"]) == ("bundle", parent.id)
    assert variant.manifest["kind"] == "optimize"
    assert variant.manifest["split_ids"] == parent.manifest["split_ids"]
    assert variant.manifest["licences"] == parent.manifest["licences"]
    texts = labelled_rows(n=90, seed=9).texts
    gap = np.abs(Engine(variant, threads=1).outputs(texts) - Engine(parent, threads=1).outputs(texts))
    assert 0 < gap.max() < 0.2
    kept = json.loads((variant.path / "optimization.json").read_text(encoding="utf-8"))
    assert (kept["parent"], kept["method"]) == (parent.id, method)
    assert kept["after"]["graph_mib"] != kept["before"]["graph_mib"]
    card = (variant.path / "README.md").read_text(encoding="utf-8")
    assert f"## What was changed ({method})" in card
    assert f"Parent {parent.id}" in card
    if method.startswith("int8"):
        assert variant.facts.outputs_tolerance == 0.02
        for name in ("model.safetensors", "head.safetensors"):
            assert (variant.path / "model" / name).read_bytes() == (parent.path / "model" / name).read_bytes()
    # Its own rows are found and dealt again, as its parent's are.
    again = evaluate(variant, rows_of(parent), baselines=())
    assert (again.part, again.n) == ("test", made.facts["evaluation"]["n"])
    assert again.evaluation.to_dict()["metrics"] == made.facts["evaluation"]["metrics"]


def test_weights_of_sixteen_bits_open_in_transformers(parent: Bundle, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    optimize(parent, tmp_path / "small", asked(method="bf16"), dataset=rows_of(parent), speed=False)
    whole = AutoModel.from_pretrained(parent.path / "model", dtype=torch.float32).state_dict()
    half = AutoModel.from_pretrained(tmp_path / "small" / "model").state_dict()
    stored = {name for name in half if not name.startswith("pooler")}
    assert all(torch.equal(half[name], whole[name].to(torch.bfloat16)) for name in stored)


def test_both_are_measured_alone(parent: Bundle, tmp_path: Path) -> None:
    made = optimize(parent, tmp_path / "small", asked(method="bf16"), dataset=rows_of(parent))
    for side in ("before", "after"):
        assert made.changes[side]["p50_ms"] > 0
        assert made.changes[side]["rss_mib"] > 20
        assert made.changes[side]["threads"] == 1
    assert "| One text, median, ms |" in (made.bundle.path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["multi-label", "ordinal", "regression"])
def test_every_kind_of_answer_can_be_made_smaller(kind: str, tmp_path: Path) -> None:
    bundle = trained(tmp_path, kind, epochs=2)
    made = optimize(bundle, tmp_path / "small", asked(), dataset=rows_of(bundle), speed=False, allow_loss=True)
    assert made.bundle.contract == bundle.contract
    assert (made.changes["verdict"]["agreement"] is None) == (kind == "regression")
    assert made.bundle.calibration.target_scale == bundle.calibration.target_scale


def test_a_variant_that_loses_too_much_leaves_nothing(
    parent: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of no bits at all: every text gets one answer."""
    import onnx
    from onnx import numpy_helper

    def ruin(source: Path, target: Path, _feeds: object) -> None:
        model = onnx.load(str(source))
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
                nothing = np.zeros(tuple(tensor.dims), dtype=np.float32)
                tensor.CopyFrom(numpy_helper.from_array(nothing, tensor.name))
        target.parent.mkdir(parents=True)
        onnx.save(model, str(target))

    monkeypatch.setattr("tapereader.recipes.optimize.quantize_dynamic", ruin)
    with pytest.raises(ConfigError) as caught:
        optimize(parent, tmp_path / "small", asked(), dataset=rows_of(parent), speed=False)
    said = str(caught.value)
    assert said.startswith(f"The variant must be as good as bundle {parent.id!r} within its budget; it loses ")
    assert "points of macro_f1" in said
    assert said.endswith("Nothing was written: give a greater `--budget`, or `--allow-loss`.")
    assert list(tmp_path.iterdir()) == []
    made = optimize(parent, tmp_path / "small", asked(), dataset=rows_of(parent), speed=False, allow_loss=True)
    assert "**Written although it loses" in (made.bundle.path / "README.md").read_text(encoding="utf-8")


def test_rows_of_another_file_are_refused(parent: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "rows.csv"
    other.write_text(Path(rows_of(parent)).read_text(encoding="utf-8").replace("rose", "fell"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"The rows must be those bundle '\w+' was made from"):
        optimize(parent, tmp_path / "small", asked(), dataset=str(other), speed=False)
    assert not (tmp_path / "small").exists()


def test_a_config_is_put_together_from_file_options_and_set(tmp_path: Path) -> None:
    (tmp_path / "optimize.yaml").write_text("method: bf16\nbudget: 2.0\n", encoding="utf-8")
    found = build_optimize_config(
        tmp_path / "optimize.yaml", values={"method": None, "threads": 2}, overrides=("budget=1.0",)
    )
    assert found == OptimizeConfig(method="bf16", budget=1.0, threads=2)


def opened(bundle: Bundle) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(bundle.path / "model")


def products(bundle: Bundle) -> int:
    """Numbers in the matrices of a graph's products."""
    from tapereader.training.compress.graphs import product_nodes, read_graph, weights

    model = read_graph(bundle.onnx_path)
    known, names = weights(model), set(product_nodes(model))
    return sum(int(np.prod(known[node.input[1]].dims)) for node in model.graph.node if node.name in names)


def agrees(bundle: Bundle, texts: list[str]) -> float:
    """Greatest difference between the graph and the network that stands in ``model``."""
    from tapereader.training.batches import encode
    from tapereader.training.reopening import reopen_network
    from tapereader.training.scoring import predict_logits

    logits = predict_logits(reopen_network(bundle), encode(bundle.tokenizer(), texts, None))
    return float(np.abs(logits - Engine(bundle, threads=1).logits(texts)).max())


TEXTS = labelled_rows(n=60, seed=9).texts


def test_a_pruned_bundle_has_fewer_heads_and_neurons_and_opens_as_before(parent: Bundle, tmp_path: Path) -> None:
    config = asked(method="prune", prune=PruneConfig(heads=0.5, width=0.5), epochs=2)
    made = optimize(parent, tmp_path / "small", config, dataset=rows_of(parent), speed=False, allow_loss=True)
    variant = made.bundle
    # Width 64, two heads of 32, inner width 128; of each layer's 4 * 64 * 64 + 2 * 64 * 128 numbers half are left.
    assert products(parent) == 2 * (4 * 64 * 64 + 2 * 64 * 128)
    assert products(variant) == products(parent) / 2
    network = opened(variant)
    assert network.config.intermediate_size == 64
    for layer in network.encoder.layer:
        silent = layer.attention.self.value.weight.reshape(2, 32, 64).abs().sum(dim=(1, 2)) == 0
        assert silent.sum() == 1
        assert layer.attention.output.dense.weight[:, silent.repeat_interleave(32)].abs().max() == 0
    assert agrees(variant, TEXTS) < 1e-4
    assert variant.contract == parent.contract
    assert "Of 2 attention heads 1 stay in every layer" in variant.card


def test_a_shortened_bundle_has_fewer_layers(parent: Bundle, tmp_path: Path) -> None:
    config = asked(method="drop-layers", layers=1, epochs=2)
    made = optimize(parent, tmp_path / "small", config, dataset=rows_of(parent), speed=False, allow_loss=True)
    assert opened(made.bundle).config.num_hidden_layers == len(opened(made.bundle).encoder.layer) == 1
    assert products(made.bundle) == products(parent) / 2
    assert agrees(made.bundle, TEXTS) < 1e-4
    with pytest.raises(ConfigError, match="must leave at least one of 2 layers and take at least one; got 2"):
        optimize(parent, tmp_path / "none", asked(method="drop-layers"), dataset=rows_of(parent), speed=False)
    assert not (tmp_path / "none").exists()


def test_a_sparse_bundle_takes_less_room_and_holds_zeros_in_full(parent: Bundle, tmp_path: Path) -> None:
    config = asked(method="sparse", zeros=0.8, epochs=2)
    made = optimize(parent, tmp_path / "small", config, dataset=rows_of(parent), speed=False, allow_loss=True)
    # Of 65,536 numbers of four bytes a fifth is left, and a bit for each; the rest of the file is as it was.
    saved = (made.changes["before"]["graph_mib"] - made.changes["after"]["graph_mib"]) * 2**20
    assert saved == pytest.approx(65_536 * (4 * 0.8 - 1 / 8), rel=0.15)
    for layer in opened(made.bundle).encoder.layer:
        weight = layer.intermediate.dense.weight
        assert float((weight == 0).float().mean()) == pytest.approx(0.8, abs=0.001)
    assert agrees(made.bundle, TEXTS) < 1e-4


def test_a_bundle_teaches_a_smaller_network(parent: Bundle, tmp_path: Path) -> None:
    student = write_model(tmp_path / "tiny-student", layers=1)
    config = asked(method="distil", distil=DistilConfig(student=str(student)), epochs=6)
    made = optimize(parent, tmp_path / "small", config, dataset=rows_of(parent), speed=False, allow_loss=True)
    assert opened(made.bundle).config.num_hidden_layers == 1
    assert [(one["kind"], one["name"]) for one in made.bundle.manifest["parents"]][1:] == [("backbone", "tiny-student")]
    assert str(tmp_path) not in (made.bundle.path / "config.yaml").read_text(encoding="utf-8")
    assert "tiny-student" in (made.bundle.path / "licences.txt").read_text(encoding="utf-8")
    assert agrees(made.bundle, TEXTS) < 1e-4


def test_a_teacher_that_saw_other_rows_is_refused(parent: Bundle, tmp_path: Path) -> None:
    bundle = trained(tmp_path / "other", epochs=1)
    teacher = tmp_path / "teacher"
    made = train(
        TrainConfig.from_mapping({
            "dataset": rows_of(bundle), "split": {"validation": 0.2, "test": 0.2, "seed": 1},
            "finetune": recipe(tmp_path / "other" / "tiny-bert", epochs=1).model_dump(mode="json"),
            "judging": {"baselines": ["majority"], "before": False}, "columns": {"task_kind": "single-label"},
        }), teacher,
    )  # fmt: skip
    config = asked(method="distil", distil=DistilConfig(teacher=str(teacher)))
    with pytest.raises(ConfigError) as caught:
        optimize(bundle, tmp_path / "small", config, dataset=rows_of(bundle), speed=False)
    assert str(caught.value).startswith(
        f"A teacher must be trained on the rows of bundle {bundle.id!r}, dealt the same way, or it may have seen what "
        f"its student is judged on; `split_ids` of the teacher are {made.bundle.manifest['split_ids']!r}"
    )
    assert not (tmp_path / "small").exists()


def test_distilling_needs_to_know_who_teaches_whom(parent: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        optimize(parent, tmp_path / "small", asked(method="distil"), dataset=rows_of(parent))
    assert str(caught.value) == (
        "`distil` needs a teacher or a student; got neither. Give `--teacher BUNDLE` to teach this bundle, or "
        "`--student BACKBONE` for this bundle to teach."
    )


def test_a_variant_can_be_made_smaller_again(parent: Bundle, tmp_path: Path) -> None:
    quick: dict[str, Any] = {"dataset": rows_of(parent), "speed": False, "allow_loss": True}
    pruned = optimize(parent, tmp_path / "pruned", asked(method="prune", prune=PruneConfig(heads=0.5)), **quick).bundle
    shorter = optimize(pruned, tmp_path / "shorter", asked(method="drop-layers", layers=1), **quick).bundle
    # One layer of one head of 32, and of 96 of 128 neurons: silent heads take no room in what comes after either.
    assert products(shorter) == 4 * 32 * 64 + 2 * 64 * 96
    small = optimize(shorter, tmp_path / "small", asked(method="int8-dynamic"), **quick).bundle
    assert [one["id"] for one in small.manifest["parents"]] == [shorter.id]
    assert small.manifest["split_ids"] == parent.manifest["split_ids"]


def test_an_ensemble_teaches_one_network(parent: Bundle, tmp_path: Path) -> None:
    quick: dict[str, Any] = {"dataset": rows_of(parent), "speed": False, "allow_loss": True}
    second = optimize(parent, tmp_path / "second", asked(method="drop-layers", layers=1), **quick).bundle
    whole = ensemble([parent, second], tmp_path / "whole", EnsembleConfig(), dataset=rows_of(parent)).bundle
    with pytest.raises(ConfigError, match=r"is an ensemble: let it teach one network"):
        optimize(whole, tmp_path / "small", asked(), **quick)
    student = str(write_model(tmp_path / "tiny-student", layers=1))
    config = asked(method="distil", distil=DistilConfig(student=student))
    made = optimize(whole, tmp_path / "small", config, options=FileOptions(task_kind="single-label"), **quick)
    assert not made.bundle.members
    assert made.changes["before"]["graph_mib"] > made.changes["after"]["graph_mib"] > 0
    taught = asked(method="distil", distil=DistilConfig(teacher=str(whole.path)))
    again = optimize(parent, tmp_path / "taught", taught, **quick).bundle
    assert [one["id"] for one in again.manifest["parents"]] == [parent.id, whole.id]
    assert f"learnt from the answers of bundle `{whole.id}`" in again.card


def test_the_command_says_what_came_out_and_refuses_with_2(
    parent: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["optimize", str(parent.path), rows_of(parent), "--method", "bf16", "--no-speed", "--threads", "1"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--out", str(tmp_path / "small"), "--json"])
    assert done.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["changes"]["verdict"]["agreement"] == 1.0
    with pytest.raises(SystemExit) as shown:
        main([*words, "--out", str(tmp_path / "again")])
    assert shown.value.code == 0
    table = capsys.readouterr().out
    assert f"Bundle {parent.id} before and after bf16:" in table
    assert "Same answer on 100.00 % of 36 held-out rows." in table
    with pytest.raises(SystemExit) as refused:
        main([*words, "--out", str(tmp_path / "small")])
    assert refused.value.code == 2
    assert "`out` must not exist yet" in capsys.readouterr().err


def test_a_student_hears_its_teacher_on_text_nobody_labelled(parent: Bundle, tmp_path: Path) -> None:
    """Rows that are judged, and their near-copies, are left out, and the terms of the text travel."""
    rows = open_own_rows(parent, rows_of(parent))
    judged = rows.labelled.take(rows.split.test).texts
    fresh = labelled_rows(n=40, seed=77, words=8).texts
    archive = tmp_path / "archive.txt"
    archive.write_text("\n".join([*fresh, *judged]) + "\n", encoding="utf-8")
    told: list[Any] = []
    distil = {"teacher": str(parent.path), "transfer": {"sources": (str(archive),), "near_duplicates": 0.99}}
    made = optimize(
        parent, tmp_path / "taught", asked(method="distil", distil=distil, epochs=1), dataset=rows_of(parent),
        speed=False, allow_loss=True, report=lambda what, _done, _of: told.append(what),
    )  # fmt: skip
    note = made.changes["note"]
    (found,) = re.findall(r"on (\d+) unlabelled .*?; (\d+) like", note)
    heard, left_out = map(int, found)
    assert 0 < heard <= len(fresh)
    assert left_out >= len(set(judged))
    assert made.bundle.manifest["config"]["distil"]["transfer"]["sources"] == ["archive.txt"]
    assert [one["of"] for one in made.bundle.manifest["licences"]][-1] == "archive.txt"
    assert "Reading and answering unlabelled text" in told


def test_unlabelled_text_names_no_target(parent: Bundle, tmp_path: Path) -> None:
    pairs = labelled_rows(n=30, pair=True)
    with pytest.raises(ConfigError, match="cannot learn from unlabelled text: it names none"):
        with_transfer(pairs, CorpusConfig(sources=("x.txt",)), Engine(parent), [], seed=0)
