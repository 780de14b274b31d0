"""Run an encoder on real tokens alone: padding is put in where attention needs it, and taken out again.

A batch of texts of unlike length is a rectangle with empty places, and every linear layer works on them for nothing:
for each ten real tokens one of a large set in batches of like length, three of a small one. Here the texts stand one
behind the other in one long row; only attention, which must keep them apart, sees the rectangle. The result is that of
the rectangle up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

#: Encoders whose attention is looked up by name and whose positions can be stated.
_MODEL_TYPES = ("bert", "roberta", "xlm-roberta", "electra")
_NAME = "tapereader-unpadded"


@dataclass(frozen=True)
class Layout:
    """Where the T real tokens of a batch stand in its rectangle of B chunks and L places.

    Parameters
    ----------
    shape : (B, L)
    places : (T,) place of each real token in the flattened rectangle
    sources : (B * L,) real token that fills each place; any one where the place is empty
    empty : places without a token
    bias : (B, 1, 1, L) added to the scores of attention: 0, or the lowest number on an empty place
    """

    shape: tuple[int, int]
    places: Tensor
    sources: Tensor
    empty: Tensor
    bias: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor, dtype: torch.dtype) -> Layout:
        """Read it from a mask (B, L) of 1 and 0, the ones first in every row."""
        real = attention_mask.flatten() != 0
        bias = torch.zeros(attention_mask.shape, dtype=dtype, device=real.device)
        bias.masked_fill_(attention_mask == 0, torch.finfo(dtype).min)
        return cls(
            shape=(attention_mask.shape[0], attention_mask.shape[1]),
            places=real.nonzero().squeeze(1),
            sources=(real.cumsum(0) - 1).clamp(min=0),
            empty=(~real).nonzero().squeeze(1),
            bias=bias[:, None, None, :],
        )

    def row(self, rectangle: Tensor) -> Tensor:
        """Return the real tokens of (B, L, ...) as one row (1, T, ...)."""
        return rectangle.flatten(0, 1).index_select(0, self.places)[None]

    def rectangle(self, row: Tensor) -> Tensor:
        """Return (B, L, D) from a row (1, T, D); empty places hold some token's values and must be masked."""
        out: Tensor = _Spread.apply(row[0], self)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return out.view(*self.shape, -1)

    def positions(self, first: int) -> Tensor:
        """Return the position (1, T) of each real token in its own text, counted from ``first``."""
        return (self.places % self.shape[1] + first)[None]


class _Spread(torch.autograd.Function):
    """Row to rectangle. What flows back from an empty place is zero, so both directions are plain look-ups."""

    @staticmethod
    def forward(ctx: Any, row: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return row.index_select(0, layout.sources)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.index_select(0, ctx.layout.places), None


class _Gather(torch.autograd.Function):
    """Rectangle to row; empty places get no gradient."""

    @staticmethod
    def forward(ctx: Any, rectangle: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return rectangle.index_select(0, layout.places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        spread = gradient.index_select(0, ctx.layout.sources)
        return spread.index_fill_(0, ctx.layout.empty, 0.0), None


def can_unpad(backbone: nn.Module) -> bool:
    """Say whether the backbone is an encoder that can be run on real tokens alone."""
    config: Any = backbone.config
    return config.model_type in _MODEL_TYPES and not config.is_decoder


@contextmanager
def unpadded(network: Any) -> Iterator[None]:
    """Let a :class:`tapereader.models.network.TextNetwork` run on real tokens alone while the block lasts.

    Parameters
    ----------
    network : its backbone is one of :func:`can_unpad`, or such a one with an update beside its weights
    """
    backbone = network.backbone
    inner = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    before = inner.config._attn_implementation
    inner.set_attn_implementation(_NAME)
    network.unpads = True
    try:
        yield
    finally:
        network.unpads = False
        inner.set_attn_implementation(before)


def first_position(backbone: nn.Module) -> int:
    """Return the position of a text's first token: 0, or behind the padding mark's index in the RoBERTa family."""
    config: Any = backbone.config
    return int(config.pad_token_id) + 1 if "roberta" in config.model_type else 0


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  # the library's signature; the layout has its own
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    layout: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within each text; queries, keys and values (1, H, T, D / H) in, (1, T, H, D / H) out."""
    heads, width = query.shape[1], query.shape[3]
    chunks, length = layout.shape

    def spread(row: Tensor) -> Tensor:
        places = layout.rectangle(row.transpose(1, 2).flatten(2))
        return places.view(chunks, length, heads, width).transpose(1, 2).reshape(chunks * heads, length, width)

    scaled = query * (width**-0.5 if scaling is None else scaling)
    # One copy to contiguous heads and a bias added in place: a quarter less time than broadcasting products.
    scores = torch.bmm(spread(scaled), spread(key).transpose(1, 2)).view(chunks, heads, length, length)
    weights = nn.functional.dropout(scores.add_(layout.bias).softmax(dim=-1), p=dropout, training=module.training)
    attended = torch.bmm(weights.view(chunks * heads, length, length), spread(value)).view(chunks, heads, length, width)
    gathered: Tensor = _Gather.apply(attended.transpose(1, 2).reshape(-1, heads * width), layout)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return gathered.view(1, -1, heads, width), None


AttentionInterface.register(_NAME, _attention)
