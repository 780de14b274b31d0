"""Fixtures shared by all tests: the data folder, and a small genuine bundle made without a deep-learning library."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tapereader.bundle import (
    Bundle,
    Calibration,
    ContractFacts,
    LabelContract,
    SanitySentence,
    output_width,
    write_bundle,
)
from tapereader.bundle.folder import INT8, ONNX

# fmt: off
WORDS = [
    "profit", "loss", "rose", "fell", "sales", "shares", "debt", "record", "warning", "strong", "weak", "flat", "the",
    "of", "in", "a", "company", "year", "quarter", "net", "operating", "dividend", "merger", "default", "fraud", "up",
    "down", "acme", "globex", "营", "业", "利", "润", "增", "长", "下", "降",
]
# fmt: on
TEXTS = ("profit rose strong", "loss fell weak warning", "sales flat in the quarter")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data sets, or a skip."""
    value = os.environ.get("TAPEREADER_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("TAPEREADER_DATA names no folder, and this test reads real data")
    return Path(value)


@pytest.fixture(scope="session")
def fill_bundle() -> Callable[..., Callable[[Path], None]]:
    """Return ``fill(contract, ...)``: a function that writes a small genuine network and its tokenizer into a folder.

    The network is a bag of word vectors: embedding (V, D), mean over real tokens, one linear layer. Its weights are
    drawn from ``seed``.
    """
    pytest.importorskip("onnx", reason="the package onnx builds the network of this test")
    return _fill


@pytest.fixture(scope="session")
def make_bundle(fill_bundle: Callable[..., Callable[[Path], None]]) -> Callable[..., Bundle]:
    """Return ``make(out, ...)``: write a complete bundle, with sanity sentences answered by numpy and not by ONNX."""

    def make(
        out: Path,
        *,
        kind: str = "single-label",
        names: tuple[str, ...] = ("negative", "neutral", "positive"),
        has_pair: bool = False,
        max_length: int = 16,
        calibration: Calibration | None = None,
        seed: int = 0,
        sanity: bool = True,
        replace: bool = False,
        int8: bool = False,
        check: Callable[[Bundle], object] | None = None,
    ) -> Bundle:
        contract = LabelContract(kind=kind, names=names)
        fill = fill_bundle(contract, seed=seed)

        def fill_both(folder: Path) -> None:
            """Put the network in the place of the one in eight bits too: what is tested is who reads which file."""
            fill(folder)
            shutil.copyfile(folder / ONNX, folder / INT8)

        calibration = calibration or Calibration(temperature=1.5, coverage=0.9, conformal_quantile=0.7, n=200)
        facts = ContractFacts(
            contract=contract,
            task="sentiment",
            language="en",
            has_pair=has_pair,
            max_length=max_length,
            sanity=_sanity(contract, calibration, has_pair, seed) if sanity else (),
        )
        return write_bundle(
            out,
            contract_facts=facts,
            calibration=calibration,
            manifest={"kind": "finetune", "seed": seed},
            fill=fill_both if int8 else fill,
            replace=replace,
            check=check,
        )

    return make


@pytest.fixture
def tiny_bundle(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """A fresh three-label sentiment bundle on disk."""
    return make_bundle(tmp_path / "tiny").path


def _weights(contract: LabelContract, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(WORDS) + 4, 8)).astype(np.float32)
    head = random.normal(size=(output_width(contract), 8)).astype(np.float32)
    return vectors, head, random.normal(size=output_width(contract)).astype(np.float32)


def _sanity(contract: LabelContract, calibration: Calibration, has_pair: bool, seed: int) -> tuple[SanitySentence, ...]:
    from tapereader.bundle import decode

    vectors, head, bias = _weights(contract, seed)
    found = []
    for text in TEXTS:
        # [CLS]=2 text [SEP]=3 (pair [SEP]), as the tokenizer below builds it
        words = [*text.split(), *(["[SEP]", "acme"] if has_pair else [])]
        ids = [2, *(3 if word == "[SEP]" else WORDS.index(word) + 4 for word in words), 3]
        logits = head @ vectors[ids].mean(axis=0) + bias
        outputs = np.atleast_1d(decode(contract, logits[None], calibration)[0])
        found.append(SanitySentence(text=text, pair="acme" if has_pair else None, outputs=tuple(map(float, outputs))))
    return tuple(found)


def _fill(contract: LabelContract, *, seed: int = 0, width: int | None = None) -> Callable[[Path], None]:
    def fill(root: Path) -> None:
        (root / "model").mkdir()
        (root / "onnx").mkdir()
        vectors, head, bias = _weights(contract, seed)
        _write_onnx(root / "onnx" / "model.onnx", vectors, head[:width], bias[:width])
        _write_tokenizer(root / "model" / "tokenizer.json", WORDS)
        config = {
            "model_type": "bert",
            "pad_token_id": 0,
            "id2label": {str(i): n for i, n in enumerate(contract.names)},
        }
        (root / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (root / "README.md").write_text("# A small model\n", encoding="utf-8")

    return fill


def _write_tokenizer(path: Path, words: list[str]) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 (a token of a vocabulary)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path))


def _write_onnx(path: Path, vectors: np.ndarray, head: np.ndarray, bias: np.ndarray) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    whole, real = TensorProto.INT64, TensorProto.FLOAT
    constants = {"vectors": vectors, "head": head.T.copy(), "bias": bias, "last": np.array([-1]), "one": np.array([1])}
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Gather", ["vectors", "input_ids"], ["tokens"]),
            node("Cast", ["attention_mask"], ["real_mask"], to=real),
            node("Unsqueeze", ["real_mask", "last"], ["column_mask"]),
            node("Mul", ["tokens", "column_mask"], ["kept"]),
            node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
            node("ReduceSum", ["real_mask", "one"], ["count"], keepdims=1),
            node("Div", ["sum", "count"], ["embedding"]),
            node("MatMul", ["embedding", "head"], ["product"]),
            node("Add", ["product", "bias"], ["logits"]),
        ],
        "bag_of_vectors",
        [helper.make_tensor_value_info(name, whole, ["B", "L"]) for name in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info("logits", real, ["B", len(bias)]),
            helper.make_tensor_value_info("embedding", real, ["B", vectors.shape[1]]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
