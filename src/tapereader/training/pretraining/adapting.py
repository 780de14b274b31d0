"""The loop that goes on with pretraining: a corpus in, an adapted network out, on transformers' Trainer."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from pydantic import Field
from tokenizers import Tokenizer
from transformers import AutoConfig, TrainerCallback

from tapereader.core.config import NOT_IDENTITY, Config
from tapereader.core.errors import ConfigError
from tapereader.models.backbones import ResolvedBackbone, resolve_backbone
from tapereader.models.network import hidden_width
from tapereader.training.batches import LengthGroupedSampler
from tapereader.training.loop import LengthGroupedTrainer, Progress, last_complete_checkpoint, to_float32
from tapereader.training.optimization import OptimizerConfig, Precision, build_optimizer, resolve_precision
from tapereader.training.pretraining.chunks import ChunkedTexts, Collator, Objective
from tapereader.training.pretraining.corpus import Corpus, CorpusConfig
from tapereader.training.pretraining.objectives import PretrainingNetwork, build_pretraining_network
from tapereader.training.pretraining.writing import AdaptedBackbone

#: Peak rates for a network no wider than 512; wider ones take 0.4 of it. `masked` was measured on held-out headlines.
_RATES: dict[Objective, float] = {"masked": 3e-4, "contrastive": 3e-5, "causal": 1e-4}
#: Peak rate of head weights that start from nothing.
_FRESH_RATE = 1e-3
#: Dropout where the config leaves it open: contrastive learning needs it, and nothing else gains by it in a few epochs.
_DROPOUT: dict[Objective, float] = {"masked": 0.0, "contrastive": 0.1, "causal": 0.0}


class PretrainConfig(Config):
    """One domain adaptation, from unlabelled text to backbone."""

    backbone: str = "minilm"
    """Registered name, Hugging Face folder, or hub id."""
    corpus: CorpusConfig
    """The text."""
    objective: Literal["auto", "masked", "contrastive", "causal"] = "auto"
    """What is learnt; `auto` is `masked` for encoders and `causal` for decoders."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the text."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps instead of epochs."""
    batch_size: int = Field(default=32, ge=2)
    """Chunks in one step; with `contrastive`, each text has one fewer to be told from."""
    max_length: int = Field(default=128, ge=8)
    """Tokens in one chunk; a longer document becomes several, and all are read."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Peak rate; None takes 3e-4 (`contrastive`: 3e-5, `causal`: 1e-4), and 0.4 of it for networks wider than 512."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Decoupled decay, not applied to biases and norms."""
    warmup_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of all steps over which the rate rises from 0; it falls linearly after that."""
    clip_norm: float = Field(default=1.0, gt=0.0)
    """Gradients are scaled down to this norm."""
    mask_share: float = Field(default=0.15, gt=0.0, lt=1.0)
    """For `masked`: share of tokens to be guessed."""
    temperature: float = Field(default=0.05, gt=0.0)
    """For `contrastive`: cosine similarities are divided by it."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Inside the network; None takes 0.1 for `contrastive`, which needs it, and else 0."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of the draw of documents, the masks, the order of batches, dropout and a fresh head."""
    precision: Precision = "auto"
    """`auto` takes bfloat16 weights with float32 masters where the processor has them, else float32."""
    threads: int | None = Field(default=None, ge=1, json_schema_extra=NOT_IDENTITY)
    """CPU threads; None leaves the library's choice. Sums differ in their last bits between thread counts."""
    checkpoints: int = Field(default=6, ge=0, json_schema_extra=NOT_IDENTITY)
    """Checkpoints over a run whose folder is kept; 0 writes none."""


def adapt_backbone(
    corpus: Corpus,
    config: PretrainConfig,
    *,
    work_dir: Path | None = None,
    progress: Progress | None = None,
    allow_download: bool = False,
) -> AdaptedBackbone:
    """Go on with the pretraining of a backbone on a corpus.

    Parameters
    ----------
    corpus : what is learnt from; ``config.corpus`` is not read again
    config : the recipe
    work_dir : where checkpoints go; a run that was killed there resumes. None keeps none.
    progress : called with (steps done, steps in all)
    allow_download : let a hub id be fetched

    Raises
    ------
    ConfigError
        If the objective does not fit the backbone.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    resolved = resolve_backbone(config.backbone, allow_download=allow_download)
    objective = choose_objective(config, resolved)
    path = resolved.folder / "tokenizer.json"
    mask_id = _mask_id(resolved) if objective == "masked" else None
    settings = AutoConfig.from_pretrained(resolved.folder, local_files_only=True)
    end_id = _first(getattr(settings, "eos_token_id", None)) if objective == "causal" else None
    train, held_out = (
        ChunkedTexts(path, texts, max_length=config.max_length, prefix=resolved.backbone.prefix, end_id=end_id)
        for texts in (corpus.train, corpus.held_out)
    )
    if not len(train) or not len(held_out):
        raise ConfigError(f"The tokenizer of {config.backbone!r} must know the text; it finds no tokens in it.")
    transformers.set_seed(config.seed)
    dropout = _DROPOUT[objective] if config.dropout is None else config.dropout
    network = build_pretraining_network(resolved.folder, objective, dropout=dropout, temperature=config.temperature)
    if network.fresh:
        _start_head(network, train)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    order = LengthGroupedSampler(train.lengths, batch_size=config.batch_size, seed=config.seed)

    pad_id = _first(getattr(settings, "pad_token_id", None)) or 0

    def collator(told_by: LengthGroupedSampler | None) -> Collator:
        return Collator(
            objective, pad_id=pad_id, vocabulary=settings.vocab_size, mask_id=mask_id, mask_share=config.mask_share,
            seed=config.seed, order=told_by,
        )  # fmt: skip

    def judge() -> float:
        return held_out_loss(network, held_out, collator(None), batch_size=config.batch_size, seed=config.seed,
                             with_dropout=objective == "contrastive")  # fmt: skip

    started = time.perf_counter()
    before = judge()
    precision = resolve_precision(config.precision)
    if precision == "bfloat16":
        network.to(torch.bfloat16)
    steps = config.steps or config.epochs * math.ceil(len(train) / config.batch_size)
    plan = OptimizerConfig(weight_decay=config.weight_decay, warmup_share=config.warmup_share)
    optimizer = build_optimizer(_groups(network, config, objective), plan)
    scheduler = transformers.get_scheduler("linear", optimizer, round(plan.warmup_share * steps), steps)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        keep = work_dir is not None and config.checkpoints > 0
        trainer = _PretrainingTrainer(
            model=network,
            args=_arguments(config, str(work_dir or temporary), steps=steps, keep=keep, precision=precision),
            data_collator=collator(order), train_dataset=train, optimizers=(optimizer, scheduler),
            callbacks=[_Report(progress)],
        )  # fmt: skip
        trainer.order = order
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.remove_callback(transformers.ProgressCallback)
        resume = last_complete_checkpoint(work_dir) if keep else None
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        history = [{key: float(value) for key, value in entry.items()} for entry in trainer.state.log_history]
    whole: Any = network
    to_float32(whole, optimizer, use_masters=True)
    after = judge()
    network.eval().requires_grad_(False)
    return AdaptedBackbone(
        network=network, parent=resolved, objective=objective, fresh_head=bool(network.fresh), held_out_before=before,
        held_out_after=after, history=history, steps=steps,
        tokens=round(steps * config.batch_size * train.tokens / len(train)), seconds=time.perf_counter() - started,
    )  # fmt: skip


def choose_objective(config: PretrainConfig, resolved: ResolvedBackbone) -> Objective:
    """Return what a backbone can go on learning by.

    Raises
    ------
    ConfigError
        If the asked objective is not for its kind, or its length or dropout cannot be.
    """
    backbone = resolved.backbone
    fitting: dict[str, tuple[Objective, ...]] = {"encoder": ("masked", "contrastive"), "decoder": ("causal",)}
    allowed = fitting.get(backbone.kind, ())
    if not allowed:
        raise ConfigError(
            f"Pretraining goes on for encoders and decoders; {config.backbone!r} is {backbone.kind}. "
            "Choose another backbone."
        )
    objective = allowed[0] if config.objective == "auto" else config.objective
    if objective not in allowed:
        raise ConfigError(
            f"`objective` of the {backbone.kind} {config.backbone!r} must be {' or '.join(allowed)}; got {objective!r}."
        )
    if config.max_length > backbone.max_tokens:
        raise ConfigError(
            f"`max_length` must be at most the {backbone.max_tokens} tokens of {config.backbone!r}; got "
            f"{config.max_length}. Longer documents are chunked, not cut."
        )
    if objective == "contrastive" and config.dropout == 0.0:
        raise ConfigError(
            "`dropout` must be above 0 for `contrastive`: it is all that makes two readings of a text differ; got 0.0."
        )
    return objective


@torch.no_grad()
def held_out_loss(
    network: PretrainingNetwork, data: ChunkedTexts, collator: Collator, *, batch_size: int, seed: int,
    with_dropout: bool,
) -> float:  # fmt: skip
    """Return the mean loss in nats over all of ``data``, the same however often it is asked; torch's seed is kept."""
    was_training = network.training
    network.train(with_dropout)
    device = next(network.parameters()).device
    order = sorted(range(len(data)), key=lambda position: (data.lengths[position], position))
    total = count = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(order), batch_size):
            batch = collator([data[position] for position in order[start : start + batch_size]])
            out = network(**{name: value.to(device) for name, value in batch.items()})
            if int(out["n"]):
                total += float(out["loss"]) * int(out["n"])
                count += int(out["n"])
    network.train(was_training)
    return total / count


def _mask_id(resolved: ResolvedBackbone) -> int:
    tokenizer = Tokenizer.from_file(str(resolved.folder / "tokenizer.json"))
    path = resolved.folder / "tokenizer_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("mask_token") if path.is_file() else None
    name = stated.get("content") if isinstance(stated, dict) else stated
    for mark in (name, "[MASK]", "<mask>"):
        found = None if mark is None else tokenizer.token_to_id(mark)
        if found is not None:
            return int(found)
    raise ConfigError(
        f"`objective: masked` needs a tokenizer with a mask token; that of {resolved.backbone.name!r} has none. "
        "Take `contrastive`."
    )


def _first(token: Any) -> int | None:
    """Return a token id; some configs list several."""
    return int(token[0]) if isinstance(token, list | tuple) else None if token is None else int(token)


@torch.no_grad()
def _start_head(network: PretrainingNetwork, train: ChunkedTexts) -> None:
    """Let a head that knows nothing change nothing, and know how common each token is: it unsettles the rest less."""
    model: Any = network.model
    for name, parameter in model.named_parameters():
        if name in network.fresh and parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]:
            parameter.copy_(torch.eye(len(parameter)))
    output = model.get_output_embeddings()
    if output is not None and getattr(output, "bias", None) is not None:
        output.bias.copy_(torch.from_numpy(train.frequencies(len(output.bias))).log())


def _groups(network: PretrainingNetwork, config: PretrainConfig, objective: Objective) -> list[dict[str, Any]]:
    wide = hidden_width(network.model) > 512
    rate = config.learning_rate or _RATES[objective] * (0.4 if wide else 1.0)
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.model.named_parameters():
        own_rate = max(rate, _FRESH_RATE) if name in network.fresh else rate
        decay = 0.0 if parameter.ndim < 2 or name.endswith("bias") else config.weight_decay
        groups.setdefault((own_rate, decay), []).append(parameter)
    return [{"params": own, "lr": lr, "weight_decay": decay} for (lr, decay), own in groups.items()]


def _arguments(
    config: PretrainConfig, folder: str, *, steps: int, keep: bool, precision: str
) -> transformers.TrainingArguments:
    return transformers.TrainingArguments(
        output_dir=folder, num_train_epochs=config.epochs, max_steps=steps,
        per_device_train_batch_size=config.batch_size, max_grad_norm=config.clip_norm, seed=config.seed,
        bf16=precision == "autocast", use_cpu=not torch.cuda.is_available(), eval_strategy="no",
        save_strategy="steps" if keep else "no", save_steps=max(1, math.ceil(steps / max(1, config.checkpoints))),
        save_total_limit=1, logging_steps=max(1, steps // 50), report_to=[], disable_tqdm=True,
        remove_unused_columns=False, label_names=["labels"], dataloader_pin_memory=False,
    )  # fmt: skip


class _PretrainingTrainer(LengthGroupedTrainer):
    """transformers' Trainer with the order of batches that the masks go by."""

    order: LengthGroupedSampler

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:  # noqa: ARG002  # the trainer's signature
        return self.order


class _Report(TrainerCallback):
    """Tell how far the run is."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)
