"""Sentence embeddings of a backbone as it was pretrained: what fine-tuning starts from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.models.backbones import ResolvedBackbone
from tapereader.models.network import Pooling, TextNetwork, hidden_width, load_backbone
from tapereader.training.batches import Collator, batches_by_length, encode
from tapereader.training.optimization import Precision, resolve_precision

Embed = Callable[[list[str], list[str] | None], NDArray[np.float64]]


def frozen_embedding(resolved: ResolvedBackbone, *, max_length: int, precision: Precision = "auto") -> Embed:
    """Return a function from N texts (and pairs) to array (N, D) of pooled embeddings.

    Long documents are chunked, and the chunks' embeddings averaged by their tokens. Encoders are pooled by the mean,
    decoders by the last token, as in fine-tuning.

    Parameters
    ----------
    resolved : the backbone
    max_length : tokens in a chunk
    precision : as in training
    """
    backbone = load_backbone(resolved.folder, encoder_dropout=0.0)
    width = hidden_width(backbone)
    pooling: Pooling = "last" if resolved.backbone.kind == "decoder" else "mean"
    network = TextNetwork(backbone, width=width, outputs=1, pooling=pooling, dropout=0.0, loss=None).eval()
    if resolve_precision(precision) == "bfloat16":
        network.backbone.to(torch.bfloat16)
    tokenizer = ChunkingTokenizer(
        resolved.folder / "tokenizer.json", max_length=max_length, prefix=resolved.backbone.prefix
    )
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)

    @torch.no_grad()
    def embed(texts: list[str], pairs: list[str] | None) -> NDArray[np.float64]:
        dataset = encode(tokenizer, texts, pairs)
        out = np.zeros((len(dataset), width))
        for positions in batches_by_length(dataset, token_budget=4096):
            batch = collator([dataset[position] for position in positions])
            names = ("input_ids", "token_type_ids", "attention_mask")
            states = network.embed(**{name: batch[name] for name in names if name in batch}).double().numpy()
            weight = batch["attention_mask"].sum(dim=1).double().numpy()
            owner = batch["document"].numpy()
            sums = np.zeros((len(positions), width))
            np.add.at(sums, owner, states * weight[:, None])
            out[positions] = sums / np.bincount(owner, weights=weight)[:, None]
        return out

    return embed
