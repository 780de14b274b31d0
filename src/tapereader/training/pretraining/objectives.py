"""Networks that guess something about unlabelled text, around any pretrained encoder or decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from tapereader.core.errors import BundleError
from tapereader.models.network import load_backbone, quiet
from tapereader.training.pretraining.chunks import IGNORED, Objective


class PretrainingNetwork(nn.Module):
    """A pretrained network and the loss it goes on learning by.

    Parameters
    ----------
    model : of transformers, with the head that its objective needs
    fresh : names of head weights that the checkpoint did not have; they start from nothing
    """

    #: The trainer asks for it when a checkpoint holds tied weights once.
    _keys_to_ignore_on_save: ClassVar[None] = None

    def __init__(self, model: PreTrainedModel, fresh: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.model = model
        self.fresh = fresh


class MaskedNetwork(PretrainingNetwork):
    """Guess masked tokens from both sides.

    The output layer is the input embedding, as in BERT. It is run on the masked places alone, which spares six sevenths
    of the largest product. Where a checkpoint has no such head (sentence encoders are published without), a transform
    with weights of its own is put before it.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the mean ``loss`` over the ``n`` places (B, L) whose label is a token."""
        places = labels != IGNORED
        model: Any = self.model
        head = getattr(model, "cls", None) or getattr(model, "lm_head", None)
        if head is None:
            logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[places]
        else:
            hidden = model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = head(hidden[places])
        return {"loss": nn.functional.cross_entropy(logits.float(), labels[places]), "n": places.sum()}


class CausalNetwork(PretrainingNetwork):
    """Guess each token from those before it."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the mean ``loss`` over the ``n`` tokens (B, L) that have one before them."""
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits[:, :-1]
        targets = labels[:, 1:]
        loss = nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1))
        return {"loss": loss, "n": (targets != IGNORED).sum()}


class ContrastiveNetwork(PretrainingNetwork):
    """Find a text again among others, after dropout has changed it: unsupervised SimCSE.

    The embedding is the mean over tokens, which is what fine-tuning pools too, and not the first token's; there is no
    further layer. Chunks of one document are not held against each other.

    Parameters
    ----------
    model : an encoder with dropout
    temperature : cosine similarities are divided by it

    References
    ----------
    Gao, Yao and Chen (2021), SimCSE, EMNLP, eq. 4.
    """

    def __init__(self, model: PreTrainedModel, *, temperature: float) -> None:
        super().__init__(model)
        self.temperature = temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor, document: Tensor) -> dict[str, Tensor]:
        """Return the mean ``loss`` over ``n`` chunks of the documents (B,)."""
        ids, mask = torch.cat([input_ids, input_ids]), torch.cat([attention_mask, attention_mask])
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weight = mask.unsqueeze(-1).float()
        first, second = nn.functional.normalize((hidden * weight).sum(dim=1) / weight.sum(dim=1), dim=-1).chunk(2)
        similarity = first @ second.T / self.temperature
        same = (document[:, None] == document[None, :]) & ~torch.eye(
            len(document), dtype=torch.bool, device=document.device
        )
        own = torch.arange(len(document), device=document.device)
        loss = nn.functional.cross_entropy(similarity.masked_fill(same, -torch.inf), own)
        return {"loss": loss, "n": torch.tensor(len(document))}


def build_pretraining_network(
    folder: Path, objective: Objective, *, dropout: float, temperature: float
) -> PretrainingNetwork:
    """Open a model folder under the head of an objective; a fresh head depends on torch's seed alone.

    Parameters
    ----------
    folder : Hugging Face layout
    objective : what is guessed
    dropout : put on every dropout of the network
    temperature : for `contrastive`

    Raises
    ------
    BundleError
        If the folder lacks weights of the network itself.
    """
    if objective == "contrastive":
        return ContrastiveNetwork(load_backbone(folder, encoder_dropout=dropout), temperature=temperature)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    for name in dropout_fields(config):
        setattr(config, name, dropout)
    cls: Any = transformers.AutoModelForMaskedLM if objective == "masked" else transformers.AutoModelForCausalLM
    with quiet():
        # Eager attention: for short texts on a CPU the backward pass of the fused kernel takes 2.6 times as long.
        model, info = cls.from_pretrained(
            folder, config=config, local_files_only=True, dtype=torch.float32, attn_implementation="eager",
            use_safetensors=True, output_loading_info=True,
        )  # fmt: skip
    fresh = frozenset(info["missing_keys"])
    inner = f"{model.base_model_prefix}."
    lost = sorted(name for name in fresh if name.startswith(inner))
    if lost:
        raise BundleError(
            f"A model folder must hold all weights of its network; {len(lost)} are missing, the first is {lost[0]!r}, "
            f"in {folder}."
        )
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    return (MaskedNetwork if objective == "masked" else CausalNetwork)(model, fresh)


def dropout_fields(config: Any) -> list[str]:
    """Return the fields of a network's config that are probabilities of dropout inside it."""
    outside = ("classifier", "summary", "layerdrop", "path")
    return [
        name
        for name, value in vars(config).items()
        if "drop" in name and isinstance(value, float | int) and not any(word in name for word in outside)
    ]
