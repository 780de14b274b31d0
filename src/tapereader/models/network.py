"""A pretrained backbone, a pooling and one linear layer: the network behind every labelled task."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as hf_logging

from tapereader.core.errors import ConfigError
from tapereader.models.heads import Loss
from tapereader.models.unpadding import Layout, first_position

Pooling = Literal["mean", "last"]
#: Where a model type needs its encoder alone; the decoder of these would only cost time.
_ENCODER_ONLY = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}


class TextNetwork(nn.Module):
    """Backbone, pooling over tokens, dropout, linear layer.

    The head is linear on purpose: the logits of a long document are then the token-weighted mean of its chunks'
    logits, exactly as if the chunks' embeddings had been pooled first, so one exported graph serves short and long.

    Parameters
    ----------
    backbone : encoder or decoder giving ``last_hidden_state`` (B, L, D)
    width : D
    outputs : W, raw outputs of the head
    pooling : ``mean`` over real tokens, or ``last`` real token (decoders)
    dropout : on the pooled embedding, while training
    loss : what :meth:`forward` computes where labels are given

    Attributes
    ----------
    slice_tokens : while training, a batch of more than three times as many tokens (one of very long documents) is run
        in slices of so many, whose insides are computed again for the backward pass: memory stays that of one slice
    centre, gain : what the head reads is ``(embedding - centre) * gain``; None and 1 unless
        :func:`tapereader.training.standardising.standardise_embedding` set them, and again after :meth:`fold`
    unpads : whether the backbone sees real tokens alone; set by :func:`tapereader.models.unpadding.unpadded`
    """

    #: Read by transformers' Trainer when a checkpoint lacks the second name of a tied weight.
    _keys_to_ignore_on_save: tuple[str, ...] | None = None

    def __init__(
        self, backbone: nn.Module, *, width: int, outputs: int, pooling: Pooling, dropout: float, loss: Loss | None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.loss = loss
        self.slice_tokens: int | None = None
        self.register_buffer("centre", None, persistent=False)
        self.centre: Tensor | None
        self.gain = 1.0
        self.unpads = False
        self.takes_type_ids = takes_type_ids(backbone)

    def embed(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        """Pool the last hidden state of each chunk.

        Parameters
        ----------
        attention_mask : (B, L)
        inputs : ``input_ids`` (B, L) or ``inputs_embeds`` (B, L, D), and ``token_type_ids`` where the backbone has them

        Returns
        -------
        tensor (B, D), float32
        """
        hidden = self._hidden(attention_mask, inputs)
        # Prompt tuning puts its virtual tokens first and returns them with the rest; they are not part of the text.
        hidden = hidden[:, hidden.shape[1] - attention_mask.shape[1] :]
        if self.pooling == "last":
            last = attention_mask.long().sum(dim=1) - 1
            # The shape and not `len`: an exported graph keeps it free, where `len` would freeze the traced batch.
            found: Tensor = hidden[torch.arange(hidden.shape[0], device=hidden.device), last.clamp(min=0)]
            return found.float()
        mask = attention_mask.unsqueeze(-1).to(torch.float32)
        pooled: Tensor = (hidden.float() * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)
        return pooled

    @torch.no_grad()
    def fold(self) -> None:
        """Write centre and gain into the head, which then gives the same logits from the embedding as it is."""
        if self.centre is None:
            return
        self.head.weight.mul_(self.gain)
        self.head.bias.sub_(self.head.weight @ self.centre.to(self.head.weight))
        self.centre, self.gain = None, 1.0

    @torch.no_grad()
    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        """Take over a folded head (W, D) and (W,), so that it gives the same logits behind this centre and gain."""
        self.head.weight.copy_(weight / self.gain)
        self.head.bias.copy_(bias if self.centre is None else bias + weight @ self.centre.to(weight))

    def _hidden(self, attention_mask: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        if not self.unpads:
            out: Tensor = self.backbone(attention_mask=attention_mask, **inputs).last_hidden_state
            return out
        # A backbone whose every layer was run before has no parameter left, and no attention that would ask for a type.
        dtype = next(self.backbone.parameters(), self.head.weight).dtype
        layout = Layout.of(attention_mask, dtype)
        rows = {name: layout.row(value) for name, value in inputs.items()}
        positions = layout.positions(first_position(self.backbone))
        return layout.rectangle(self.backbone(position_ids=positions, layout=layout, **rows).last_hidden_state)

    def _embed_bounded(self, attention_mask: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """Embed all chunks at once, or slice by slice where they would take too much memory."""
        tokens = self.slice_tokens
        if tokens is None or not (self.training and torch.is_grad_enabled()) or attention_mask.numel() <= 3 * tokens:
            return self.embed(attention_mask, **inputs)
        rows = max(1, tokens // attention_mask.shape[1])

        def embed(part: slice) -> Tensor:
            return self.embed(attention_mask[part], **{name: value[part] for name, value in inputs.items()})

        starts = range(0, len(attention_mask), rows)
        embedded: list[Tensor] = [checkpoint(embed, slice(n, n + rows), use_reentrant=False) for n in starts]
        return torch.cat(embedded)

    def forward(
        self,
        attention_mask: Tensor,
        document: Tensor,
        n_documents: int,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``logits`` (N, W), and ``loss`` where labels are given.

        Parameters
        ----------
        attention_mask, input_ids, token_type_ids : (B, L), B chunks of N documents
        document : (B,) which document each chunk belongs to
        n_documents : N
        inputs_embeds : (B, L, D) instead of ids, where lower layers were run before
        labels : as :func:`tapereader.models.heads.build_loss` takes them
        """
        inputs = {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "token_type_ids": token_type_ids}
        pooled = self._embed_bounded(
            attention_mask, {name: value for name, value in inputs.items() if value is not None}
        )
        if self.centre is not None:
            pooled = (pooled - self.centre) * self.gain
        chunk_logits = self.head(self.dropout(pooled).to(self.head.weight.dtype)).float()
        if len(chunk_logits) == n_documents:
            logits = chunk_logits
        else:
            weight = attention_mask.sum(dim=1, keepdim=True).float()
            total = torch.zeros(n_documents, 1, device=weight.device).index_add_(0, document, weight)
            logits = torch.zeros(n_documents, chunk_logits.shape[1], device=weight.device).index_add_(
                0, document, chunk_logits * (weight / total[document])
            )
        out = {"logits": logits}
        if labels is not None and self.loss is not None:
            out["loss"] = self.loss(logits, labels)
        return out


def load_backbone(folder: Path, *, encoder_dropout: float, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Open a Hugging Face model folder as a text encoder.

    Attention is ``eager``: for short texts on a CPU the backward pass of the fused kernel takes 2.6 times as long.

    Parameters
    ----------
    folder : with ``config.json`` and safetensors weights
    encoder_dropout : probability set on every dropout of the backbone
    dtype : of the weights

    Raises
    ------
    ConfigError
        If the folder holds a model this cannot train for labels.
    """
    import transformers

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attn_pdrop", "embd_pdrop", "resid_pdrop",
                 "attention_dropout", "dropout_rate", "embedding_dropout", "mlp_dropout"):  # fmt: skip
        if hasattr(config, name):
            setattr(config, name, encoder_dropout)
    if config.is_encoder_decoder and config.model_type not in _ENCODER_ONLY:
        raise ConfigError(
            f"Labels can be learnt on encoders, decoders and the T5 family; got the model type {config.model_type!r}. "
            "Use task kind `generation` with it, or another backbone."
        )
    cls = getattr(transformers, _ENCODER_ONLY.get(config.model_type, "AutoModel"), AutoModel)
    extra = {"add_pooling_layer": False} if _has_pooler(config) else {}
    with quiet():
        model: PreTrainedModel = cls.from_pretrained(
            folder, config=config, local_files_only=True, dtype=dtype, attn_implementation="eager",
            use_safetensors=True, **extra,
        )  # fmt: skip
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    return model


def hidden_width(backbone: nn.Module) -> int:
    """Return D, whatever the family calls it."""
    config: Any = backbone.config
    for name in ("hidden_size", "d_model", "n_embd", "dim"):
        if hasattr(config, name):
            return int(getattr(config, name))
    raise ConfigError(f"The hidden width of model type {config.model_type!r} is not known.")


def position_limit(backbone: nn.Module) -> int | None:
    """Return how many tokens fit on the backbone's learnt or stated positions; None where positions are relative."""
    config: Any = backbone.config
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    # The RoBERTa family counts positions from behind the padding mark's index, so the first ones are never used.
    unused = getattr(getattr(backbone, "embeddings", None), "padding_idx", None)
    return None if limit is None else int(limit) - (0 if unused is None else int(unused) + 1)


def transformer_layers(backbone: nn.Module) -> nn.ModuleList:
    """Return the stack of transformer blocks, bottom first.

    Raises
    ------
    ConfigError
        If the network has no list of as many blocks as its config says.
    """
    config: Any = backbone.config
    count = next(
        (
            getattr(config, name)
            for name in ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
            if hasattr(config, name)
        ),
        None,
    )
    for module in backbone.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ConfigError(f"The layers of model type {config.model_type!r} are not known; use `method: full` or `head`.")


def embedding_parameters(backbone: nn.Module) -> list[nn.Parameter]:
    """Return the parameters below the first block: word, position and type embeddings."""
    above = {id(parameter) for parameter in transformer_layers(backbone).parameters()}
    return [
        parameter
        for name, parameter in backbone.named_parameters()
        if id(parameter) not in above and any(part in name for part in ("embed", "shared", "wte", "wpe"))
    ]


def takes_type_ids(backbone: nn.Module) -> bool:
    """Say whether the backbone reads segment ids."""
    config: Any = backbone.config
    inner: Any = backbone
    if hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    return getattr(config, "type_vocab_size", 0) > 1 and "token_type_ids" in inspect.signature(inner.forward).parameters


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and its table of left-out pooler weights off the terminal; errors still come through."""
    bar, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves its logging untyped
    hf_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # likewise
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bar:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # likewise


def _has_pooler(config: Any) -> bool:
    cls: Any = AutoModel._model_mapping.get(type(config), None)
    if isinstance(cls, tuple):
        cls = cls[0]
    return cls is not None and "add_pooling_layer" in inspect.signature(cls.__init__).parameters
