"""``pretrain`` end to end: a file of text in, a backbone out that fine-tunes like any other."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

import transformers as hf  # noqa: E402  the check for torch stands above
from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402  likewise

from tapereader.core.errors import ConfigError, LookAheadError  # noqa: E402  likewise
from tapereader.governance import RunManifest  # noqa: E402  likewise
from tapereader.models.backbones import Backbone, resolve_backbone, write_backbone_card  # noqa: E402  likewise
from tapereader.recipes.pretrain import PretrainResult, build_config, pretrain  # noqa: E402  likewise
from tapereader.sources import load_dataset  # noqa: E402  likewise
from tapereader.training.trainer import FinetuneConfig, finetune  # noqa: E402  likewise

NAMES = ("acme", "globex", "initech", "umbrella", "hooli")
THINGS = ("profit", "revenue", "margin", "income", "cash", "output")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [f"{name} said {thing} rose on {day} ." for name in NAMES for thing in THINGS for day in DAYS]


def write_parent(folder: Path, texts: list[str], *, decoder: bool, cutoff: date | None) -> Path:
    """A small random network whose vocabulary is the words of the texts, with a card."""
    torch.manual_seed(0)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text)})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    if decoder:
        config = hf.GPT2Config(vocab_size=len(vocabulary), n_embd=32, n_layer=2, n_head=2, n_positions=64,
                               bos_token_id=3, eos_token_id=3)  # fmt: skip
        hf.GPT2LMHeadModel(config).save_pretrained(folder)
    else:
        config = hf.BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                               intermediate_size=64, max_position_embeddings=64)  # fmt: skip
        hf.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))  # noqa: S106  a mark, no secret
    tokenizer.pre_tokenizer = splitter
    if not decoder:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    card = Backbone(
        name="parent", title="A parent", kind="decoder" if decoder else "encoder", parameters=1, languages=("en",),
        licence="MIT", pretraining_cutoff=cutoff, cutoff_note="made up",
    )  # fmt: skip
    write_backbone_card(folder, card)
    return folder


def write_news(path: Path, texts: list[str]) -> Path:
    day = datetime(2020, 1, 1)  # noqa: DTZ001  the zone is written below
    rows = [{"text": t, "time": f"{(day + timedelta(days=n)).isoformat()}Z"} for n, t in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ask(parent: Path, news: Path, **corpus: Any) -> Any:
    asked = {"sources": [str(news)], "time": "time", "near_duplicates": 1.0, "held_out_share": 0.1} | corpus
    recipe = {"backbone": str(parent), "epochs": 3, "batch_size": 8, "max_length": 48, "threads": 1, "seed": 2,
              "precision": "float32", "learning_rate": 0.003}  # fmt: skip
    return build_config(None, values={"corpus": asked, **recipe})


@pytest.fixture(scope="module", params=["encoder"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Any:
    """One finished run: its folder and its result."""
    return run(tmp_path_factory.mktemp("whole"), texts, decoder=request.param == "decoder")


def run(folder: Path, texts: list[str], *, decoder: bool) -> tuple[Path, PretrainResult]:
    parent = write_parent(folder / "parent", texts, decoder=decoder, cutoff=date(2019, 6, 1))
    return folder, pretrain(ask(parent, write_news(folder / "news.jsonl", texts)), folder / "adapted")


@pytest.mark.parametrize("whole", ["encoder", "decoder"], indirect=True)
def test_the_result_is_a_backbone_that_fine_tunes(whole: tuple[Path, PretrainResult]) -> None:
    folder, result = whole
    assert result.held_out["loss_after"] < result.held_out["loss_before"] - 0.3
    found = resolve_backbone(folder / "adapted")
    assert found == result.backbone
    assert found.sha256 != resolve_backbone(folder / "parent").sha256
    assert found.backbone.kind == resolve_backbone(folder / "parent").backbone.kind
    assert (found.backbone.licence, found.backbone.languages) == ("MIT", ("en",))
    assert found.backbone.pretraining_cutoff == date(2020, 5, 29)  # the 150th day of 2020
    assert found.backbone.cutoff_note == "made up; then adapted on news.jsonl, known up to 2020-05-29"
    train = load_dataset("synthetic-sentiment").take(list(range(40)))
    recipe = FinetuneConfig(backbone=str(folder / "adapted"), epochs=1, max_length=48, threads=1, precision="float32")
    model = finetune(train, None, recipe)
    assert model.logits(train.texts[:3]).shape == (3, 3)
    learnt = dict(hf.AutoModel.from_pretrained(folder / "adapted").named_parameters())
    start = dict(hf.AutoModel.from_pretrained(folder / "parent").named_parameters())
    assert any(not torch.equal(learnt[name], start[name]) for name in start)


def test_the_manifest_says_what_was_read_and_how_it_fared(whole: tuple[Path, PretrainResult], texts: list[str]) -> None:
    folder, result = whole
    stated = json.loads((folder / "adapted" / "manifest.json").read_text(encoding="utf-8"))
    assert RunManifest.from_dict(stated["manifest"]).to_dict() == result.manifest.to_dict()
    manifest = stated["manifest"]
    assert manifest["kind"] == "pretrain"
    assert list(manifest["data_ids"]) == ["news.jsonl"]
    assert manifest["config"]["corpus"]["sources"] == ["news.jsonl"]
    assert [(p["name"], p["cutoff"]) for p in manifest["parents"]] == [("parent", "2019-06-01")]
    assert [(one["of"], one["name"]) for one in manifest["licences"]] == [
        ("news.jsonl", "not stated"),
        ("parent", "MIT"),
    ]
    assert stated["corpus"] == json.loads(json.dumps(result.corpus))
    assert (stated["corpus"]["first_known_at"], stated["corpus"]["last_known_at"]) == (
        "2020-01-01T00:00:00+00:00",
        "2020-05-29T00:00:00+00:00",
    )
    counts = stated["corpus"]["documents"]
    assert counts["train"] + counts["held_out"] + counts["duplicates"] == len(texts)
    assert stated["held_out"]["loss_after"] == result.held_out["loss_after"]
    assert stated["held_out"]["fresh_head"] is True
    assert str(folder) not in (folder / "adapted" / "manifest.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["adapted", "news.jsonl", "parent"]  # no draft, no run


def test_terms_that_forbid_commercial_use_bind_every_model_made_from_the_text(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text for non-commercial use, then a backbone, then a second one on free text, then a bundle on free rows."""
    pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
    from tapereader.recipes.train import train
    from tapereader.recipes.train_config import TrainConfig
    from tapereader.sources import Licence
    from tapereader.training.pretraining import corpus as reading

    opened = reading._open
    terms = Licence(name="Terms of Example News", commercial_use=False, source="Example News (2020)")

    def bound(name: str, config: Any, root: Any) -> Any:
        facts, frames = opened(name, config, root)
        return (reading._Facts(facts.name, terms), frames) if "news" in name else (facts, frames)

    monkeypatch.setattr(reading, "_open", bound)
    parent = write_parent(tmp_path / "parent", texts, decoder=False, cutoff=None)
    news, free = write_news(tmp_path / "news.jsonl", texts), write_news(tmp_path / "free.jsonl", texts)
    first = pretrain(ask(parent, news).replace(steps=2), tmp_path / "first")
    assert first.manifest.non_commercial
    second = pretrain(ask(tmp_path / "first", free).replace(steps=2), tmp_path / "second")
    assert second.manifest.non_commercial
    config = TrainConfig.from_mapping({
        "dataset": "synthetic-sentiment", "split": {"validation": 0.05, "test": 0.05},
        "finetune": {"backbone": str(tmp_path / "second"), "epochs": 1, "max_length": 16, "threads": 1,
                     "precision": "float32", "batch_size": 256},
        "judging": {"baselines": ["majority"], "before": False},
    })  # fmt: skip
    made = train(config, tmp_path / "bundle").bundle
    assert made.manifest["non_commercial"]
    found = {(item["of"], item["commercial_use"]) for item in made.manifest["licences"]}
    assert {("news.jsonl", False), ("free.jsonl", None), ("parent", True), ("second", False)} <= found
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert "> **NON-COMMERCIAL USE ONLY.**" in card
    assert "news.jsonl (Terms of Example News)" in card
    assert "- Licence of parent: MIT, commercial use allowed; A parent" in card
    lines = (made.path / "licences.txt").read_text(encoding="utf-8").splitlines()
    assert "news.jsonl: Terms of Example News; commercial use FORBIDDEN" in lines
    assert "parent: MIT; commercial use allowed" in lines
    # What is made from the network inside the bundle is bound as well.
    from tapereader.recipes.terms import backbone_terms

    inside = {(item["of"], item["commercial_use"]) for item in backbone_terms(resolve_backbone(made.path / "model"))}
    assert {("news.jsonl", False), ("model", False)} <= inside


def test_terms_that_cannot_be_read_do_not_pass_for_none(whole: tuple[Path, PretrainResult], tmp_path: Path) -> None:
    import shutil

    from tapereader.core.errors import BundleError
    from tapereader.recipes.terms import backbone_terms

    shutil.copytree(whole[0] / "adapted", tmp_path / "adapted")
    (tmp_path / "adapted" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match="must hold the terms of what the backbone was made from; it is damaged"):
        backbone_terms(resolve_backbone(tmp_path / "adapted"))


def test_a_permissive_backbone_is_described_as_one() -> None:
    from tapereader.models.backbones import ResolvedBackbone, find_backbone
    from tapereader.recipes.terms import backbone_terms

    minilm = ResolvedBackbone(backbone=find_backbone("minilm"), folder=Path("nowhere"), sha256="0" * 64)
    (terms,) = backbone_terms(minilm)
    assert (terms["of"], terms["name"], terms["commercial_use"]) == ("minilm", "Apache-2.0", True)


def test_a_killed_run_goes_on_in_its_folder(whole: tuple[Path, PretrainResult], tmp_path: Path) -> None:
    config = ask(whole[0] / "parent", whole[0] / "news.jsonl")

    def kill(what: str, done: int, of: int) -> None:
        if what == "Pretraining" and of and done > of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(config, tmp_path / "again", report=kill)
    assert (tmp_path / ".again.run" / "run.json").is_file()
    assert not (tmp_path / "again").exists()
    first: list[int] = []
    resumed = pretrain(config, tmp_path / "again", report=lambda _, done, of: first.append(done) if of else None)
    assert first[0] > 10
    assert resumed.held_out["loss_after"] == whole[1].held_out["loss_after"]
    assert resumed.backbone.sha256 == whole[1].backbone.sha256
    assert not (tmp_path / ".again.run").exists()


def test_a_refused_run_leaves_no_folder_behind(
    whole: tuple[Path, PretrainResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConfigError("`steps` must fit.")

    monkeypatch.setattr("tapereader.recipes.pretrain.adapt_backbone", refuse)
    with pytest.raises(ConfigError):
        pretrain(ask(whole[0] / "parent", whole[0] / "news.jsonl"), tmp_path / "new" / "again")
    assert not list(tmp_path.iterdir())


def test_another_corpus_does_not_go_on_from_a_killed_run(tmp_path: Path, texts: list[str]) -> None:
    parent = write_parent(tmp_path / "parent", texts, decoder=False, cutoff=None)

    def kill(what: str, done: int, of: int) -> None:
        if what == "Pretraining" and of and done > of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(ask(parent, write_news(tmp_path / "news.jsonl", texts)), tmp_path / "out", report=kill)
    write_news(tmp_path / "news.jsonl", texts[:100])
    first: list[int] = []
    pretrain(
        ask(parent, tmp_path / "news.jsonl"),
        tmp_path / "out",
        report=lambda _, done, of: first.append(done) if of else None,
    )
    assert first[0] == 1


def test_until_warns_of_what_the_parent_has_read(tmp_path: Path, texts: list[str]) -> None:
    news = write_news(tmp_path / "news.jsonl", texts)
    late = write_parent(tmp_path / "late", texts, decoder=False, cutoff=date(2020, 4, 1))
    config = ask(late, news, until="2020-03-01").replace(steps=2)
    result = pretrain(config, tmp_path / "a")
    assert result.corpus["last_known_at"] < "2020-03-01"
    assert result.corpus["documents"]["later"] == len(texts) - 60
    assert result.backbone.backbone.pretraining_cutoff == date(2020, 4, 1)
    assert result.warnings[0] == (
        f"The text ends before 2020-03-01, but {str(late)!r} may have read text up to 2020-04-01: so has the result."
    )
    early = write_parent(tmp_path / "early", texts, decoder=False, cutoff=date(2019, 1, 1))
    clean = pretrain(ask(early, news, until="2020-03-01").replace(steps=2), tmp_path / "b")
    assert not any("may have read" in line for line in clean.warnings)
    assert clean.backbone.backbone.pretraining_cutoff == date(2020, 2, 29)
    undated = ask(early, news, until="2020-03-01", time=None)
    with pytest.raises(LookAheadError):
        pretrain(undated, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_undated_text_leaves_the_cut_off_unknown(tmp_path: Path, texts: list[str]) -> None:
    parent = write_parent(tmp_path / "parent", texts, decoder=False, cutoff=date(2019, 1, 1))
    news = write_news(tmp_path / "news.jsonl", texts)
    result = pretrain(ask(parent, news, time=None).replace(steps=2), tmp_path / "out")
    assert resolve_backbone(tmp_path / "out").backbone.pretraining_cutoff is None
    n = result.corpus["documents"]["undated"]
    assert f"{n} texts have no date: the cut-off of the result is unknown." in result.warnings


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        pretrain(build_config(None, values={"corpus": {"sources": ["synthetic-sentiment"]}}), tmp_path / "out")
    assert str(caught.value) == f"`out` must not exist yet; got {str(tmp_path / 'out')!r}. Give another name."
    assert (tmp_path / "out" / "mine").read_text(encoding="utf-8") == "kept"


def test_a_config_is_put_together_from_file_options_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("corpus:\n  sources: [a.txt]\n  max_documents: 5\nepochs: 2\n", encoding="utf-8")
    values = {"corpus": {"until": "2020-01-01", "max_documents": None}, "epochs": None}
    config = build_config(file, values=values, overrides=("mask_share=0.3",))
    assert (config.corpus.until, config.corpus.max_documents, config.epochs) == (date(2020, 1, 1), 5, 2)
    assert config.mask_share == 0.3
    with pytest.raises(ConfigError, match=r"PretrainConfig has 1 problem:\n  corpus: must be given"):
        build_config(None, values={})
