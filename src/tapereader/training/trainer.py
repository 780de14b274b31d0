"""The loop: labelled text in, a fine-tuned network out, on transformers' Trainer."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from pydantic import Field
from transformers import TrainerCallback

from tapereader.bundle.calibration import Calibration, output_width
from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.core.config import NOT_IDENTITY, Config
from tapereader.core.errors import ConfigError
from tapereader.models.adapters import AdapterConfig, attach, merge, trainable_share
from tapereader.models.backbones import ResolvedBackbone, resolve_backbone
from tapereader.models.heads import ObjectiveConfig, build_loss, build_taught_loss
from tapereader.models.network import TextNetwork, hidden_width, load_backbone, position_limit
from tapereader.models.unpadding import can_unpad, unpadded
from tapereader.sources.labelled import LabelledText
from tapereader.training import processes
from tapereader.training.batches import Collator, EncodedDataset, encode
from tapereader.training.caching import cache_lower_layers, can_cache
from tapereader.training.loop import Hooks, LengthGroupedTrainer, Progress, Watch, last_complete_checkpoint, to_float32
from tapereader.training.optimization import (
    OptimizerConfig,
    Precision,
    build_optimizer,
    parameter_groups,
    peak_rate,
    resolve_precision,
)
from tapereader.training.scoring import predict_logits
from tapereader.training.standardising import standardise_embedding

#: Raised whenever a change makes the same config, data and seed give another model, beyond the order of sums (which the
#: number of threads moves as well): results kept under an older one are then measured again.
REVISION = 1


class FinetuneConfig(Config):
    """One fine-tuning, complete: two equal configs on equal data give equal models."""

    backbone: str = "minilm"
    """Registered name, Hugging Face folder, or hub id."""
    adapter: AdapterConfig = AdapterConfig()
    """Which parameters may move."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """What is minimised."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """How weights move."""
    epochs: int = Field(default=3, ge=1)
    """Passes over the training part."""
    batch_size: int = Field(default=32, ge=1)
    """Documents in one optimizer step."""
    micro_batch_tokens: int = Field(default=8192, ge=16)
    """Long documents: a step is made of as many smaller batches as keep an average one below this many tokens, and one
    of more than three times as many is run in slices, so that memory stays bounded however long a document is."""
    max_length: int = Field(default=128, ge=8)
    """Tokens in one chunk; a longer document becomes several chunks and is read whole."""
    head_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Dropout on the pooled embedding."""
    encoder_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout inside the backbone; off by default, where it costs a sixth of the time and gained nothing measurable."""
    precision: Precision = "auto"
    """`auto` takes bfloat16 weights with float32 masters where the processor has them, else float32."""
    cache_lower_layers: bool = True
    """For `head` and `top-k`: run the frozen layers once instead of in every epoch."""
    early_stopping_patience: int | None = Field(default=None, ge=1)
    """Stop after this many epochs without a better inner validation score, and keep the best; None trains them all."""
    checkpoints: int = Field(default=6, ge=0, json_schema_extra=NOT_IDENTITY)
    """Checkpoints over a run whose folder is kept; 0 writes none."""
    seed: int = Field(default=0, ge=0)
    """Of the head, the order of batches and dropout."""
    threads: int | None = Field(default=None, ge=1, json_schema_extra=NOT_IDENTITY)
    """CPU threads; None leaves the library's choice. Sums differ in their last bits between thread counts."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(default=(), json_schema_extra=NOT_IDENTITY)
    """Where to send training curves."""

    @classmethod
    def for_profile(cls, profile: Literal["fast", "quality"], *, language: str = "en", **changes: Any) -> Self:
        """Return the measured recipe: `fast` is minutes on a laptop, `quality` the best single model.

        Chinese and mixed text takes the multilingual backbone in both profiles, the only one at hand that reads it.
        """
        chinese = language in ("zh", "mixed")
        if profile == "fast":
            recipe: dict[str, Any] = {"backbone": "multilingual-e5-small" if chinese else "minilm"}
        else:
            recipe = {"backbone": "multilingual-e5-small" if chinese else "mpnet", "epochs": 4 if chinese else 3}
        return cls(**(recipe | changes))


@dataclass(frozen=True, kw_only=True)
class FinetunedModel:
    """A trained network in memory, with what is needed to use it and to say how it was made.

    Parameters
    ----------
    network : float32, merged where the method allows it
    tokenizer : the one it was trained with
    calibration : target scale only; fit the rest on held-out text
    config, resolved : what was asked, and the backbone it found
    history : one entry a logged step: step, epoch, loss, rate, and validation score where it was taken
    seconds, tokens : wall time of the loop, and real tokens that went through it
    trainable, parameters : counts
    """

    network: TextNetwork
    tokenizer: ChunkingTokenizer
    calibration: Calibration
    config: FinetuneConfig
    resolved: ResolvedBackbone
    history: list[dict[str, float]]
    seconds: float
    tokens: int
    trainable: int
    parameters: int

    def logits(self, texts: list[str], pairs: list[str] | None = None) -> NDArray[np.float64]:
        """Return raw outputs (N, W) for N texts."""
        return predict_logits(self.network, encode(self.tokenizer, texts, pairs))


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """A finished network that training goes on from, where others begin with a backbone and a fresh head.

    Parameters
    ----------
    resolved : its backbone on disk
    weight, bias : (W, D) and (W,), of its head
    masks : name of a parameter of the backbone, to what of it may move: where False, it stays as it is
    """

    resolved: ResolvedBackbone
    weight: torch.Tensor
    bias: torch.Tensor
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Teaching:
    """What another network says of the training texts, and how much its word counts.

    Parameters
    ----------
    outputs : array (N, W) of its raw outputs; for regression (N, 1) of values on the target's own scale
    temperature : raw outputs of both are divided by it: above 1 the small probabilities are learnt too
    share : of the loss that is about the teacher's answers; the rest is about the labels
    """

    outputs: NDArray[np.float64]
    temperature: float
    share: float


def finetune(
    train: LabelledText,
    validation: LabelledText | None,
    config: FinetuneConfig,
    *,
    work_dir: Path | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    allow_download: bool = False,
    start: Start | None = None,
    teaching: Teaching | None = None,
) -> FinetunedModel:
    """Fine-tune a backbone on labelled text.

    Parameters
    ----------
    train : what is learnt from
    validation : inner part for early stopping and ``watch``; not touched otherwise
    config : the recipe
    work_dir : where checkpoints go; a run that was killed there resumes. None keeps none.
    progress : called with (steps done, steps in all)
    watch : called with (epochs done, inner validation score) after each epoch; what it raises stops the run
    allow_download : let a hub id be fetched
    start : go on from this network, whatever ``config.backbone`` says; None begins with a fresh head
    teaching : learn from another network's answers too

    Raises
    ------
    ConfigError
        If the recipe does not fit the data or the backbone.
    """
    contract = train.card.contract
    if config.early_stopping_patience is not None and validation is None:
        raise ConfigError("`early_stopping_patience` needs an inner validation part; got none.")
    if watch is not None and validation is None:
        raise ConfigError("`watch` needs an inner validation part; got none.")
    _refuse_missing(config.trackers)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    transformers.set_seed(config.seed)
    resolved = start.resolved if start else resolve_backbone(config.backbone, allow_download=allow_download)
    precision = resolve_precision(config.precision)
    targets, scale = _training_targets(train)
    network = build_network(resolved, config, outputs=output_width(contract))
    network.loss = _loss(train, config)
    if teaching is not None:
        network.loss = build_taught_loss(contract, network.loss, temperature=teaching.temperature, share=teaching.share)
        targets = _taught_targets(targets, teaching, scale)
    network.slice_tokens = config.micro_batch_tokens
    tokenizer = ChunkingTokenizer(
        resolved.folder / "tokenizer.json", max_length=config.max_length, prefix=resolved.backbone.prefix
    )
    data = encode(tokenizer, train.texts, train.pairs, targets)
    held_out = encode(tokenizer, validation.texts, validation.pairs) if validation is not None else None
    micro, accumulation = _micro_batches(data, config)
    steps_an_epoch = math.ceil(len(data) / (micro * accumulation * processes.count()))
    steps = config.epochs * steps_an_epoch
    hooks = attach(network, config.adapter, total_steps=steps)
    trainable, parameters = trainable_share(network)
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)
    standardise_embedding(network, data, collator)
    if start is not None:
        network.unfold(start.weight, start.bias)
        _hold(network, start.masks)
    if precision == "bfloat16":
        network.backbone.to(torch.bfloat16)
    # Before layers are taken off: a rate may depend on how deep a layer lies.
    rate = peak_rate(config.optimizer, config.adapter, hidden_width(network.backbone))
    groups = parameter_groups(network, config.optimizer, rate)
    restore = None
    started = time.perf_counter()
    if _caches(network, config):
        top = config.adapter.layers if config.adapter.method == "top-k" else 0
        restore = cache_lower_layers(
            network, [data] if held_out is None else [data, held_out], top=top, collator=collator
        )
    optimizer = build_optimizer(groups, config.optimizer)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        # AdaLoRA's running importance of ranks is in no checkpoint: a killed run starts again, and ends the same.
        keep = work_dir is not None and config.checkpoints > 0 and config.adapter.method != "adalora"
        arguments = _arguments(
            config, str(work_dir or temporary), micro=micro, accumulation=accumulation, steps=steps, keep=keep,
            autocast=precision == "autocast", judge=watch is not None,
        )  # fmt: skip
        scheduler = transformers.get_scheduler(
            config.optimizer.schedule,
            optimizer,
            num_warmup_steps=0
            if config.optimizer.schedule == "constant"
            else round(config.optimizer.warmup_share * steps),
            num_training_steps=steps,
        )
        callbacks: list[TrainerCallback] = [Hooks(hooks, optimizer, progress)]
        if config.early_stopping_patience is not None:
            callbacks.append(transformers.EarlyStoppingCallback(config.early_stopping_patience))
        trainer = LengthGroupedTrainer(
            model=network, args=arguments, data_collator=collator, train_dataset=data, eval_dataset=held_out,
            optimizers=(optimizer, scheduler), callbacks=callbacks,
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.remove_callback(transformers.ProgressCallback)
        trainer.validation = validation
        trainer.scale = scale
        trainer.watch = watch
        resume = last_complete_checkpoint(work_dir) if keep else None
        with unpadded(network) if _unpads(network, config) else contextlib.nullcontext():
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        history = [{k: float(v) for k, v in entry.items()} for entry in trainer.state.log_history]
    network.to("cpu")
    stopped_early = config.early_stopping_patience is not None
    to_float32(network, optimizer, use_masters=not stopped_early)
    if restore is not None:
        restore()
        network.backbone.float()
    merge(network, config.adapter)
    network.fold()
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    epochs_run = history[-1].get("epoch", config.epochs) if history else config.epochs
    return FinetunedModel(
        network=network, tokenizer=tokenizer, calibration=scale, config=config, resolved=resolved, history=history,
        seconds=time.perf_counter() - started, tokens=int(epochs_run * sum(d.tokens for d in data.documents)),
        trainable=trainable, parameters=parameters,
    )  # fmt: skip


def build_network(resolved: ResolvedBackbone, config: FinetuneConfig, *, outputs: int) -> TextNetwork:
    """Return an untrained network on a pretrained backbone; the head's weights depend on torch's seed alone."""
    backbone = load_backbone(resolved.folder, encoder_dropout=config.encoder_dropout)
    limit = position_limit(backbone)
    before = config.adapter.virtual_tokens if config.adapter.method in ("prompt", "prefix") else 0
    if limit is not None and config.max_length + before > limit:
        also = f" and {before} learnt tokens" if before else ""
        raise ConfigError(
            f"`max_length` must be at most the {limit} positions of {config.backbone!r}; got {config.max_length}{also}."
            " Longer documents are chunked, not cut."
        )
    return TextNetwork(
        backbone, width=hidden_width(backbone), outputs=outputs,
        pooling="last" if resolved.backbone.kind == "decoder" else "mean", dropout=config.head_dropout, loss=None,
    )  # fmt: skip


def _training_targets(train: LabelledText) -> tuple[NDArray[Any], Calibration]:
    targets = train.targets()
    if train.card.contract.kind != "regression":
        return targets, Calibration()
    mean, scale = float(targets.mean()), float(targets.std()) or 1.0
    return (targets - mean) / scale, Calibration(target_mean=mean, target_scale=scale)


def _hold(network: TextNetwork, masks: Mapping[str, torch.Tensor]) -> None:
    """Let no gradient through to what must stay; a weight of zero then stays zero, decay included."""
    for name, mask in masks.items():
        parameter = network.backbone.get_parameter(name)
        if parameter.requires_grad:
            parameter.register_hook(functools.partial(_masked, mask))  # type: ignore[no-untyped-call]  # torch's own


def _masked(mask: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return gradient * mask.to(gradient.device)


def _taught_targets(targets: NDArray[Any], teaching: Teaching, scale: Calibration) -> NDArray[np.float64]:
    """Return the teacher's outputs, on the scale that is learnt, and the labels behind them in each row."""
    outputs = (teaching.outputs - scale.target_mean) / scale.target_scale
    return np.hstack([outputs, np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)])


def _loss(train: LabelledText, config: FinetuneConfig) -> Any:
    try:
        return build_loss(train.card.contract, config.objective, train.targets())
    except ValueError as error:
        raise ConfigError(f"`objective.loss` must fit the task: {error}") from error


def _micro_batches(data: EncodedDataset, config: FinetuneConfig) -> tuple[int, int]:
    mean_tokens = sum(document.tokens for document in data.documents) / len(data)
    fits = max(1, int(config.micro_batch_tokens / mean_tokens))
    # However many processes share a step, it is one of `batch_size` documents: the recipe stays the recipe.
    share = math.ceil(config.batch_size / processes.count())
    accumulation = math.ceil(share / min(share, fits))
    return math.ceil(share / accumulation), accumulation


def _caches(network: TextNetwork, config: FinetuneConfig) -> bool:
    return (
        config.cache_lower_layers
        and config.adapter.method in ("head", "top-k")
        and config.encoder_dropout == 0.0
        and can_cache(network)
    )


def _unpads(network: TextNetwork, config: FinetuneConfig) -> bool:
    # Learnt tokens before the text have no place in the layout, and dropout would be drawn over another shape: the same
    # seed would give another model.
    before_text = config.adapter.method in ("prompt", "prefix")
    return not before_text and config.encoder_dropout == 0.0 and can_unpad(network.backbone)


def _refuse_missing(trackers: tuple[str, ...]) -> None:
    missing = [name for name in trackers if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"`trackers` must be installed before a training; got {', '.join(missing)}, not there. Run: pip install "
            f"{' '.join(missing)}."
        )
    if "wandb" in trackers:
        # Nothing leaves the machine unless somebody asked for it. The library takes this word from nowhere else.
        os.environ.setdefault("WANDB_MODE", "offline")
    if "mlflow" in trackers:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # curves go where MLFLOW_TRACKING_URI says, no more


def _arguments(
    config: FinetuneConfig,
    folder: str,
    *,
    micro: int,
    accumulation: int,
    steps: int,
    keep: bool,
    autocast: bool,
    judge: bool,
) -> transformers.TrainingArguments:
    stopping = config.early_stopping_patience is not None
    arguments = transformers.TrainingArguments(
        output_dir=folder,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        max_grad_norm=config.optimizer.clip_norm,
        seed=config.seed,
        bf16=autocast,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="epoch" if stopping or judge else "no",
        save_strategy="epoch" if stopping else "steps" if keep else "no",
        save_steps=max(1, math.ceil(steps / max(1, config.checkpoints))),
        save_total_limit=1,
        load_best_model_at_end=stopping,
        metric_for_best_model="score" if stopping else None,
        greater_is_better=True if stopping else None,
        logging_steps=max(1, steps // 50),
        report_to=list(config.trackers),
        restore_callback_states_from_checkpoint=True,  # how long early stopping has waited
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )
    if arguments.n_gpu > 1:
        # One process takes one accelerator: copies over several would each be told the size of the whole batch.
        arguments._n_gpu = 1
    return arguments
