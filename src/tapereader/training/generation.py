"""Answering in words: instruction in, label out, for decoders and encoder-decoders."""

from __future__ import annotations

import math
import re
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, TrainerCallback
from transformers.pytorch_utils import Conv1D

from tapereader.bundle.contract import UNPARSED, LabelContract
from tapereader.core.errors import ConfigError
from tapereader.models.backbones import ResolvedBackbone, resolve_backbone
from tapereader.models.network import quiet
from tapereader.sources.labelled import LabelledText
from tapereader.training.loop import Progress, last_complete_checkpoint, to_float32
from tapereader.training.optimization import build_optimizer, peak_rate, resolve_precision
from tapereader.training.trainer import FinetuneConfig

#: Positions with this label add nothing to the loss; the number is transformers' convention.
_IGNORED = -100
#: Tokens an answer may have beyond the longest label's: enough to see that it does not stop there.
_SPARE_TOKENS = 4


def instruction(contract: LabelContract, question: str, text: str) -> str:
    """Return what the model is asked, the same in training and in use.

    Examples
    --------
    >>> two = LabelContract(kind="generation", names=("bear", "bull"))
    >>> print(instruction(two, "Which way?", "Profit rose."))
    Which way? Answer with one of: bear, bull.
    Text: Profit rose.
    Answer:
    """
    return f"{question} Answer with one of: {', '.join(contract.names)}.\nText: {text}\nAnswer:"


def parse_answer(contract: LabelContract, answer: str) -> str:
    r"""Return the label an answer names, or ``unparsed``.

    Only the first line counts, and it must be one label and nothing else but case, spaces and closing punctuation. An
    answer that merely mentions a label is not one: a reader would have to guess, and guesses are not answers.

    Examples
    --------
    >>> two = LabelContract(kind="generation", names=("bear", "bull"))
    >>> parse_answer(two, " Bull.\nText: next"), parse_answer(two, "not bull, rather bear")
    ('bull', 'unparsed')
    """
    line = answer.strip().split("\n", 1)[0]
    said = re.sub(r"^[\s\"'“”]+|[\s.。!！,，;；\"'“”]+$", "", line).casefold()
    return next((name for name in contract.names if name.casefold() == said), UNPARSED)


@dataclass(frozen=True, kw_only=True)
class GeneratingModel:
    """A language model that was taught to answer with labels.

    Parameters
    ----------
    model, tokenizer : transformers' own
    contract, question : what it is asked
    seq2seq : encoder-decoder, or decoder alone
    max_length : tokens of the instruction that are read; the text is cut in its middle, never the question
    losses : mean negative log-likelihood of the answers, one entry a logged step
    seconds : of the loop
    config, resolved : the recipe, and the backbone it found; None for one opened from a bundle
    """

    model: Any
    tokenizer: Any
    contract: LabelContract
    question: str
    seq2seq: bool
    max_length: int
    losses: tuple[float, ...] = ()
    seconds: float = 0.0
    config: FinetuneConfig | None = None
    resolved: ResolvedBackbone | None = None

    @torch.no_grad()
    def generate(self, texts: list[str], *, batch_size: int = 16) -> list[str]:
        """Return the raw greedy answers to N texts."""
        longest = max(len(self.tokenizer(f" {name}")["input_ids"]) for name in self.contract.names) + _SPARE_TOKENS
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        answers = [""] * len(texts)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            prompts = [
                prompt_ids(self.tokenizer, self.contract, self.question, texts[n], self.max_length) for n in rows
            ]
            # Decoders go on from the last position, so padding stands on the left.
            ids, mask = _pad(prompts, self.tokenizer.pad_token_id or 0, left=not self.seq2seq)
            out = self.model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=longest, do_sample=False, num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id or 0,
            )  # fmt: skip
            new = out if self.seq2seq else out[:, ids.shape[1] :]
            for n, words in zip(rows, self.tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
                answers[n] = words
        return answers

    def answer(self, texts: list[str]) -> list[str]:
        """Return a label or ``unparsed`` for each of N texts."""
        return [parse_answer(self.contract, words) for words in self.generate(texts)]

    def count_cut(self, texts: list[str]) -> int:
        """Return how many of N texts are too long to be read whole together with their question."""
        return sum(
            len(self.tokenizer(instruction(self.contract, self.question, text))["input_ids"]) > self.max_length
            for text in texts
        )

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer in Hugging Face layout."""
        with quiet():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def open_generating(folder: Path, contract: LabelContract, *, question: str, max_length: int) -> GeneratingModel:
    """Open what :meth:`GeneratingModel.save` wrote."""
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    model, tokenizer = _load(folder, seq2seq=bool(config.is_encoder_decoder))
    return GeneratingModel(
        model=model.eval(), tokenizer=tokenizer, contract=contract, question=question,
        seq2seq=bool(config.is_encoder_decoder), max_length=max_length,
    )  # fmt: skip


def finetune_generating(
    train: LabelledText,
    config: FinetuneConfig,
    *,
    question: str,
    work_dir: Path | None = None,
    progress: Progress | None = None,
    allow_download: bool = False,
) -> GeneratingModel:
    """Teach a decoder or encoder-decoder to answer with labels.

    What is minimised is the negative log-likelihood of the answer's tokens and the end token, given the instruction;
    the instruction itself is not learnt.

    Parameters
    ----------
    train : single-label rows; their contract becomes one of kind ``generation``
    config : the recipe; methods ``full``, ``lora`` and ``top-k`` apply
    question : asked of every text
    work_dir, progress, allow_download : as in :func:`tapereader.training.trainer.finetune`

    Raises
    ------
    ConfigError
        If the backbone cannot generate, or the method does not apply.
    """
    resolved = resolve_backbone(config.backbone, allow_download=allow_download)
    if resolved.backbone.kind == "encoder":
        raise ConfigError(f"Generation needs a decoder or an encoder-decoder; {config.backbone!r} is an encoder.")
    contract = LabelContract(kind="generation", names=train.card.contract.names, meanings=train.card.contract.meanings)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    transformers.set_seed(config.seed)
    seq2seq = resolved.backbone.kind == "seq2seq"
    model, tokenizer = _load(resolved.folder, seq2seq=seq2seq)
    precision = resolve_precision(config.precision)
    model = _choose_what_learns(model, config)
    if precision == "bfloat16":
        model.to(torch.bfloat16)
    rows = [
        _example(tokenizer, contract, question, text, str(label), config.max_length, seq2seq=seq2seq)
        for text, label in zip(train.texts, train.frame["label"], strict=True)
    ]
    width = int(getattr(model.config, "hidden_size", 0) or getattr(model.config, "d_model", 0) or model.config.n_embd)
    rate = peak_rate(config.optimizer, config.adapter, width)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = build_optimizer(
        [{"params": learning, "lr": rate, "weight_decay": config.optimizer.weight_decay}], config.optimizer
    )
    steps = config.epochs * math.ceil(len(rows) / config.batch_size)
    scheduler = transformers.get_scheduler(
        config.optimizer.schedule, optimizer, round(config.optimizer.warmup_share * steps), steps
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tapereader-") as temporary:
        keep = work_dir is not None and config.checkpoints > 0
        arguments = transformers.TrainingArguments(
            output_dir=str(work_dir or temporary), num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size, max_grad_norm=config.optimizer.clip_norm, seed=config.seed,
            bf16=precision == "autocast", use_cpu=not torch.cuda.is_available(),
            save_strategy="steps" if keep else "no", save_steps=max(1, math.ceil(steps / max(1, config.checkpoints))),
            save_total_limit=1, logging_steps=max(1, steps // 50), disable_tqdm=True, remove_unused_columns=False,
            report_to=[], dataloader_pin_memory=False,
        )  # fmt: skip
        pad = tokenizer.pad_token_id or 0
        trainer = _Trainer(
            model=model, args=arguments, train_dataset=rows, data_collator=lambda batch: _collate(batch, pad),
            optimizers=(optimizer, scheduler), callbacks=[_Report(progress)],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        resume = last_complete_checkpoint(work_dir) if keep else None
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        losses = tuple(float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    to_float32(model, optimizer, use_masters=True)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model = model.eval()
    return GeneratingModel(
        model=model, tokenizer=tokenizer, contract=contract, question=question, seq2seq=seq2seq,
        max_length=config.max_length, losses=losses, seconds=time.perf_counter() - started, config=config,
        resolved=resolved,
    )  # fmt: skip


def prompt_ids(tokenizer: Any, contract: LabelContract, question: str, text: str, max_length: int) -> list[int]:
    """Return the instruction's token ids, at most ``max_length``; a long text gives up its middle."""
    ids: list[int] = tokenizer(instruction(contract, question, text), add_special_tokens=True)["input_ids"]
    if len(ids) <= max_length:
        return ids
    tail = max_length // 2
    return ids[: max_length - tail] + ids[-tail:]


def _load(folder: Path, *, seq2seq: bool) -> tuple[Any, Any]:
    cls: Any = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    with quiet():
        model = cls.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, attn_implementation="eager", use_safetensors=True
        )
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _choose_what_learns(model: Any, config: FinetuneConfig) -> Any:
    method = config.adapter.method
    if method == "full":
        return model
    if method == "lora":
        import peft

        settings = peft.LoraConfig(
            r=config.adapter.rank, lora_alpha=config.adapter.alpha, target_modules="all-linear",
            # GPT-2 keeps its linear maps in a class of its own, with the weight the other way round.
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by an old name; neither is ours
            return peft.get_peft_model(model, settings)
    if method == "top-k":
        from tapereader.models.network import transformer_layers

        model.requires_grad_(False)
        for layer in transformer_layers(model)[-config.adapter.layers :]:
            layer.requires_grad_(True)
        return model
    raise ConfigError(f"Generation learns by `full`, `lora` or `top-k`; got method {method!r}.")


def _example(
    tokenizer: Any, contract: LabelContract, question: str, text: str, label: str, max_length: int, *, seq2seq: bool
) -> dict[str, list[int]]:
    prompt = prompt_ids(tokenizer, contract, question, text, max_length)
    answer = tokenizer(label if seq2seq else f" {label}", add_special_tokens=False)["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if seq2seq:
        return {"input_ids": prompt, "labels": answer + end}
    return {"input_ids": prompt + answer + end, "labels": [_IGNORED] * len(prompt) + answer + end}


def _collate(rows: list[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    ids, mask = _pad([row["input_ids"] for row in rows], pad, left=False)
    labels, _ = _pad([row["labels"] for row in rows], _IGNORED, left=False)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _pad(rows: list[list[int]], value: int, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row) for row in rows)
    padded = [([value] * (width - len(row)) + row) if left else (row + [value] * (width - len(row))) for row in rows]
    ones = [[0] * (width - len(r)) + [1] * len(r) if left else [1] * len(r) + [0] * (width - len(r)) for r in rows]
    return torch.tensor(padded), torch.tensor(ones)


class _Trainer(transformers.Trainer):
    """transformers' Trainer, but adapters are taken up from a checkpoint in place.

    It would have PEFT load them as new float32 parameters, which the optimizer does not know.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        network: Any = self.model if model is None else model
        if not hasattr(network, "peft_config"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        import peft
        from safetensors.torch import load_file

        saved = load_file(Path(resume_from_checkpoint) / peft.utils.SAFETENSORS_WEIGHTS_NAME)
        peft.set_peft_model_state_dict(network, saved)


class _Report(TrainerCallback):
    """Tell how far the run is."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)
