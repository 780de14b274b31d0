"""Losses for each kind of answer: what the output layer is asked to get right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from tapereader.bundle.contract import LabelContract
from tapereader.core.config import Config

Loss = Callable[[Tensor, Tensor], Tensor]


class ObjectiveConfig(Config):
    """What training minimises."""

    loss: Literal["auto", "cross-entropy", "focal", "mse", "huber"] = "auto"
    """`auto`: cross-entropy for labels (cumulative for ordinal ones), mse for regression."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weights each class by the inverse of its share in the training part."""
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target spread evenly over all classes; single-label cross-entropy only."""
    focal_gamma: float = Field(default=2.0, ge=0.0)
    """How strongly the focal loss discounts examples that are already right."""
    huber_delta: float = Field(default=1.0, gt=0.0)
    """Where the Huber loss turns from square to straight, in standard deviations of the target."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.label_smoothing and self.loss == "focal":
            raise ValueError("`label_smoothing` goes with cross-entropy; got loss 'focal'")
        return self


def build_loss(contract: LabelContract, objective: ObjectiveConfig, targets: NDArray[np.float64]) -> Loss:
    """Return the loss for a contract.

    Parameters
    ----------
    contract : label contract
    objective : what to minimise
    targets : training targets as `LabelledText.targets` gives them, for the class weights

    Returns
    -------
    callable ``loss(logits (N, W), labels) -> scalar``; labels are positions (N,), 0/1 (N, C) or standardised values
    (N,)

    Raises
    ------
    ValueError
        If the loss, smoothing or weights do not fit the contract's kind.

    References
    ----------
    Lin et al. (2017), Focal Loss for Dense Object Detection, ICCV, eq. 5; Szegedy et al. (2016), CVPR, sec. 7.
    """
    regression = contract.kind == "regression"
    if regression != (objective.loss in ("mse", "huber")) and objective.loss != "auto":
        raise ValueError(f"Loss {objective.loss!r} does not fit a {contract.kind} contract.")
    if objective.label_smoothing and contract.kind != "single-label":
        raise ValueError(f"`label_smoothing` fits single-label contracts only; got {contract.kind}.")
    if objective.class_weights == "balanced" and regression:
        raise ValueError(f"`class_weights` fit labels only; got {contract.kind}.")
    if regression:
        return _regression_loss(objective)
    weights = class_weights(contract, targets) if objective.class_weights == "balanced" else None
    gamma = objective.focal_gamma if objective.loss == "focal" else 0.0
    if contract.kind == "single-label":
        return _single_label_loss(weights, gamma, objective.label_smoothing)
    if contract.kind == "ordinal":
        return _ordinal_loss(len(contract.names), weights, gamma)
    return _binary_loss(weights, gamma)


def build_taught_loss(contract: LabelContract, hard: Loss, *, temperature: float, share: float) -> Loss:
    """Return the loss of a student: how far it is from its teacher, and from the labels.

    The teacher's part is the cross-entropy between both at a temperature, times its square, which keeps the size of the
    gradient; for numbers the squared distance.

    Parameters
    ----------
    contract : label contract
    hard : loss of the labels, as :func:`build_loss` returns it
    temperature : above 0
    share : of the teacher's part, in [0, 1]

    Returns
    -------
    callable ``loss(logits (N, W), labels) -> scalar``; labels are rows of the teacher's W raw outputs, and behind them
    what ``hard`` takes

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network, sec. 2.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        width = logits.shape[1]
        teacher, own = labels[:, :width].to(logits), labels[:, width:]
        if contract.kind == "single-label":
            own = own[:, 0].long()
            stated = functional.log_softmax(logits / temperature, dim=1)
            wanted = functional.softmax(teacher / temperature, dim=1)
            soft = functional.kl_div(stated, wanted, reduction="batchmean") * temperature**2
        elif contract.kind == "regression":
            own, soft = own[:, 0], functional.mse_loss(logits, teacher)
        else:
            own = own[:, 0].long() if contract.kind == "ordinal" else own
            wanted = torch.sigmoid(teacher / temperature)
            soft = functional.binary_cross_entropy_with_logits(logits / temperature, wanted) * temperature**2
        return share * soft + (1.0 - share) * hard(logits, own)

    return loss


def class_weights(contract: LabelContract, targets: NDArray[np.float64]) -> Tensor:
    """Return weights (C,) inverse to class frequency, averaging 1 over the training rows.

    For multi-label they are the weights of the positive side: negatives over positives, at most 100, so that a class
    seen once does not drown the rest.
    """
    if contract.kind == "multi-label":
        positives = targets.sum(axis=0)
        return torch.tensor(np.clip((len(targets) - positives) / np.maximum(positives, 1), 0.01, 100.0)).float()
    counts = np.bincount(targets.astype(np.int64), minlength=len(contract.names))
    present = int((counts > 0).sum())
    return torch.tensor(len(targets) / (present * np.maximum(counts, 1))).float()


def _regression_loss(objective: ObjectiveConfig) -> Loss:
    if objective.loss == "huber":
        return lambda logits, labels: functional.huber_loss(logits[:, 0], labels.float(), delta=objective.huber_delta)
    return lambda logits, labels: functional.mse_loss(logits[:, 0], labels.float())


def _single_label_loss(weights: Tensor | None, gamma: float, smoothing: float) -> Loss:
    if not gamma:
        return lambda logits, labels: functional.cross_entropy(
            logits, labels, weight=_on(weights, logits), label_smoothing=smoothing
        )

    def focal(logits: Tensor, labels: Tensor) -> Tensor:
        plain = functional.cross_entropy(logits, labels, reduction="none")
        losses = (1.0 - torch.exp(-plain)) ** gamma * plain
        return losses.mean() if weights is None else (losses * _on(weights, logits)[labels]).mean()  # type: ignore[index]  # not None here

    return focal


def _ordinal_loss(n_classes: int, weights: Tensor | None, gamma: float) -> Loss:
    steps = torch.arange(n_classes - 1)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        above = (labels[:, None] > steps.to(logits.device)).float()
        losses = _binary(logits, above, gamma).mean(dim=1)
        return losses.mean() if weights is None else (losses * weights.to(logits.device)[labels]).mean()

    return loss


def _binary_loss(weights: Tensor | None, gamma: float) -> Loss:
    return lambda logits, labels: _binary(logits, labels.float(), gamma, _on(weights, logits)).mean()


def _binary(logits: Tensor, labels: Tensor, gamma: float, positive_weight: Tensor | None = None) -> Tensor:
    plain = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=positive_weight, reduction="none")
    if not gamma:
        return plain
    wrong = torch.sigmoid(torch.where(labels > 0.5, -logits, logits))
    return wrong**gamma * plain


def _on(weights: Tensor | None, like: Tensor) -> Tensor | None:
    return None if weights is None else weights.to(like.device)
