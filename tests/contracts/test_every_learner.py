"""What everything that learns from text must do: every way of learning, every baseline, every kind of question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.bundle import Bundle, decode
from tapereader.core.errors import DataError
from tapereader.engine import Engine
from tapereader.models.adapters import AdapterConfig
from tapereader.models.backbones import resolve_backbone
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig
from tapereader.sources import LabelledText
from tapereader.training.baselines import BASELINES
from tapereader.training.embedding import frozen_embedding
from tapereader.training.estimators import TextClassifier
from tapereader.training.trainer import finetune

METHODS = ("full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck")
KINDS = ("single-label", "multi-label", "ordinal", "regression")
Answer = Callable[[list[str]], Any]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(params=[*METHODS, *BASELINES])
def learn(request: pytest.FixtureRequest, bert: Path) -> Callable[..., Answer]:
    """Return ``learn(rows, seed)``: it learns from rows, and gives what answers texts."""
    name = str(request.param)

    def network(rows: LabelledText, seed: int = 0) -> Answer:
        adapter = AdapterConfig(method=name, layers=1, rank=4, virtual_tokens=4, bottleneck_width=8)  # type: ignore[arg-type]
        model = finetune(rows, None, recipe(bert, adapter=adapter, epochs=1, seed=seed))
        return lambda texts: decode(rows.card.contract, model.logits(texts), model.calibration)

    def baseline(rows: LabelledText, seed: int = 0) -> Answer:
        extra: dict[str, Any] = {}
        if name == "frozen-embedding":
            extra["embed"] = frozen_embedding(resolve_backbone(bert), max_length=32, precision="float32")
        fitted = BASELINES[name](rows.card.contract, language="en", seed=seed, **extra)
        fitted.fit(rows.texts, rows.targets(), pairs=None, groups=np.arange(len(rows)))
        return lambda texts: fitted.outputs(texts, pairs=None)

    return network if name in METHODS else baseline


@pytest.mark.parametrize("kind", KINDS)
def test_answers_have_the_shape_of_the_question(learn: Callable[..., Answer], kind: str) -> None:
    rows = labelled_rows(kind, n=30)
    outputs = learn(rows)(rows.texts)
    assert np.isfinite(outputs).all()
    if kind == "regression":
        assert outputs.shape == (30,)
        return
    assert outputs.shape == (30, len(rows.card.contract.names))
    assert (outputs >= 0).all()
    if kind != "multi-label":
        assert outputs.sum(axis=1) == pytest.approx(1.0)


def test_learning_leaves_its_rows_as_they_were(learn: Callable[..., Answer]) -> None:
    rows, untouched = labelled_rows(n=30), labelled_rows(n=30)
    learn(rows)
    assert rows.frame.equals(untouched.frame)
    assert rows.id == untouched.id


def test_the_same_seed_gives_the_same_answers(learn: Callable[..., Answer]) -> None:
    rows = labelled_rows(n=30)
    assert np.array_equal(learn(rows)(rows.texts), learn(rows)(rows.texts))


def test_order_and_company_do_not_change_an_answer(learn: Callable[..., Answer]) -> None:
    rows = labelled_rows(n=30)
    answer = learn(rows)
    texts = [*rows.texts, "profit " * 60, "a word nobody knows"]
    together = answer(texts)
    assert np.abs(answer(texts[::-1])[::-1] - together).max() < 1e-5
    assert np.abs(np.concatenate([answer([text]) for text in texts]) - together).max() < 1e-5


def test_a_label_of_no_contract_is_refused_by_name(learn: Callable[..., Answer]) -> None:
    rows = labelled_rows(n=30)
    frame = rows.frame.copy()
    frame.loc[7, "label"] = "euphoric"
    with pytest.raises(DataError) as caught:
        learn(LabelledText(rows.card, frame))
    assert str(caught.value) == (
        "Every label must be one of negative, neutral, positive; got 'euphoric'. Run `tapereader data check` for the "
        "rows."
    )


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_refused_by_name(text: str, bert: Path) -> None:
    learner = TextClassifier(backbone=str(bert))
    with pytest.raises(DataError) as caught:
        learner.fit(["profit rose", text], ["up", "down"])
    assert str(caught.value) == f"Every text must be non-empty text; got {text!r} at position 1."


@pytest.mark.parametrize("method", METHODS)
def test_written_and_read_again_it_answers_the_same(method: str, bert: Path, tmp_path: Path) -> None:
    rows = labelled_rows(n=45, seed=2)
    lines = [f"{text} {n},{label}" for n, (text, label) in enumerate(zip(rows.texts, rows.frame["label"], strict=True))]
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    adapter = {"method": method, "layers": 1, "rank": 4, "virtual_tokens": 4, "bottleneck_width": 8}
    config = TrainConfig.from_mapping({
        "dataset": str(source), "split": {"validation": 0.2, "test": 0.2},
        "finetune": recipe(bert, epochs=1).model_dump(mode="json") | {"adapter": adapter},
        "judging": {"baselines": [], "before": False},
    })  # fmt: skip
    written = train(config, tmp_path / "bundle").bundle
    read = Bundle.load(tmp_path / "bundle")
    assert read.id == written.id
    texts = [*rows.texts, "profit " * 60]
    # The sanity sentences inside were answered by the network itself; opening the engine asks them of the graph.
    outputs = Engine(read, threads=1).outputs(texts)
    assert np.array_equal(outputs, Engine(written, threads=1).outputs(texts))
