"""Several processes at one training (``torchrun``, ``accelerate launch``): which one this is, and waiting for all.

Each process holds the whole network and reads its own share of every step's documents; gradients are averaged by torch.
Only the first judges and writes. Source: https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

from __future__ import annotations

import os

import accelerate
import torch

from tapereader.core.errors import ConfigError


def count() -> int:
    """Return how many processes the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Return whether this process is the one that judges and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_all() -> None:
    """Return when every process has come here."""
    if count() > 1:
        accelerate.PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()


def leave() -> None:
    """Take this process out of the group after its last common step; nothing can be shared from then on."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def refuse_several(what: str) -> None:
    """Stop where a launcher started more than one process of something that only one can do.

    Parameters
    ----------
    what : name of the verb

    Raises
    ------
    ConfigError
        If this process is one of several.
    """
    if count() > 1:
        raise ConfigError(
            f"`{what}` must be one process; got a launch of {count()}. Start it without torchrun or accelerate launch: "
            "it takes all processor threads, or the first accelerator, by itself. `train` can be several."
        )
