"""What a network answers while it is being made: raw outputs, and the score that choices are made by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tapereader.bundle.contract import LabelContract
from tapereader.metrics.forecasts import macro_f1, spearman
from tapereader.models.network import TextNetwork
from tapereader.training.batches import Collator, EncodedDataset, batches_by_length


@torch.no_grad()
def predict_logits(network: TextNetwork, dataset: EncodedDataset, *, token_budget: int = 4096) -> NDArray[np.float64]:
    """Return raw outputs (N, W) in the order of the documents, computed in batches of like length."""
    was_training = network.training
    network.eval()
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)
    device = network.head.weight.device
    out = np.zeros((len(dataset), network.head.out_features))
    for positions in batches_by_length(dataset, token_budget=token_budget):
        batch = collator([dataset[position] for position in positions])
        batch.pop("labels", None)
        batch = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        out[positions] = network(**batch)["logits"].double().cpu().numpy()
    network.train(was_training)
    return out


def validation_score(contract: LabelContract, targets: NDArray[Any], outputs: NDArray[np.float64]) -> float:
    """Return what early stopping and search maximise: macro-F1, or rank correlation for regression."""
    if contract.kind == "regression":
        return spearman(targets, outputs)
    if contract.kind == "multi-label":
        return macro_f1(targets, (outputs >= 0.5).astype(np.int64))
    return macro_f1(targets, outputs.argmax(axis=1))
