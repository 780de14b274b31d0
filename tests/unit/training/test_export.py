"""What is written is what was trained: weights that open elsewhere, and a graph with the same answers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="exporting needs the extra train")
pytest.importorskip("peft", reason="adapters need the extra train")

import onnxruntime
import torch
import transformers
from safetensors.torch import load_file
from tests.tiny_models import KINDS, contract_of, labelled_rows, recipe, write_model

from tapereader.core.errors import BundleError
from tapereader.models.adapters import AdapterConfig
from tapereader.training.batches import Collator, encode
from tapereader.training.export import export_onnx, save_weights
from tapereader.training.trainer import FinetunedModel, finetune

METHODS = ("full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck")
TEXTS = ["profit rose", "the company fell in the quarter of the year", "weak", "利 润 增 长"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind) for kind in KINDS}


def train(folder: Path, method: Any = "full", **changes: Any) -> FinetunedModel:
    adapter = AdapterConfig(method=method, layers=1, rank=4, virtual_tokens=4, bottleneck_width=8)
    return finetune(labelled_rows(n=16), None, recipe(folder, adapter=adapter, epochs=2, **changes))


def graph_logits(path: Path, model: FinetunedModel, texts: list[str]) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    batch = Collator(pad_id=0, type_ids=model.network.takes_type_ids)(encode(model.tokenizer, texts, None).documents)
    return session.run(["logits"], {name: batch[name].numpy() for name in wanted})[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_way_of_learning_leaves_a_folder_that_opens_and_a_graph_that_agrees(
    method: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = train(folders["bert"], method)
    expected = model.logits(TEXTS)
    assert export_onnx(model, tmp_path / "onnx" / "model.onnx") < 1e-5
    assert np.abs(graph_logits(tmp_path / "onnx" / "model.onnx", model, TEXTS) - expected).max() < 1e-5
    folder = tmp_path / "model"
    save_weights(model, contract_of("single-label"), folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pooler, which no network here has, is made anew and told so
        backbone: Any = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    assert backbone.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    assert backbone.config.label2id == {"negative": 0, "neutral": 1, "positive": 2}
    assert transformers.AutoTokenizer.from_pretrained(folder)("profit rose")["input_ids"]
    found = sorted(path.name for path in folder.iterdir())
    beside = {"prefix": ["adapter"], "prompt": ["adapter"], "bottleneck": ["adapter.safetensors"]}.get(method, [])
    assert found == sorted(["config.json", "head.safetensors", "model.safetensors", "tokenizer.json",
                            "tokenizer_config.json", *beside])  # fmt: skip
    assert not any(str(folders["bert"]) in path.read_text("utf-8") for path in folder.rglob("*.json"))
    if method in ("prefix", "prompt"):
        import peft

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by an old name
            backbone = peft.PeftModel.from_pretrained(backbone, folder / "adapter").eval()
        names = ["input_ids", "attention_mask"]
    elif method == "bottleneck":
        adapters = load_file(folder / "adapter.safetensors")
        assert {name.rpartition(".")[0].rpartition(".")[2] for name in adapters} == {"down", "up"}
        # Without its adapters the backbone is the pretrained one, to the bit.
        pretrained = load_file(folders["bert"] / "model.safetensors")
        saved = load_file(folder / "model.safetensors")
        assert all(torch.equal(saved[name], pretrained[name]) for name in saved)
        return
    else:
        names = ["input_ids", "attention_mask", "token_type_ids"]
    head = load_file(folder / "head.safetensors")
    batch = Collator(pad_id=0, type_ids=True)(encode(model.tokenizer, TEXTS, None).documents)
    with torch.no_grad():
        states = backbone(**{name: batch[name] for name in names}).last_hidden_state
    states = states[:, states.shape[1] - batch["attention_mask"].shape[1] :]
    mask = batch["attention_mask"][..., None].float()
    pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
    assert np.abs((pooled @ head["weight"].T + head["bias"]).numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_of_every_kind_is_free_in_batch_and_length(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = train(folders[kind])
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    for texts in (TEXTS[:1], TEXTS, TEXTS * 5, ["profit rose " * 14]):
        assert np.abs(graph_logits(path, model, texts) - model.logits(texts)).max() < 1e-4


@pytest.mark.parametrize("method", ["lora", "bottleneck", "ia3"])
def test_an_update_of_gpt2_is_exported_as_it_was_trained(method: str, folders: dict[str, Path], tmp_path: Path) -> None:
    model = train(folders["gpt2"], method)
    export_onnx(model, tmp_path / "model.onnx")
    assert np.abs(graph_logits(tmp_path / "model.onnx", model, TEXTS) - model.logits(TEXTS)).max() < 1e-4


def test_what_bfloat16_rounded_is_written_from_the_masters(folders: dict[str, Path], tmp_path: Path) -> None:
    model = train(folders["bert"], precision="bfloat16")
    save_weights(model, contract_of("single-label"), tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    moved = saved["encoder.layer.1.output.dense.weight"]
    assert not torch.equal(moved, moved.bfloat16().float())


def test_a_graph_that_differs_is_refused(folders: dict[str, Path], tmp_path: Path, monkeypatch: Any) -> None:
    """An exporter that forgets the head's bias stands in for one that is wrong."""
    model = train(folders["bert"])
    export = torch.onnx.export

    def wrong(graph: Any, *args: Any, **settings: Any) -> None:
        with torch.no_grad():
            graph.network.head.bias.add_(1.0)
        export(graph, *args, **settings)
        with torch.no_grad():
            graph.network.head.bias.sub_(1.0)

    monkeypatch.setattr(torch.onnx, "export", wrong)
    with pytest.raises(BundleError) as caught:
        export_onnx(model, tmp_path / "model.onnx")
    assert str(caught.value) == "The exported graph must compute what was trained; its logits differ by 1."


def test_nothing_of_this_machine_is_written(folders: dict[str, Path], tmp_path: Path) -> None:
    save_weights(train(folders["bert"], "prompt"), contract_of("single-label"), tmp_path)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == ".."
    assert "_name_or_path" not in json.loads((tmp_path / "config.json").read_text())
