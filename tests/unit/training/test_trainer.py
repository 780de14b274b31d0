"""The loop: every way, kind and question learns, and repeats to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

import torch
from tests.tiny_models import KINDS, POSITIONS, contract_of, labelled_rows, losses, recipe, same_weights, write_model

from tapereader.bundle import decode
from tapereader.core.errors import ConfigError
from tapereader.models.adapters import FROZEN_BACKBONE, AdapterConfig
from tapereader.models.heads import ObjectiveConfig
from tapereader.training.batches import encode
from tapereader.training.optimization import OptimizerConfig
from tapereader.training.scoring import predict_logits, validation_score
from tapereader.training.trainer import build_network, finetune

#: A rate at which each way of learning gets somewhere on a network that knows nothing.
RATES = {
    "full": 3e-3, "gradual": 3e-3, "top-k": 3e-3, "head": 1e-2, "lora": 5e-3, "adalora": 5e-3, "bottleneck": 5e-3,
    "ia3": 3e-2, "prefix": 3e-2, "prompt": 3e-2,
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind) for kind in KINDS}


def accuracy(model: Any, rows: Any) -> float:
    outputs = decode(rows.card.contract, model.logits(rows.texts, rows.pairs), model.calibration)
    return float((outputs.argmax(axis=1) == rows.targets()).mean())


def fell(model: Any) -> bool:
    found = losses(model)
    part = len(found) // 4
    return float(np.mean(found[-part:])) < 0.95 * float(np.mean(found[:part]))


@pytest.mark.parametrize("method", sorted(RATES))
def test_every_way_of_learning_learns_and_moves_only_what_it_should(method: Any, folders: dict[str, Path]) -> None:
    rows = labelled_rows()
    config = recipe(
        folders["bert"],
        adapter=AdapterConfig(method=method, layers=1, rank=4, virtual_tokens=4, bottleneck_width=8),
        optimizer=OptimizerConfig(learning_rate=RATES[method], head_learning_rate=3e-2),
    )
    model = finetune(rows, None, config)
    assert fell(model)
    assert accuracy(model, rows) > 0.5  # a third of the rows each
    assert 0 < model.trainable < model.parameters
    plain = build_network(model.resolved, config, outputs=3).backbone.state_dict()
    trained: dict[str, torch.Tensor] = dict(model.network.backbone.state_dict())
    # Networks beside which the update stands keep the pretrained weights under longer names.
    found = {
        name: next(t for own, t in trained.items() if own.endswith(name) or own == _inside(name)) for name in plain
    }
    moved = {name for name, before in plain.items() if not torch.equal(before, found[name])}
    merged = method in ("lora", "adalora", "ia3")
    assert not any("embeddings" in name for name in moved)
    if method in FROZEN_BACKBONE and not merged:
        assert moved == set()
    elif method == "top-k":
        assert {name.split(".")[2] for name in moved} == {"1"}
    elif merged:
        assert moved
        assert all("LayerNorm" not in name for name in moved)
    else:
        assert {name.split(".")[2] for name in moved} == {"0", "1"}
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


def _inside(name: str) -> str:
    """Return where a weight of a wrapped linear map stands."""
    head, _, last = name.rpartition(".")
    return f"{head}.inner.{last}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_learns_labels(kind: str, folders: dict[str, Path]) -> None:
    rows = labelled_rows()
    model = finetune(rows, None, recipe(folders[kind], epochs=15))
    assert fell(model)
    assert accuracy(model, rows) > 0.7
    assert model.network.pooling == ("last" if kind in ("gpt2", "llama") else "mean")
    assert model.tokens == 15 * sum(d.tokens for d in encode(model.tokenizer, rows.texts, None).documents)


@pytest.mark.parametrize("kind", ["single-label", "multi-label", "ordinal", "regression"])
@pytest.mark.parametrize("pair", [False, True], ids=["alone", "pair"])
def test_every_kind_of_question_learns(kind: str, pair: bool, folders: dict[str, Path]) -> None:
    rows = labelled_rows(kind, pair=pair)
    model = finetune(rows, None, recipe(folders["roberta"], epochs=16))
    assert fell(model)
    contract = contract_of(kind)
    outputs = decode(contract, model.logits(rows.texts, rows.pairs), model.calibration)
    assert outputs.shape == ((48,) if kind == "regression" else (48, len(contract.names)))
    assert validation_score(contract, rows.targets(), outputs) > 0.65
    if kind == "regression":
        # Targets are 5, 10 and 15: learnt standardised, answered on their own scale.
        assert model.calibration.target_mean == pytest.approx(10.0)
        assert 3.0 < outputs.min() < 8.5
        assert 11.5 < outputs.max() < 17.0


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor"])
def test_every_update_rule_learns(name: Any, folders: dict[str, Path]) -> None:
    optimizer = OptimizerConfig(
        name=name, learning_rate=3e-2 if name == "sgd" else 3e-3, head_learning_rate=1e-3 if name == "sgd" else 3e-2
    )
    assert fell(finetune(labelled_rows(), None, recipe(folders["roberta"], optimizer=optimizer)))


@pytest.mark.parametrize("objective", [{"loss": "focal"}, {"label_smoothing": 0.1}, {"class_weights": "balanced"}])
def test_every_objective_learns(objective: dict[str, Any], folders: dict[str, Path]) -> None:
    assert fell(finetune(labelled_rows(), None, recipe(folders["roberta"], objective=ObjectiveConfig(**objective))))


def test_the_second_text_is_read(folders: dict[str, Path]) -> None:
    rows = labelled_rows(pair=True)
    model = finetune(rows, None, recipe(folders["bert"], epochs=1))
    one, other = (model.logits(rows.texts[:4], [name] * 4) for name in ("acme", "globex"))
    assert not np.allclose(one, other)


def test_one_seed_gives_one_model_and_another_seed_another(folders: dict[str, Path]) -> None:
    short = recipe(folders["bert"], epochs=2, encoder_dropout=0.1)
    first = finetune(labelled_rows(), None, short)
    assert same_weights(first, finetune(labelled_rows(), None, short))
    assert not same_weights(first, finetune(labelled_rows(), None, short.replace(seed=1)))


def test_being_watched_changes_nothing(folders: dict[str, Path]) -> None:
    short = recipe(folders["bert"], epochs=3, encoder_dropout=0.1)
    told: list[tuple[int, float]] = []
    watched = finetune(labelled_rows(), labelled_rows(seed=1), short, watch=lambda *now: told.append(now))
    assert same_weights(watched, finetune(labelled_rows(), labelled_rows(seed=1), short))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    outputs = decode(contract_of("single-label"), watched.logits(labelled_rows(seed=1).texts), watched.calibration)
    assert told[-1][1] == validation_score(contract_of("single-label"), labelled_rows(seed=1).targets(), outputs)


def test_progress_is_told_to_the_last_step(folders: dict[str, Path]) -> None:
    told: list[tuple[int, int]] = []
    finetune(labelled_rows(), None, recipe(folders["bert"], epochs=2), progress=lambda *now: told.append(now))
    assert told == [(step, 12) for step in range(1, 13)]


def test_order_and_company_do_not_change_an_answer(folders: dict[str, Path]) -> None:
    rows = labelled_rows()
    model = finetune(rows, None, recipe(folders["bert"], epochs=1))
    texts = [*rows.texts, "profit " * 100]
    together = model.logits(texts)
    alone = np.concatenate([model.logits([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(model.logits(texts[::-1])[::-1] - together).max() < 1e-5
    data = encode(model.tokenizer, texts, None)
    assert np.abs(predict_logits(model.network, data, token_budget=64) - together).max() < 1e-5


def test_smaller_batches_added_up_are_the_big_batch(folders: dict[str, Path]) -> None:
    """Each document's loss counts alike, however the step is cut: the last step of an epoch is a short one."""
    rows = labelled_rows(n=40)
    big = recipe(folders["bert"], epochs=2, batch_size=16, head_dropout=0.0)
    tokens = sum(d.tokens for d in encode(finetune(rows, None, big).tokenizer, rows.texts, None).documents) / 40
    cut = finetune(rows, None, big.replace(micro_batch_tokens=max(16, int(8.5 * tokens))))
    whole = finetune(rows, None, big)
    assert [entry["step"] for entry in cut.history] == [entry["step"] for entry in whole.history]
    first = [model.history[0]["grad_norm"] for model in (cut, whole)]
    assert first[0] == pytest.approx(first[1], rel=0.3)


def test_a_cut_step_moves_the_weights_as_a_whole_one(folders: dict[str, Path]) -> None:
    """One step over all rows, in one batch and in four: the same weights, within the rounding of sums."""
    rows = labelled_rows(n=32)
    one = recipe(
        folders["bert"], epochs=1, batch_size=32, head_dropout=0.0,
        optimizer=OptimizerConfig(name="sgd", learning_rate=0.1, head_learning_rate=1e-3, warmup_share=0.0,
                                  schedule="constant"),
    )  # fmt: skip
    whole, cut = finetune(rows, None, one), finetune(rows, None, one.replace(micro_batch_tokens=64))
    mine, theirs = whole.network.state_dict(), cut.network.state_dict()
    before = build_network(whole.resolved, one, outputs=3).backbone.state_dict()
    moved = max(float((before[n] - mine[f"backbone.{n}"]).abs().max()) for n in before)
    assert moved > 1e-4
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-6


@pytest.mark.parametrize("precision", ["bfloat16", "autocast"])
def test_cheaper_arithmetic_learns_about_the_same(precision: Any, folders: dict[str, Path]) -> None:
    rows = labelled_rows()
    exact = finetune(rows, None, recipe(folders["roberta"]))
    rough = finetune(rows, None, recipe(folders["roberta"], precision=precision))
    assert {parameter.dtype for parameter in rough.network.parameters()} == {torch.float32}
    assert np.abs(np.asarray(losses(rough)) - np.asarray(losses(exact))).mean() < 0.1
    assert accuracy(rough, rows) == pytest.approx(accuracy(exact, rows), abs=0.15)


def test_early_stopping_keeps_the_best_epoch(folders: dict[str, Path]) -> None:
    rows, held_out = labelled_rows(), labelled_rows(seed=1)
    told: list[float] = []
    config = recipe(folders["roberta"], epochs=20, early_stopping_patience=2)
    model = finetune(rows, held_out, config, watch=lambda _, score: told.append(score))
    assert len(told) < 20
    best = int(np.argmax(told))
    assert len(told) == best + 3
    outputs = decode(contract_of("single-label"), model.logits(held_out.texts), model.calibration)
    assert validation_score(contract_of("single-label"), held_out.targets(), outputs) == pytest.approx(told[best])


def test_what_does_not_fit_is_refused(folders: dict[str, Path]) -> None:
    rows = labelled_rows()
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"early_stopping_patience": 1}, {}, "`early_stopping_patience` needs an inner validation part; got none."),
        ({}, {"watch": print}, "`watch` needs an inner validation part; got none."),
        ({"objective": ObjectiveConfig(loss="mse")}, {},
         "`objective.loss` must fit the task: Loss 'mse' does not fit a single-label contract."),
        ({"max_length": POSITIONS + 1}, {},
         f"`max_length` must be at most the 48 positions of {str(folders['bert'])!r}; got 49. Longer documents are "
         "chunked, not cut."),
        ({"max_length": POSITIONS, "adapter": AdapterConfig(method="prompt", virtual_tokens=4)}, {},
         f"`max_length` must be at most the 48 positions of {str(folders['bert'])!r}; got 48 and 4 learnt tokens. "
         "Longer documents are chunked, not cut."),
    ]  # fmt: skip
    for changes, given, message in cases:
        with pytest.raises(ConfigError) as caught:
            finetune(rows, None, recipe(folders["bert"], **changes), **given)
        assert str(caught.value) == message


def test_learnt_tokens_and_the_longest_chunk_fit_together(folders: dict[str, Path]) -> None:
    rows = labelled_rows(n=8, words=60)
    for method in ("prompt", "prefix"):
        adapter = AdapterConfig(method=method, virtual_tokens=4)  # type: ignore[arg-type]
        model = finetune(rows, None, recipe(folders["bert"], max_length=POSITIONS - 4, adapter=adapter, epochs=1))
        assert np.isfinite(model.logits(rows.texts)).all()


def test_curves_are_written_where_they_were_asked_for(folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="this tracker is a library of the extra train")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = finetune(
        labelled_rows(), None, recipe(folders["bert"], epochs=2, trackers=("tensorboard",)), work_dir=tmp_path / "run"
    )
    (file,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    written = [point.value for point in events.Scalars("train/loss")]
    assert written == pytest.approx(losses(model), abs=1e-3)
