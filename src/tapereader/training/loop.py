"""transformers' Trainer as we use it: our order of batches, our score, checkpoints that can be taken up again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import TrainerCallback

from tapereader.bundle.calibration import Calibration, decode
from tapereader.sources.labelled import LabelledText
from tapereader.training.batches import LengthGroupedSampler
from tapereader.training.optimization import MasterWeightOptimizer
from tapereader.training.scoring import predict_logits, validation_score

Progress = Callable[[int, int], None]
#: Told the epochs done and the inner validation score; what it raises stops the run.
Watch = Callable[[int, float], None]


def last_complete_checkpoint(work_dir: Path | None) -> Path | None:
    """Return the newest checkpoint that was written to its end; the trainer's state file is its last."""
    if work_dir is None or not work_dir.is_dir():
        return None
    found = [folder for folder in work_dir.glob("checkpoint-*") if (folder / "trainer_state.json").is_file()]
    return max(found, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


@torch.no_grad()
def to_float32(network: nn.Module, optimizer: torch.optim.Optimizer, *, use_masters: bool) -> None:
    """Return to float32, from the masters where they are the newest: they hold the digits that rounding dropped."""
    masters = optimizer.masters_of() if isinstance(optimizer, MasterWeightOptimizer) and use_masters else {}
    exact = [(name, masters[id(p)].detach().clone()) for name, p in network.named_parameters() if id(p) in masters]
    network.float()
    for name, value in exact:
        network.get_parameter(name).copy_(value)


class LengthGroupedTrainer(transformers.Trainer):
    """transformers' Trainer with our order of batches and our score on the inner validation part."""

    validation: LabelledText | None = None
    scale: Calibration = Calibration()
    watch: Watch | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        data: Any = train_dataset if train_dataset is not None else self.train_dataset
        lengths = [document.tokens for document in data.documents]
        sampler = LengthGroupedSampler(lengths, batch_size=self.args.train_batch_size, seed=self.args.seed)
        self.add_callback(_EpochOrder(sampler))
        return sampler

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # Tied weights (T5's shared embedding) stand under several names; safetensors takes each storage once.
        seen: set[int] = set()
        unique = {}
        network: Any = self.model
        for name, tensor in (state_dict or network.state_dict()).items():
            if tensor.data_ptr() not in seen or tensor.numel() == 0:
                unique[name] = tensor.contiguous()
                seen.add(tensor.data_ptr())
        super()._save(output_dir, unique)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the inner validation part, and tell whoever watches."""
        if self.validation is None:
            return {}
        contract = self.validation.card.contract
        network: Any = self.model
        held_out: Any = self.eval_dataset
        outputs = decode(contract, predict_logits(network, held_out), self.scale)
        metrics = {"eval_score": validation_score(contract, self.validation.targets(), outputs)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if self.watch is not None:
            self.watch(round(self.state.epoch or 0), metrics["eval_score"])
        return metrics


class _EpochOrder(TrainerCallback):
    """Tell the sampler which epoch begins.

    Trainer does too, but of several processes that resume within an epoch it does not reach the sampler: it lies under
    one wrapper more (transformers 5.23, ``Trainer._run_epoch``), and would give the order of the first epoch.
    """

    def __init__(self, sampler: LengthGroupedSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        """Choose the order; a resumed epoch counts as the one it was broken off in."""
        self.sampler.set_epoch(int(state.epoch))


class Hooks(TrainerCallback):
    """Call what a method needs between steps, and tell how far the run is."""

    def __init__(self, hooks: list[Any], optimizer: torch.optim.Optimizer, progress: Progress | None) -> None:
        self.hooks = hooks
        self.optimizer = optimizer
        self.progress = progress

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        """Set what learns in this step."""
        for hook in self.hooks:
            if hasattr(hook, "at"):
                hook.at(state.global_step / max(1, state.max_steps))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        """Tell the method that a step was made."""
        for hook in self.hooks:
            if hasattr(hook, "at_step"):
                hook.at_step(state.global_step)
                if isinstance(self.optimizer, MasterWeightOptimizer):
                    self.optimizer.take_zeros()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the trainer's signature
        """Tell how far the run is."""
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)


# The order of checkpoints by number is the one we want; and what a step logs goes into the history.
for _name in ("transformers.trainer", "transformers.trainer_utils"):
    logging.getLogger(_name).setLevel(logging.ERROR)
