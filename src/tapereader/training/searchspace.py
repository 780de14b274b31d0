"""What a search may vary, and how a draw from it becomes a recipe."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self

import optuna
from pydantic import model_validator
from transformers import AutoConfig

from tapereader.bundle.contract import LabelContract
from tapereader.core.config import Config
from tapereader.models.adapters import Method
from tapereader.models.backbones import ResolvedBackbone
from tapereader.models.network import hidden_width
from tapereader.training.optimization import peak_rate
from tapereader.training.trainer import FinetuneConfig


class SearchSpace(Config):
    """What may vary, and between which ends; None leaves it as the recipe has it."""

    learning_rate_factor: tuple[float, float] | None = (0.3, 3.0)
    """Peak rate as a multiple of the recipe's own, tried on a logarithmic scale: the measured rate for a method and a
    backbone is the middle of what is worth trying."""
    epochs: tuple[int, int] | None = (2, 5)
    """Passes over the training part."""
    batch_size: tuple[int, ...] | None = (16, 32, 64)
    """Documents in one step: any of these."""
    layer_decay: tuple[float, float] | None = (0.75, 1.0)
    """Share of the rate of the layer above."""
    head_dropout: tuple[float, float] | None = (0.0, 0.3)
    """Dropout on the pooled embedding."""
    label_smoothing: tuple[float, float] | None = (0.0, 0.1)
    """Share of the target spread over all classes; varies for single-label cross-entropy only."""
    methods: tuple[Method, ...] | None = None
    """What learns: any of these ways."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        bounds = {"learning_rate_factor": (1e-3, 1e3), "epochs": (1, 1000), "layer_decay": (0.01, 1.0),
                  "head_dropout": (0.0, 0.99), "label_smoothing": (0.0, 0.99)}  # fmt: skip
        for name, (least, most) in bounds.items():
            ends = getattr(self, name)
            if ends is not None and not least <= ends[0] <= ends[1] <= most:
                raise ValueError(f"`{name}` must be low and high between {least:g} and {most:g}; got {ends!r}")
        for name in ("batch_size", "methods"):
            choices = getattr(self, name)
            if choices is not None and (not choices or len(set(choices)) != len(choices)):
                raise ValueError(f"`{name}` must be different values, at least one; got {choices!r}")
        if self.batch_size is not None and min(self.batch_size) < 1:
            raise ValueError(f"`batch_size` must be 1 or more; got {self.batch_size!r}")
        return self


class Recipes:
    """Turn draws from a space into recipes.

    Parameters
    ----------
    config : where the search starts
    space : what may vary
    resolved : the backbone
    contract : label contract; smoothing varies only where it is defined
    """

    def __init__(
        self, config: FinetuneConfig, space: SearchSpace, resolved: ResolvedBackbone, contract: LabelContract
    ) -> None:
        self.config, self.space = config, space
        smooths = contract.kind == "single-label" and config.objective.loss != "focal"
        self.smoothing = space.label_smoothing if smooths else None
        # Widths are read from the model's settings, so that no weight is loaded only to know a learning rate.
        settings = AutoConfig.from_pretrained(resolved.folder, local_files_only=True)
        self.width = hidden_width(SimpleNamespace(config=settings))  # type: ignore[arg-type]  # only `config` is read

    def draw(self, trial: optuna.Trial) -> tuple[FinetuneConfig, dict[str, Any]]:
        """Return the recipe of a trial, and what varied in it."""
        config, space = self.config, self.space
        chosen: dict[str, Any] = {}
        adapter, optimizer, objective = config.adapter, config.optimizer, config.objective
        if space.methods is not None:
            chosen["method"] = trial.suggest_categorical("method", space.methods)
            adapter = adapter.replace(method=chosen["method"])
        if space.learning_rate_factor is not None:
            factor = trial.suggest_float("learning_rate_factor", *space.learning_rate_factor, log=True)
            # Rounded, so that the recipe people read is the recipe that ran.
            chosen["learning_rate"] = float(f"{factor * peak_rate(optimizer, adapter, self.width):.3g}")
            optimizer = optimizer.replace(learning_rate=chosen["learning_rate"])
        if space.layer_decay is not None:
            chosen["layer_decay"] = round(trial.suggest_float("layer_decay", *space.layer_decay), 3)
            optimizer = optimizer.replace(layer_decay=chosen["layer_decay"])
        if self.smoothing is not None:
            chosen["label_smoothing"] = round(trial.suggest_float("label_smoothing", *self.smoothing), 3)
            objective = objective.replace(label_smoothing=chosen["label_smoothing"])
        changes: dict[str, Any] = {"adapter": adapter, "optimizer": optimizer, "objective": objective}
        if space.epochs is not None:
            chosen["epochs"] = changes["epochs"] = trial.suggest_int("epochs", *space.epochs)
        if space.batch_size is not None:
            chosen["batch_size"] = changes["batch_size"] = trial.suggest_categorical("batch_size", space.batch_size)
        if space.head_dropout is not None:
            chosen["head_dropout"] = changes["head_dropout"] = round(
                trial.suggest_float("head_dropout", *space.head_dropout), 3
            )
        return config.replace(**changes), chosen

    def start(self) -> dict[str, Any]:
        """Return the recipe as it came as a draw; what lies outside the space is left to the sampler."""
        config, space = self.config, self.space
        ranges = {
            "learning_rate_factor": (1.0, space.learning_rate_factor),
            "epochs": (config.epochs, space.epochs),
            "layer_decay": (config.optimizer.layer_decay, space.layer_decay),
            "head_dropout": (config.head_dropout, space.head_dropout),
            "label_smoothing": (config.objective.label_smoothing, self.smoothing),
        }
        choices = {
            "batch_size": (config.batch_size, space.batch_size),
            "method": (config.adapter.method, space.methods),
        }
        inside = {name: value for name, (value, ends) in ranges.items() if ends and ends[0] <= value <= ends[1]}
        return inside | {name: value for name, (value, known) in choices.items() if known and value in known}
