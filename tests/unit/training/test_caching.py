"""Frozen lower layers run once give the training that running them every time gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="caching needs the extra train")

import torch
import transformers
from tests.tiny_models import POSITIONS, VOCABULARY, labelled_rows, recipe, same_weights, write_model

from tapereader.core.errors import ConfigError
from tapereader.models.adapters import AdapterConfig
from tapereader.models.network import quiet
from tapereader.training import caching
from tapereader.training.batches import Collator, encode
from tapereader.training.caching import cache_lower_layers, can_cache
from tapereader.training.optimization import OptimizerConfig
from tapereader.training.trainer import build_network, finetune


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind, layers=3) for kind in ("bert", "roberta", "gpt2")}


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("adapter", [{"method": "head"}, {"method": "top-k", "layers": 1}], ids=["head", "top"])
@pytest.mark.parametrize("words", [5, 50], ids=["short", "chunked"])
def test_training_is_the_same_with_and_without_the_cache(
    kind: str, adapter: dict[str, Any], words: int, folders: dict[str, Path]
) -> None:
    rows = labelled_rows(n=24, words=words)
    config = recipe(folders[kind], epochs=3, adapter=AdapterConfig(**adapter))
    cached, plain = (finetune(rows, None, config.replace(cache_lower_layers=use)) for use in (True, False))
    mine, theirs = cached.network.state_dict(), plain.network.state_dict()
    assert mine.keys() == theirs.keys()
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-5
    assert abs(cached.logits(rows.texts) - plain.logits(rows.texts)).max() < 1e-5


def test_early_stopping_judges_the_held_out_rows_through_the_cache_too(folders: dict[str, Path]) -> None:
    rows, held_out = labelled_rows(n=24), labelled_rows(n=12, seed=1)
    config = recipe(
        folders["bert"], epochs=4, adapter=AdapterConfig(method="top-k", layers=1), early_stopping_patience=4
    )
    told: dict[bool, list[float]] = {True: [], False: []}
    for use in (True, False):
        finetune(
            rows,
            held_out,
            config.replace(cache_lower_layers=use),
            watch=lambda _, score, use=use: told[use].append(score),
        )
    assert told[True] == pytest.approx(told[False])


def test_the_network_is_whole_again_afterwards(folders: dict[str, Path]) -> None:
    rows = labelled_rows(n=12)
    model = finetune(rows, None, recipe(folders["bert"], epochs=1, adapter=AdapterConfig(method="head")))
    untouched = build_network(model.resolved, model.config, outputs=3)
    network = untouched.eval()
    data = encode(model.tokenizer, rows.texts, None)
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)
    batch = collator(data.documents)
    with torch.no_grad():
        before = network(**batch)["logits"]
        restore = cache_lower_layers(network, [data], top=1, collator=collator)
        assert len(network.backbone.encoder.layer) == 1
        cached = network(**collator(data.documents))["logits"]
        restore()
        after = network(**batch)["logits"]
    assert torch.equal(before, after)
    assert torch.allclose(before, cached, atol=1e-6)
    assert data[0].hidden is not None
    assert data[0].hidden[0].shape == (data[0].tokens, 32)


def test_only_a_plain_stack_is_cut(folders: dict[str, Path]) -> None:
    rows = labelled_rows(n=12)
    config = recipe(folders["gpt2"], epochs=1, adapter=AdapterConfig(method="top-k", layers=1))
    model = finetune(rows, None, config)
    assert not can_cache(model.network)
    assert model.logits(rows.texts).shape == (12, 3)


@pytest.mark.parametrize("adapter", [{"method": "head"}, {"method": "top-k", "layers": 1}], ids=["head", "top"])
def test_rates_that_fall_with_depth_go_with_the_cache(adapter: dict[str, Any], folders: dict[str, Path]) -> None:
    changes = {"optimizer": OptimizerConfig(learning_rate=3e-3, head_learning_rate=3e-2, layer_decay=0.8)}
    config = recipe(folders["bert"], epochs=2, adapter=AdapterConfig.model_validate(adapter), **changes)
    rows = labelled_rows(n=24)
    cached = finetune(rows, None, config)
    plain = finetune(rows, None, config.replace(cache_lower_layers=False))
    assert np.abs(cached.logits(rows.texts) - plain.logits(rows.texts)).max() < 1e-4


def write_encoder(folder: Path, kind: str, **changes: Any) -> Path:
    """Write three layers of an encoder that transformers names ``kind``, with the tokenizer of the tiny BERT."""
    write_model(folder)
    settings = {
        "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": POSITIONS + 2, "pad_token_id": 0,
    }  # fmt: skip
    config = transformers.AutoConfig.for_model(kind, **(settings | changes))
    torch.manual_seed(0)
    with quiet():
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert", {}), ("camembert", {}), ("electra", {"embedding_size": 32}), ("ernie", {}), ("mpnet", {}),
        ("roberta", {}), ("xlm-roberta", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_every_kind_that_is_cut_trains_the_same_network(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    rows = labelled_rows(n=24)
    folder = write_encoder(tmp_path / kind, kind, **changes)
    config = recipe(folder, epochs=2, adapter=AdapterConfig(method="top-k", layers=1))
    cached, plain = (finetune(rows, None, config.replace(cache_lower_layers=use)) for use in (True, False))
    assert can_cache(cached.network)
    assert abs(cached.logits(rows.texts) - plain.logits(rows.texts)).max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("modernbert", {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}),
        ("xlm-roberta-xl", {}),
        ("electra", {"embedding_size": 16}),
        ("albert", {"embedding_size": 16}),
        ("distilbert", {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_network_with_more_than_a_stack_runs_whole(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """What is trained is what is shipped, whether a cache is asked for or not."""
    rows = labelled_rows(n=24)
    config = recipe(write_encoder(tmp_path / kind, kind, **changes), epochs=2, adapter=AdapterConfig(method="head"))
    asked, plain = (finetune(rows, None, config.replace(cache_lower_layers=use)) for use in (True, False))
    assert not can_cache(asked.network)
    assert same_weights(asked, plain)


def test_states_that_would_fill_the_memory_are_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "LARGEST_CACHE_GIB", 1e-5)
    rows = labelled_rows(n=24)
    config = recipe(folders["bert"], epochs=1, adapter=AdapterConfig(method="head"))
    with pytest.raises(ConfigError) as caught:
        finetune(rows, None, config)
    tokens = sum(document.tokens for document in encode_with(config, rows))
    assert str(caught.value) == (
        f"Cached lower layers must fit in 1e-05 GiB; these {tokens} tokens need 0.0. Set `cache_lower_layers: false`."
    )


def encode_with(config: Any, rows: Any) -> list[Any]:
    from tapereader.bundle import ChunkingTokenizer

    tokenizer = ChunkingTokenizer(Path(config.backbone) / "tokenizer.json", max_length=config.max_length)
    return encode(tokenizer, rows.texts, None).documents
