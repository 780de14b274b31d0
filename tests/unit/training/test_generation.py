"""Answering in words: what is asked, what is learnt, and what counts as an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("peft", reason="learning needs the extra train")

import torch
from tests.tiny_models import labelled_rows, recipe, write_model
from transformers import AutoTokenizer

from tapereader.bundle import LabelContract
from tapereader.bundle.contract import UNPARSED
from tapereader.core.errors import ConfigError
from tapereader.models.adapters import AdapterConfig
from tapereader.sources import LabelledText
from tapereader.training.generation import (
    GeneratingModel,
    finetune_generating,
    instruction,
    open_generating,
    parse_answer,
    prompt_ids,
)
from tapereader.training.optimization import OptimizerConfig

TWO = LabelContract(kind="generation", names=("bear", "bull"))
QUESTION = "which way ?"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind, seed=1) for kind in ("bert", "gpt2", "llama", "t5")}


def rows() -> LabelledText:
    """Rows with a good or a bad word, whose answers are words of the vocabulary."""
    from dataclasses import replace

    found = labelled_rows(n=48, words=3)
    found = found.take([n for n, label in enumerate(found.frame["label"]) if label != "neutral"])
    frame = found.frame.assign(label=["bull" if label == "positive" else "bear" for label in found.frame["label"]])
    contract = LabelContract(kind="single-label", names=("bear", "bull"))
    return LabelledText(replace(found.card, contract=contract), frame)


def teach(folder: Path, **changes: Any) -> GeneratingModel:
    settings = {"epochs": 8, "max_length": 40, "optimizer": OptimizerConfig(learning_rate=1e-2)} | changes
    return finetune_generating(rows(), recipe(folder, **settings), question=QUESTION)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_decoders_and_encoder_decoders_learn_to_answer(kind: str, folders: dict[str, Path]) -> None:
    model = teach(folders[kind])
    assert model.seq2seq == (kind == "t5")
    assert model.contract.kind == "generation"
    quarter = len(model.losses) // 4
    assert np.mean(model.losses[-quarter:]) < 0.5 * np.mean(model.losses[:quarter])
    answers = model.answer(rows().texts)
    # That an answer is one of two words was learnt, too: nothing else held it to them.
    assert set(answers) <= {"bear", "bull"}
    # One at a time and in any company the greedy answer is the same.
    assert [model.answer([text])[0] for text in rows().texts[:4]] == answers[:4]


def test_a_network_that_has_learnt_nothing_gives_no_answer(folders: dict[str, Path]) -> None:
    model = open_generating(folders["gpt2"], TWO, question=QUESTION, max_length=40)
    assert model.answer(["profit rose"]) == [UNPARSED]


@pytest.mark.parametrize(
    ("kind", "method", "precision"),
    [
        ("gpt2", "full", "bfloat16"),
        ("t5", "full", "float32"),
        ("t5", "full", "bfloat16"),
        ("llama", "lora", "bfloat16"),
    ],
)
def test_a_killed_run_goes_on_to_the_same_end(
    kind: str, method: Any, precision: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "epochs": 3, "max_length": 40, "optimizer": OptimizerConfig(learning_rate=1e-2), "precision": precision,
        "adapter": AdapterConfig(method=method), "checkpoints": 6,
    }  # fmt: skip
    config = recipe(folders[kind], **settings)
    whole = finetune_generating(rows(), config, question=QUESTION)

    def kill(step: int, of: int) -> None:
        if step > of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_generating(rows(), config, question=QUESTION, work_dir=tmp_path, progress=kill)
    assert list(tmp_path.glob("checkpoint-*"))
    steps: list[int] = []
    resumed = finetune_generating(
        rows(), config, question=QUESTION, work_dir=tmp_path, progress=lambda step, _: steps.append(step)
    )
    assert steps[0] > 1
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_saved_model_answers_as_before(folders: dict[str, Path], tmp_path: Path) -> None:
    model = teach(folders["gpt2"], epochs=2)
    model.save(tmp_path)
    again = open_generating(tmp_path, TWO, question=QUESTION, max_length=40)
    assert again.generate(rows().texts) == model.generate(rows().texts)


@pytest.mark.parametrize(("kind", "method"), [("gpt2", "lora"), ("gpt2", "top-k"), ("llama", "lora")])
def test_a_part_of_the_network_can_learn_to_answer(kind: str, method: Any, folders: dict[str, Path]) -> None:
    model = teach(folders[kind], adapter=AdapterConfig(method=method, layers=1, rank=4))
    assert np.mean(model.losses[-8:]) < np.mean(model.losses[:8])


def test_one_seed_gives_one_model(folders: dict[str, Path]) -> None:
    first, second = (teach(folders["llama"], epochs=1).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("bull", "bull"), (" Bull.", "bull"), ('"BEAR"', "bear"), ("bear\nText: more", "bear"), ("bull。", "bull"),
        ("not bull", UNPARSED), ("bull or bear", UNPARSED), ("bullish", UNPARSED), ("", UNPARSED), ("\n\n", UNPARSED),
        ("the answer is bull", UNPARSED),
    ],
)  # fmt: skip
def test_only_a_label_and_nothing_else_is_an_answer(said: str, label: str) -> None:
    assert parse_answer(TWO, said) == label


def test_labels_in_chinese_are_read() -> None:
    contract = LabelContract(kind="generation", names=("利好", "利空"))
    assert parse_answer(contract, "利好。") == "利好"
    assert parse_answer(contract, "不是利好") == UNPARSED


def test_a_long_text_gives_up_its_middle_and_never_the_question(folders: dict[str, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders["gpt2"])
    short = prompt_ids(tokenizer, TWO, QUESTION, "profit rose", 40)
    assert short == tokenizer(instruction(TWO, QUESTION, "profit rose"))["input_ids"]
    whole = tokenizer(instruction(TWO, QUESTION, "profit " * 100))["input_ids"]
    cut = prompt_ids(tokenizer, TWO, QUESTION, "profit " * 100, 40)
    assert len(cut) == 40
    assert cut == whole[:20] + whole[-20:]
    end = tokenizer("\nAnswer:", add_special_tokens=False)["input_ids"]
    assert cut[-len(end) :] == end


def test_what_cannot_generate_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        teach(folders["bert"])
    assert str(caught.value) == (
        f"Generation needs a decoder or an encoder-decoder; {str(folders['bert'])!r} is an encoder."
    )
    with pytest.raises(ConfigError) as caught:
        teach(folders["gpt2"], adapter=AdapterConfig(method="ia3"))
    assert str(caught.value) == "Generation learns by `full`, `lora` or `top-k`; got method 'ia3'."
