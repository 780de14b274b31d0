"""Integrated gradients add up to the answer, on every kind of network, and are exact where the network is linear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="adapters need the extra train")

import torch
from tests.recipes.test_train import asked, write_rows
from tests.tiny_models import KINDS, write_model

from tapereader.bundle import Bundle, Calibration, LabelContract
from tapereader.core.errors import BundleError
from tapereader.engine import Engine
from tapereader.engine.explain import label_scores
from tapereader.recipes.train import train
from tapereader.training.attribution import IntegratedGradients, score_labels
from tapereader.training.reopening import reopen_network

METHODS = ("full", "lora", "prefix", "prompt", "bottleneck")
TEXTS = ["profit rose strong", "the company fell in the quarter of the year", "weak"]
Trained = Callable[..., Bundle]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a small network of any kind in any way, each once."""
    root = tmp_path_factory.mktemp("bundles")
    made: dict[tuple[str, ...], Bundle] = {}

    def make(network: str = "bert", method: str = "full", kind: str = "single-label") -> Bundle:
        key = (network, method, kind)
        if key not in made:
            folder = root / "-".join(key)
            finetune: dict[str, Any] = {
                "epochs": 2,
                "adapter": {"method": method, "rank": 4, "virtual_tokens": 4, "bottleneck_width": 8},
            }
            rows = write_rows(root / f"{kind}.csv", kind=kind)
            config = asked(
                write_model(root / network, network), rows, finetune=finetune, columns={"task_kind": kind},
                judging={"baselines": [], "before": False},
            )  # fmt: skip
            made[key] = train(config, folder).bundle
        return made[key]

    return make


def opened(bundle: Bundle, *, most_gap: float = 0.01, most_steps: int = 256) -> tuple[Engine, IntegratedGradients]:
    return Engine(bundle, threads=1), IntegratedGradients(bundle, most_gap=most_gap, most_steps=most_steps, threads=1)


def score(engine: Engine, text: str, column: int) -> float:
    bundle = engine.bundle
    return float(label_scores(bundle.contract, engine.logits([text]), bundle.calibration)[0, column])


@pytest.mark.parametrize(
    ("network", "method"), [*((kind, "full") for kind in KINDS), *(("bert", m) for m in METHODS[1:])]
)
def test_a_reopened_network_answers_as_the_engine_does(trained: Trained, network: str, method: str) -> None:
    bundle = trained(network, method)
    reopened, tokenizer = reopen_network(bundle), bundle.tokenizer()
    assert not any(parameter.requires_grad for parameter in reopened.parameters())
    assert not reopened.training
    expected = Engine(bundle, threads=1).logits(TEXTS)
    for text, row in zip(TEXTS, expected, strict=True):
        (chunk,) = tokenizer.encode([text])
        inputs = {"input_ids": torch.tensor([chunk.ids])}
        if reopened.takes_type_ids:
            inputs["token_type_ids"] = torch.tensor([chunk.type_ids])
        with torch.no_grad():
            found = reopened.head(reopened.embed(torch.ones_like(inputs["input_ids"]), **inputs))
        assert np.abs(found.numpy()[0] - row).max() < 1e-4


@pytest.mark.parametrize(
    ("network", "method"), [*((kind, "full") for kind in KINDS), *(("bert", m) for m in METHODS[1:])]
)
def test_what_tokens_add_sums_to_what_the_score_gained(trained: Trained, network: str, method: str) -> None:
    engine, gradients = opened(trained(network, method))
    found = gradients.attribute(TEXTS[1], None, 2, expected=score(engine, TEXTS[1], 2))
    gained = found.score - found.baseline_score
    assert found.complete
    assert found.gap == pytest.approx(abs(found.values.sum() - gained))
    assert found.gap <= 0.01 * max(abs(gained), 0.1)
    assert found.gap_share <= 0.01
    assert found.score == pytest.approx(score(engine, TEXTS[1], 2), abs=1e-3)
    assert len(found.spans) == len(found.values)
    assert all(value == 0.0 for span, value in zip(found.spans, found.values, strict=True) if span is None)
    assert sum(span is not None for span in found.spans) == 9


def test_a_linear_network_gets_its_own_weights(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mean of the word vectors as embedding, a token adds its vector less the baseline's, over the length."""
    bundle = trained(kind="regression")
    _, gradients = opened(bundle)
    network: Any = gradients._network
    monkeypatch.setattr(network, "embed", lambda _mask, inputs_embeds, **_: inputs_embeds.mean(dim=1))
    (located,) = bundle.tokenizer().locate(TEXTS[0])
    vectors = network.backbone.get_input_embeddings().weight
    own = torch.tensor([span is not None for span in located.spans])
    away = vectors[torch.tensor(located.chunk.ids)] - vectors[bundle.pad_id]
    scale = bundle.calibration.target_scale
    expected = (away @ network.head.weight[0] * own * scale / len(own)).numpy()
    whole = float(network.head(vectors[torch.tensor(located.chunk.ids)].mean(dim=0))) * scale
    found = gradients.attribute(TEXTS[0], None, 0, expected=whole + bundle.calibration.target_mean)
    assert found.values == pytest.approx(expected, abs=1e-5)
    assert found.steps == 32
    assert found.gap < 1e-4


def test_too_few_steps_are_said_to_be_too_few(trained: Trained) -> None:
    engine, gradients = opened(trained(), most_gap=1e-15, most_steps=100)
    found = gradients.attribute(TEXTS[1], None, 0, expected=score(engine, TEXTS[1], 0))
    assert (found.complete, found.steps) == (False, 64)
    assert found.gap > 0.0


def test_a_document_of_many_chunks_is_complete_as_a_whole(trained: Trained) -> None:
    engine, gradients = opened(trained())
    text = " ".join(TEXTS * 8)
    assert len(engine.bundle.tokenizer().locate(text)) > 2
    found = gradients.attribute(text, None, 2, expected=score(engine, text, 2))
    assert found.complete
    spans = [span for span in found.spans if span is not None]
    assert [text[slice(*span)] for span in spans] == text.split()
    assert np.count_nonzero(found.values) == len(spans)


def test_the_second_text_and_the_special_tokens_weigh_nothing(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, gradients = opened(trained())
    monkeypatch.setattr(gradients, "_refuse_foreign", lambda *_: None)
    found = gradients.attribute("profit rose", "acme fell", 1, expected=0.0)
    assert [span is not None for span in found.spans] == [False, True, True, False, False, False, False]
    assert (found.values[[0, 3, 4, 5, 6]] == 0.0).all()
    assert found.complete


@pytest.mark.parametrize("kind", ["single-label", "multi-label", "ordinal", "regression"])
def test_the_score_is_the_one_occlusion_explains(kind: Any) -> None:
    names = ("value",) if kind == "regression" else ("a", "b", "c")
    contract = LabelContract(kind=kind, names=names)
    calibration = Calibration(temperature=1.6, target_mean=3.0, target_scale=2.0)
    logits = np.random.default_rng(2).normal(size=(30, {"ordinal": 2, "regression": 1}.get(kind, 3)))
    found = score_labels(contract, torch.tensor(logits), calibration)
    assert found.numpy() == pytest.approx(label_scores(contract, logits, calibration))


def test_a_network_that_answers_otherwise_than_the_exported_one_is_refused(trained: Trained) -> None:
    bundle = trained()
    engine, gradients = opened(bundle)
    own = score(engine, TEXTS[0], 0)
    with pytest.raises(BundleError) as refused:
        gradients.attribute(TEXTS[0], None, 0, expected=own + 3.0)
    assert str(refused.value) == (
        f"The network in model/ of bundle {bundle.id!r} must answer as the exported one does; its score is {own:.3f}, "
        f"and that of the exported one {own + 3.0:.3f}. Use the method `occlusion`, which asks the exported network."
    )


def test_a_bundle_without_a_head_is_refused(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    with pytest.raises(BundleError) as refused:
        IntegratedGradients(bundle, most_gap=0.02, most_steps=64, threads=1)
    assert str(refused.value) == (
        f"Gradients need one network of an encoder and a head in model/; bundle {bundle.id!r} cannot be read so: it "
        "has no model/head.safetensors. Use the method `occlusion`, which asks the exported network."
    )


def test_weights_that_do_not_fit_each_other_are_refused(trained: Trained, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    bundle = trained()
    shutil.copytree(bundle.path, tmp_path / "b")
    save_file({"weight": torch.zeros(5, 32), "bias": torch.zeros(5)}, tmp_path / "b" / "model" / "head.safetensors")
    damaged = Bundle.load(tmp_path / "b", verify=False)
    with pytest.raises(BundleError, match=r"cannot be read so: its head\.safetensors gives 5 outputs"):
        reopen_network(damaged)
    (tmp_path / "b" / "model" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be read so"):
        reopen_network(damaged)
