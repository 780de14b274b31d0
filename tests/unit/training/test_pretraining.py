"""Pretraining goes on: what text gets in, what is hidden of it, and whether a network learns to guess it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

import transformers as hf  # noqa: E402  the check for torch stands above
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402  likewise

from tapereader.core.errors import (  # noqa: E402  likewise
    BundleError,
    ConfigError,
    DataError,
    LookAheadError,
    UnknownNameError,
)
from tapereader.models.backbones import Backbone, resolve_backbone  # noqa: E402  likewise
from tapereader.training.pretraining import (  # noqa: E402  likewise
    Corpus,
    CorpusConfig,
    CorpusSource,
    PretrainConfig,
    adapt_backbone,
    adapted_card,
    build_corpus,
)
from tapereader.training.pretraining.chunks import IGNORED, ChunkedTexts, Collator  # noqa: E402  likewise
from tapereader.training.pretraining.objectives import ContrastiveNetwork, build_pretraining_network  # noqa: E402
from tapereader.training.pretraining.overlap import overlaps  # noqa: E402  likewise

NAMES = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "wonka")
UP = ("rose", "grew", "climbed", "jumped")
THINGS = ("profit", "revenue", "margin", "income", "cash", "output")
TIMES = ("monday", "tuesday", "wednesday", "thursday", "friday")
SENTENCES = [
    f"{name} said {thing} {verb} on {day} ." for name in NAMES for thing in THINGS for verb in UP for day in TIMES
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *NAMES, *UP, *THINGS, *TIMES, "said", "on", ".",
              "un", "##pre", "##dict", "##able", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]  # fmt: skip


def write_tokenizer(folder: Path, *, specials: bool) -> None:
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))  # noqa: S106  a mark, no secret
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if specials:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))


def write_encoder(folder: Path, *, head: bool = False) -> Path:
    torch.manual_seed(1)
    config = hf.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32, hidden_dropout_prob=0.2,
    )  # fmt: skip
    (hf.BertForMaskedLM(config) if head else hf.BertModel(config, add_pooling_layer=False)).save_pretrained(folder)
    write_tokenizer(folder, specials=True)
    return folder


def write_decoder(folder: Path) -> Path:
    torch.manual_seed(1)
    config = hf.GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=32, n_layer=2, n_head=2, n_positions=32, bos_token_id=3, eos_token_id=3
    )
    hf.GPT2LMHeadModel(config).save_pretrained(folder)
    write_tokenizer(folder, specials=False)
    return folder


def corpus_of(texts: list[str], held_out: int = 40) -> Corpus:
    from tapereader.sources import Licence

    source = CorpusSource(
        name="made-up", id="0" * 12, licence=Licence(name="CC0", commercial_use=True), rows=len(texts), used=len(texts)
    )
    order = np.random.default_rng(0).permutation(len(texts))
    dealt = [texts[n] for n in order]
    return Corpus(
        train=tuple(dealt[held_out:]), held_out=tuple(dealt[:held_out]), sources=(source,),
        first_known_at=datetime(2020, 1, 1, tzinfo=UTC), last_known_at=datetime(2024, 5, 6, 7, tzinfo=UTC),
        undated=0, empty=0, later=0, duplicates=0, beyond_limit=0, excluded_exact=0, excluded_near=0, near_held_out=0,
    )  # fmt: skip


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# The text ------------------------------------------------------------------------------------------------------------


def test_no_text_known_on_or_after_the_day_gets_in(tmp_path: Path) -> None:
    """A text dated by a day alone is known at the end of that day, so the eve itself is out too."""
    file = write_lines(
        tmp_path / "news.jsonl",
        [{"text": f"early {n} {SENTENCES[7 * n]}", "when": f"2019-0{1 + n % 9}-03T10:00:00Z"} for n in range(30)]
        + [{"text": f"late {n} {SENTENCES[7 * n]}", "when": f"202{n % 4}-01-01T00:00:00Z"} for n in range(30)]
        + [{"text": "on the eve", "when": "2019-12-31"}, {"text": "the day before the eve", "when": "2019-12-30"}]
        + [{"text": "one second before", "when": "2019-12-31T23:59:59Z"}],
    )
    asked = CorpusConfig(sources=(file,), time="when", until=date(2020, 1, 1), near_duplicates=1.0)
    corpus = build_corpus(asked, seed=0)
    everything = [*corpus.train, *corpus.held_out]
    assert not [text for text in everything if text.startswith("late")]
    assert {"the day before the eve", "one second before"} <= set(everything)
    assert "on the eve" not in everything
    assert (len(everything), corpus.later) == (32, 31)
    assert corpus.last_known_at == datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert corpus.undated == 0


def test_undated_text_is_refused_where_a_day_is_set(tmp_path: Path) -> None:
    rows = [{"text": text, "when": "2019-01-01T00:00:00Z"} for text in SENTENCES[:20]]
    rows[16]["when"] = None
    file = write_lines(tmp_path / "news.jsonl", rows)
    for time, row in (("when", 17), (None, 1)):
        with pytest.raises(LookAheadError) as caught:
            build_corpus(CorpusConfig(sources=(file,), time=time, until=date(2020, 1, 1)), seed=0)
        assert str(caught.value) == (
            f"Every text must have a time when `until` is set; got none in row {row} of 'news.jsonl'. "
            "Name the column of times with `time`, or leave the source or `until` out."
        )
    corpus = build_corpus(CorpusConfig(sources=(file,), time="when", near_duplicates=1.0), seed=0)
    assert (corpus.undated, len(corpus.train) + len(corpus.held_out)) == (1, 20)


def test_a_text_is_used_once_with_its_earliest_time(tmp_path: Path) -> None:
    rows = [{"text": text, "known_at": "2021-01-01T00:00:00Z"} for text in SENTENCES[::40]]
    rows += [{"text": rows[3]["text"].upper() + " ", "known_at": "2018-06-01T00:00:00Z"}, {"text": "  "}]
    file = write_lines(tmp_path / "news.jsonl", rows)
    corpus = build_corpus(CorpusConfig(sources=(file, file), time="known_at", near_duplicates=1.0), seed=0)
    assert len(corpus.train) + len(corpus.held_out) == len(SENTENCES[::40])
    assert (corpus.empty, corpus.duplicates) == (2, len(SENTENCES[::40]) + 2)
    assert corpus.first_known_at == datetime(2018, 6, 1, tzinfo=UTC)
    assert [source.used for source in corpus.sources] == [len(SENTENCES[::40]), 0]


def test_the_draw_depends_on_texts_and_seed_and_not_on_their_order(tmp_path: Path) -> None:
    rows = [{"text": text} for text in SENTENCES[:300]]
    files = [write_lines(tmp_path / f"{n}.jsonl", rows[:: 1 - 2 * n]) for n in range(2)]
    drawn = [
        build_corpus(CorpusConfig(sources=(file,), max_documents=50, near_duplicates=1.0), seed=seed)
        for file, seed in ((files[0], 3), (files[1], 3), (files[0], 4))
    ]
    assert (drawn[0].train, drawn[0].held_out) == (drawn[1].train, drawn[1].held_out)
    assert len(drawn[0].train) + len(drawn[0].held_out) == 50
    assert drawn[0].beyond_limit == 250
    assert drawn[0].id == drawn[1].id != drawn[2].id
    assert len(set(drawn[0].train) & set(drawn[2].train)) < 25


def test_copies_of_an_excluded_set_are_dropped_and_counted(tmp_path: Path) -> None:
    from tapereader.sources import load_dataset

    banned = load_dataset("synthetic-sentiment").texts
    long = max(banned, key=len)
    rows = [{"text": text} for text in SENTENCES[::40]]
    rows += [{"text": banned[0]}, {"text": banned[1].upper()}, {"text": f"Wire news today.\n{long}"}]
    file = write_lines(tmp_path / "news.jsonl", rows)
    asked = CorpusConfig(sources=(file,), exclude=("synthetic-sentiment",), near_duplicates=1.0)
    corpus = build_corpus(asked, seed=0)
    assert set(corpus.train) | set(corpus.held_out) == set(SENTENCES[::40])
    assert corpus.excluded_exact + corpus.excluded_near == 3
    assert corpus.excluded_exact >= 2
    itself = CorpusConfig(sources=("synthetic-sentiment",), exclude=("synthetic-sentiment",), max_documents=30)
    with pytest.raises(DataError) as caught:
        build_corpus(itself, seed=0)
    assert str(caught.value) == (
        "Pretraining must have at least 10 distinct texts; got 0 from synthetic-sentiment, after leaving out 0 blank, "
        "0 known too late and 30 like excluded ones."
    )


def test_near_copies_of_held_out_text_are_not_learnt_from(tmp_path: Path) -> None:
    """Texts in pairs that differ in their numbers alone: no pair may end up on both sides."""
    rows = [{"text": f"{SENTENCES[n * 9]} {SENTENCES[-n * 5 - 1]} by {n} %"} for n in range(60)]
    rows += [{"text": row["text"].replace(" %", "7.5 %")} for row in rows]
    asked = CorpusConfig(sources=(write_lines(tmp_path / "n.jsonl", rows),), held_out_share=0.2, near_duplicates=0.95)
    corpus = build_corpus(asked, seed=1)
    assert len(corpus.held_out) == 24
    assert corpus.near_held_out >= 10
    assert not overlaps(corpus.train, corpus.held_out, threshold=0.95, seed=5, sentences=False).any()


def test_sources_are_names_or_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="A source of text must be a name from `tapereader data list`, or a"):
        build_corpus(CorpusConfig(sources=("no-such-corpus",)), seed=0)
    file = write_lines(tmp_path / "n.jsonl", [{"text": text} for text in SENTENCES[:20]])
    with pytest.raises(ConfigError) as caught:
        build_corpus(CorpusConfig(sources=(file,), time="when"), seed=0)
    assert str(caught.value) == f"`time` must name a column of the file; got 'when', not in {file!r}."
    corpus = build_corpus(CorpusConfig(sources=("synthetic-sentiment",), max_documents=30), seed=0)
    assert corpus.sources[0].synthetic


@pytest.mark.parametrize("name", ["corpus-sp500-index-headlines"])
def test_a_named_corpus_ends_before_the_day(data_root: Path, name: str) -> None:
    asked = CorpusConfig(sources=(name,), until=date(2015, 6, 1), max_documents=400)
    corpus = build_corpus(asked, seed=0, root=data_root)
    assert corpus.last_known_at is not None
    assert corpus.last_known_at < datetime(2015, 6, 1, tzinfo=UTC)
    assert corpus.later > 1000


# What is hidden ------------------------------------------------------------------------------------------------------


def test_masks_hide_whole_words_and_about_the_asked_share(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, specials=True)
    texts = [f"{text} unpredictable {text}" for text in SENTENCES[:200]]
    data = ChunkedTexts(tmp_path / "tokenizer.json", texts, max_length=64, prefix="", end_id=None)
    collator = Collator("masked", pad_id=0, vocabulary=len(VOCABULARY), mask_id=4, mask_share=0.15, seed=0, order=None)
    batch = collator([data[n] for n in range(len(data))])
    guessed = batch["labels"] != IGNORED
    pieces = torch.tensor([VOCABULARY.index(piece) for piece in ("un", "##pre", "##dict", "##able")])
    rows = torch.tensor(data[0].ids.astype(np.int64))
    start = int((rows == pieces[0]).nonzero()[0])
    word = guessed[:, start : start + 4]
    assert bool((word.all(dim=1) | ~word.any(dim=1)).all())
    assert 10 < int(word.all(dim=1).sum()) < 60
    real = batch["attention_mask"].bool() & (batch["input_ids"] != 2)
    assert 0.13 < float(guessed.sum() / real.sum()) < 0.17
    assert not bool(guessed[:, 0].any())
    hidden = batch["input_ids"][guessed]
    assert 0.75 < float((hidden == 4).float().mean()) < 0.85
    assert 0.05 < float((hidden == batch["labels"][guessed]).float().mean()) < 0.16
    again = collator([data[5], data[3]])
    assert torch.equal(again["labels"][0][: len(data[5].ids)], batch["labels"][5][: len(data[5].ids)])


def test_a_long_document_is_read_whole_and_a_run_without_words_token_by_token(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, specials=True)
    text = " ".join(SENTENCES[:9])
    data = ChunkedTexts(
        tmp_path / "tokenizer.json", [text, "\u200b", "acme said"], max_length=16, prefix="", end_id=None
    )
    assert data.documents.tolist() == [0] * (len(data) - 1) + [2]
    words = [int(token) for n in range(len(data) - 1) for token in data[n].ids if token > 4]
    assert words == [VOCABULARY.index(word) for word in text.split()]
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("!", "removed")  # no word boundaries at all
    tokenizer.model = models.WordPiece({**{w: n for n, w in enumerate(VOCABULARY)}, "##a": 60, "##b": 61})
    tokenizer.save(str(tmp_path / "flat.json"))
    flat = ChunkedTexts(tmp_path / "flat.json", ["abababababab!abab"], max_length=32, prefix="", end_id=None)
    assert flat[0].words.tolist() == [-1, *range(1, 13), 13, 13, 13, 13, -1]


def test_decoders_learn_where_a_text_ends(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, specials=False)
    data = ChunkedTexts(tmp_path / "tokenizer.json", [" ".join(SENTENCES[:2])], max_length=8, prefix="", end_id=3)
    assert [int(data[n].ids[-1]) == 3 for n in range(len(data))] == [False, True]
    assert max(data.lengths) <= 8
    collator = Collator("causal", pad_id=0, vocabulary=9, mask_id=None, mask_share=0.15, seed=0, order=None)
    batch = collator([data[0], data[1]])
    assert int((batch["labels"] != IGNORED).sum()) == int(batch["attention_mask"].sum()) == data.tokens


# Networks ------------------------------------------------------------------------------------------------------------


SMALL = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 64, "max_position_embeddings": 40}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (hf.BertForMaskedLM, hf.BertConfig(**SMALL)),
        (hf.RobertaForMaskedLM, hf.RobertaConfig(**SMALL)),
        (hf.MPNetForMaskedLM, hf.MPNetConfig(**SMALL)),
        (
            hf.DistilBertForMaskedLM,
            hf.DistilBertConfig(vocab_size=len(VOCABULARY), dim=32, n_layers=2, n_heads=2, hidden_dim=64),
        ),
        (hf.ElectraForMaskedLM, hf.ElectraConfig(**SMALL, embedding_size=16)),
        (hf.AlbertForMaskedLM, hf.AlbertConfig(**SMALL, embedding_size=16)),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_the_masked_loss_is_that_of_the_library(tmp_path: Path, cls: Any, config: Any) -> None:
    """Running the head on masked places alone changes the cost, not the loss."""
    torch.manual_seed(1)
    cls(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, specials=True)
    network = build_pretraining_network(tmp_path, "masked", dropout=0.0, temperature=0.05).eval()
    assert network.fresh == frozenset()
    data = ChunkedTexts(tmp_path / "tokenizer.json", SENTENCES[:8], max_length=32, prefix="", end_id=None)
    collator = Collator("masked", pad_id=0, vocabulary=len(VOCABULARY), mask_id=4, mask_share=0.3, seed=0, order=None)
    batch = collator([data[n] for n in range(8)])
    theirs = cls.from_pretrained(tmp_path).eval()(**batch).loss
    torch.testing.assert_close(network(**batch)["loss"], theirs)


def test_chunks_of_one_document_are_no_negatives(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    network = build_pretraining_network(folder, "contrastive", dropout=0.0, temperature=0.05).eval()
    assert isinstance(network, ContrastiveNetwork)
    data = ChunkedTexts(folder / "tokenizer.json", SENTENCES[:3], max_length=32, prefix="", end_id=None)
    collator = Collator("contrastive", pad_id=0, vocabulary=9, mask_id=None, mask_share=0.15, seed=0, order=None)
    batch = collator([data[n] for n in range(3)])
    apart = float(network(**batch)["loss"].detach())
    batch["document"] = torch.tensor([0, 0, 0])
    assert float(network(**batch)["loss"].detach()) == pytest.approx(0.0, abs=1e-6)
    assert apart > 0.1


def test_a_folder_without_its_own_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_encoder(tmp_path / "m", head=True)
    weights = load_file(folder / "model.safetensors")
    gone = "bert.encoder.layer.1.output.dense.weight"
    save_file({k: v for k, v in weights.items() if k != gone}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleError) as caught:
        build_pretraining_network(folder, "masked", dropout=0.0, temperature=0.05)
    assert str(caught.value) == (
        f"A model folder must hold all weights of its network; 1 are missing, the first is {gone!r}, in {folder}."
    )


# Learning ------------------------------------------------------------------------------------------------------------


def recipe(folder: Path, **changes: Any) -> PretrainConfig:
    common: dict[str, Any] = {
        "backbone": str(folder), "corpus": CorpusConfig(sources=("unused",)), "batch_size": 16, "max_length": 32,
        "learning_rate": 3e-3, "threads": 1, "precision": "float32",
    }  # fmt: skip
    return PretrainConfig(**(common | changes))


@pytest.mark.parametrize(
    ("write", "objective", "fall", "fresh"),
    [
        (write_encoder, "masked", 0.3, True),
        (lambda folder: write_encoder(folder, head=True), "masked", 0.5, False),
        (write_encoder, "contrastive", 0.05, False),
        (write_decoder, "causal", 1.0, False),
    ],
)
def test_the_held_out_loss_falls(
    tmp_path: Path, write: Callable[[Path], Path], objective: str, fall: float, fresh: bool
) -> None:
    asked = "auto" if objective != "contrastive" else "contrastive"
    told: list[tuple[int, int]] = []
    adapted = adapt_backbone(
        corpus_of(SENTENCES[:600]),
        recipe(write(tmp_path / "m"), objective=asked, epochs=2),
        progress=lambda done, of: told.append((done, of)),
    )
    assert adapted.objective == objective
    assert adapted.fresh_head is fresh
    assert adapted.held_out_after < adapted.held_out_before - fall
    assert told == [(n, 70) for n in range(1, 71)]
    assert adapted.steps == 70


def test_a_fresh_head_starts_from_token_frequencies(tmp_path: Path) -> None:
    """Before learning, its loss is near the entropy of the tokens and well below that of a blind guess."""
    adapted = adapt_backbone(corpus_of(SENTENCES[:300]), recipe(write_encoder(tmp_path / "m"), steps=1))
    assert adapted.held_out_before < np.log(len(VOCABULARY)) - 0.3


def test_bfloat16_weights_learn_too(tmp_path: Path) -> None:
    adapted = adapt_backbone(
        corpus_of(SENTENCES[:300]), recipe(write_encoder(tmp_path / "m", head=True), precision="bfloat16", epochs=2)
    )
    assert adapted.held_out_after < adapted.held_out_before - 0.3
    assert {parameter.dtype for parameter in adapted.network.parameters()} == {torch.float32}


class _KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("write", "objective", "precision"),
    [
        (write_encoder, "masked", "bfloat16"),
        (write_encoder, "contrastive", "float32"),
        (write_decoder, "causal", "float32"),
    ],
)
def test_a_killed_run_goes_on_to_the_same_end(
    tmp_path: Path, write: Callable[[Path], Path], objective: str, precision: str
) -> None:
    """Killed in the middle of the second epoch: masks, dropout and order go on as if nothing had been."""
    corpus = corpus_of(SENTENCES[:240])
    config = recipe(write(tmp_path / "m"), objective=objective, precision=precision, epochs=3, checkpoints=13)
    whole = adapt_backbone(corpus, config)

    def kill(done: int, of: int) -> None:
        if done == 20:
            raise _KilledError

    with pytest.raises(_KilledError):
        adapt_backbone(corpus, config, work_dir=tmp_path / "run", progress=kill)
    done: list[int] = []
    resumed = adapt_backbone(corpus, config, work_dir=tmp_path / "run", progress=lambda step, _: done.append(step))
    assert done == list(range(19, 40))
    assert resumed.held_out_before == whole.held_out_before
    assert resumed.held_out_after == whole.held_out_after
    ours, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_masks_change_from_epoch_to_epoch(tmp_path: Path) -> None:
    from tapereader.training.batches import LengthGroupedSampler

    write_tokenizer(tmp_path, specials=True)
    data = ChunkedTexts(tmp_path / "tokenizer.json", SENTENCES[:50], max_length=32, prefix="", end_id=None)
    order = LengthGroupedSampler(data.lengths, batch_size=8, seed=0)
    collator = Collator("masked", pad_id=0, vocabulary=50, mask_id=4, mask_share=0.15, seed=0, order=order)
    first = collator([data[n] for n in range(50)])["labels"]
    order.set_epoch(1)
    assert float((collator([data[n] for n in range(50)])["labels"] != first).any(dim=1).float().mean()) > 0.6


@pytest.mark.parametrize(
    ("write", "changes", "message"),
    [
        (write_decoder, {"objective": "masked"}, "`objective` of the decoder {0!r} must be causal; got 'masked'."),
        (
            write_encoder,
            {"objective": "causal"},
            "`objective` of the encoder {0!r} must be masked or contrastive; got 'causal'.",
        ),
        (
            write_encoder,
            {"max_length": 64},
            "`max_length` must be at most the 32 tokens of {0!r}; got 64. Longer documents are chunked, not cut.",
        ),
        (
            write_encoder,
            {"objective": "contrastive", "dropout": 0.0},
            "`dropout` must be above 0 for `contrastive`: it is all that makes two readings of a text differ; got 0.0.",
        ),
    ],
)
def test_what_does_not_fit_the_backbone_is_refused(
    tmp_path: Path, write: Callable[[Path], Path], changes: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "m")
    with pytest.raises(ConfigError) as caught:
        adapt_backbone(corpus_of(SENTENCES[:60]), recipe(folder, **changes))
    assert str(caught.value) == message.format(str(folder))


def test_a_tokenizer_without_a_mask_cannot_be_masked(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    written = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(written.replace("[MASK]", "[OTHER]"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        adapt_backbone(corpus_of(SENTENCES[:60]), recipe(folder))
    assert str(caught.value) == (
        "`objective: masked` needs a tokenizer with a mask token; that of 'm' has none. Take `contrastive`."
    )


# The result ----------------------------------------------------------------------------------------------------------


def test_what_is_saved_has_the_parents_settings_and_goes_on_from_its_head(tmp_path: Path) -> None:
    parent = write_encoder(tmp_path / "m")
    adapted = adapt_backbone(corpus_of(SENTENCES[:200]), recipe(parent, steps=20))
    adapted.save(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.2, 0.1)
    assert "_name_or_path" not in config
    again = adapt_backbone(corpus_of(SENTENCES[:200]), recipe(tmp_path / "out", steps=1))
    assert not again.fresh_head
    assert again.held_out_before == pytest.approx(adapted.held_out_after, abs=1e-6)


def test_the_cut_off_is_the_later_one_and_unknown_where_either_is(tmp_path: Path) -> None:
    from dataclasses import replace

    from tapereader.sources import Licence

    corpus = corpus_of(SENTENCES[:60])
    parent = Backbone(
        name="old", title="Old", kind="encoder", parameters=1, languages=("en",), licence="MIT",
        pretraining_cutoff=date(2021, 8, 31), cutoff_note="month of release",
    )  # fmt: skip
    card = adapted_card(parent, corpus, name="new")
    assert (card.name, card.title) == ("new", "old, adapted to made-up")
    assert card.pretraining_cutoff == date(2024, 5, 6)
    assert card.cutoff_note == "month of release; then adapted on made-up, known up to 2024-05-06"
    assert (card.licence, card.languages) == ("MIT", ("en",))
    late = adapted_card(replace(parent, pretraining_cutoff=date(2025, 1, 1)), corpus, name="new")
    assert late.pretraining_cutoff == date(2025, 1, 1)
    assert adapted_card(replace(parent, pretraining_cutoff=None), corpus, name="new").pretraining_cutoff is None
    undated = adapted_card(parent, replace(corpus, undated=1), name="new")
    assert undated.pretraining_cutoff is None
    assert undated.cutoff_note == "month of release; then adapted on made-up, without a date for every text"
    terms = Licence(name="CC BY-NC 4.0", commercial_use=False)
    bound = replace(corpus, sources=(replace(corpus.sources[0], licence=terms),))
    assert adapted_card(parent, bound, name="new").licence == (
        "MIT; went on with text for non-commercial use: made-up (CC BY-NC 4.0)"
    )


def test_the_parent_keeps_its_folder(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    before = resolve_backbone(folder).sha256
    adapt_backbone(corpus_of(SENTENCES[:60]), recipe(folder, steps=2))
    assert resolve_backbone(folder).sha256 == before
