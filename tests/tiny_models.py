"""Small random-weight networks of every supported kind on disk, and rows they can learn from in a second.

The folders are written in Hugging Face layout and opened by the package's own loading code, as a downloaded model is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tapereader.bundle import LabelContract
from tapereader.sources import DatasetCard, LabelledText, Licence

if TYPE_CHECKING:
    from tapereader.training.trainer import FinetuneConfig, FinetunedModel

GOOD = ("rose", "strong", "record", "gain", "beat", "upgrade")
BAD = ("fell", "weak", "warning", "loss", "missed", "default")
PLAIN = ("the", "company", "year", "quarter", "sales", "shares", "in", "of", "board", "meeting", "report", "group")
NAMES = ("acme", "globex", "initech")
#: What an instruction to a generating model is made of.
ASKED = ("which", "way", "answer", "with", "one", "text", "bear", "bull", "?", ".", ":", ",")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "</s>")
VOCABULARY = (*SPECIAL, *GOOD, *BAD, *PLAIN, *NAMES, *ASKED, "营", "业", "利", "润", "增", "长", "下", "降")
KINDS = ("bert", "roberta", "gpt2", "llama", "t5")
#: Tokens every network can read at once.
POSITIONS = 48


def write_model(folder: Path, kind: str = "bert", *, layers: int = 2, width: int = 32, seed: int = 0) -> Path:
    """Write a network of one kind with random weights, its tokenizer and its settings, and return the folder."""
    import torch
    import transformers

    size, half = len(VOCABULARY), width // 2
    marks: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 5}
    cls: Any
    if kind == "bert":
        cls, config = transformers.BertModel, transformers.BertConfig(
            vocab_size=size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=2 * width, max_position_embeddings=POSITIONS, pad_token_id=0,
        )  # fmt: skip
    elif kind == "roberta":
        cls, config = transformers.RobertaModel, transformers.RobertaConfig(
            vocab_size=size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=2 * width, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=0,
        )  # fmt: skip
    elif kind == "gpt2":
        cls, config = (
            transformers.GPT2LMHeadModel,
            transformers.GPT2Config(
                vocab_size=size, n_embd=width, n_layer=layers, n_head=2, n_positions=POSITIONS, bos_token_id=2, **marks
            ),
        )
    elif kind == "llama":
        cls, config = transformers.LlamaForCausalLM, transformers.LlamaConfig(
            vocab_size=size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=2,
            num_key_value_heads=1, intermediate_size=2 * width, max_position_embeddings=POSITIONS, bos_token_id=2,
            **marks,
        )  # fmt: skip
    elif kind == "t5":
        cls, config = transformers.T5ForConditionalGeneration, transformers.T5Config(
            vocab_size=size, d_model=width, d_kv=half, d_ff=2 * width, num_layers=layers, num_heads=2,
            decoder_start_token_id=0, **marks,
        )  # fmt: skip
    else:
        raise ValueError(kind)
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = cls(config)
    torch.random.set_rng_state(state)
    folder.mkdir(parents=True, exist_ok=True)
    bar = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    if bar:
        transformers.utils.logging.enable_progress_bar()
    _write_tokenizer(folder, framed=kind in ("bert", "roberta"))
    return folder


def _write_tokenizer(folder: Path, *, framed: bool) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: position for position, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 (a mark, no secret)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    if framed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]",
                "eos_token": "</s>", "model_max_length": POSITIONS}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def labelled_rows(
    kind: str = "single-label", *, n: int = 48, seed: int = 0, pair: bool = False, words: int = 5
) -> LabelledText:
    """Return N rows whose label follows from their words: good ones, bad ones, both or none."""
    random = np.random.default_rng(seed)
    texts, labels, pairs = [], [], []
    for position in range(n):
        tone = position % 3 - 1
        says = list(random.choice(PLAIN, words))
        if tone > 0 or (kind == "multi-label" and position % 2):
            says.insert(int(random.integers(0, words)), str(random.choice(GOOD)))
        if tone < 0:
            says.insert(int(random.integers(0, words)), str(random.choice(BAD)))
        texts.append(" ".join(says))
        pairs.append(str(random.choice(NAMES)))
        labels.append(_label(kind, tone, says))
    frame = pd.DataFrame({"row": np.arange(1, n + 1), "text": texts, "label": pd.Series(labels, dtype=object)})
    if kind == "regression":
        frame["label"] = frame["label"].astype(float)
    if pair:
        frame["pair"] = pairs
    card = DatasetCard(
        name="tiny", title="Tiny rows", task="sentiment", contract=contract_of(kind), language="en",
        licence=Licence(name="not stated", commercial_use=None), origin="made in a test",
    )  # fmt: skip
    return LabelledText(card, frame)


def contract_of(kind: str) -> LabelContract:
    """Return the contract of :func:`labelled_rows`."""
    names = {"multi-label": ("bad", "good"), "regression": ("score",)}.get(kind, ("negative", "neutral", "positive"))
    return LabelContract(kind=kind, names=names)  # type: ignore[arg-type]  # one of the kinds, as the caller wrote it


def _label(kind: str, tone: int, says: list[str]) -> Any:
    if kind == "regression":
        return 10.0 + 5.0 * tone
    if kind == "multi-label":
        found = {"bad": any(w in BAD for w in says), "good": any(w in GOOD for w in says)}
        return tuple(name for name, there in found.items() if there)
    return ("negative", "neutral", "positive")[tone + 1]


def recipe(folder: Path, **changes: Any) -> FinetuneConfig:
    """Return a recipe for a small network: float32, one thread, rates that fit a network which knows nothing yet."""
    from tapereader.training.optimization import OptimizerConfig
    from tapereader.training.trainer import FinetuneConfig

    settings: dict[str, Any] = {
        "backbone": str(folder), "epochs": 12, "batch_size": 8, "max_length": 32, "precision": "float32", "threads": 1,
        "optimizer": OptimizerConfig(learning_rate=3e-3, head_learning_rate=3e-2),
    }  # fmt: skip
    return FinetuneConfig(**(settings | changes))


def losses(model: FinetunedModel) -> list[float]:
    """Return the logged training losses in order."""
    return [entry["loss"] for entry in model.history if "loss" in entry]


def same_weights(one: FinetunedModel, other: FinetunedModel) -> bool:
    """Say whether two networks are equal to the bit."""
    import torch

    mine, theirs = one.network.state_dict(), other.network.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
