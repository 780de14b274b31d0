"""The last step of every training: weights in Hugging Face layout, and the same network as one ONNX graph."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tapereader.bundle.contract import LabelContract
from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import BundleError
from tapereader.models.adapters import Bottleneck
from tapereader.models.network import TextNetwork, quiet
from tapereader.training.batches import Collator, encode
from tapereader.training.trainer import FinetunedModel

#: What the graph is compared on after export: short, long, and not English.
_PROBES = [
    "Profit rose.",
    "Sales fell 12% from EUR 8.7m, and the company issued a profit warning. " * 4,
    "营业利润同比增长。",
]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def save_weights(model: FinetunedModel, contract: LabelContract, folder: Path) -> None:
    """Write backbone, head and tokenizer.

    The backbone opens with ``AutoModel.from_pretrained(folder)``; ``head.safetensors`` holds ``weight`` (W, D) and
    ``bias`` (W,). What could not be folded into the backbone stands in ``adapter/`` (PEFT's own layout) or
    ``adapter.safetensors`` (bottleneck adapters).

    Parameters
    ----------
    model : trained
    contract : written into ``config.json`` as ``id2label``
    folder : is created
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = model.network
    backbone: Any = network.backbone
    names = list(contract.names)
    if hasattr(backbone, "peft_config"):
        backbone.save_pretrained(folder / "adapter")
        # PEFT notes where the base model lay on this machine; that is nobody's business.
        _rewrite(folder / "adapter" / "adapter_config.json", base_model_name_or_path="..")
        (folder / "adapter" / "README.md").unlink(missing_ok=True)  # an empty form; the bundle's card is the card
        backbone = backbone.get_base_model()
    state, adapters = _split_bottlenecks(backbone)
    backbone.config.id2label = dict(enumerate(names))
    backbone.config.label2id = {name: index for index, name in enumerate(names)}
    with quiet():
        backbone.save_pretrained(folder, state_dict=state)
    _rewrite(folder / "config.json", _name_or_path=None)
    if adapters:
        save_file(adapters, folder / "adapter.safetensors")
    save_file({"weight": network.head.weight.detach().contiguous(), "bias": network.head.bias.detach()},
              folder / "head.safetensors")  # fmt: skip
    for name in TOKENIZER_FILES:
        if (model.resolved.folder / name).is_file():
            shutil.copyfile(model.resolved.folder / name, folder / name)


def export_onnx(model: FinetunedModel, path: Path) -> float:
    """Write the network as ONNX and check that it computes the same.

    Inputs ``input_ids``, ``attention_mask`` and, where the backbone reads them, ``token_type_ids`` (B, L); outputs
    ``logits`` (B, W) and ``embedding`` (B, D), one row a chunk. Batch and length are free.

    Parameters
    ----------
    model : trained
    path : of the ``.onnx`` file

    Returns
    -------
    float, the greatest difference of any logit on the probes

    Raises
    ------
    BundleError
        If the graph differs from the network by more than 1e-3.
    """
    onnxruntime = onnx_runtime()
    path.parent.mkdir(parents=True, exist_ok=True)
    network = model.network.eval()
    collator = Collator(pad_id=0, type_ids=network.takes_type_ids)
    batch = collator(encode(model.tokenizer, _PROBES, None).documents)
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if network.takes_type_ids else [])
    inputs = tuple(batch[name] for name in names)
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter warns of every shape it reads and of its own age; the check below is what counts.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Graph(network), inputs, str(path), input_names=names, output_names=["logits", "embedding"],
            dynamic_axes={name: {0: "chunks", 1: "tokens"} for name in names}
            | {"logits": {0: "chunks"}, "embedding": {0: "chunks"}},
            opset_version=17, dynamo=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    # Each probe alone too: a graph that froze the traced shape would agree on the traced batch only.
    for documents in [encode(model.tokenizer, _PROBES, None).documents] + [
        encode(model.tokenizer, [probe], None).documents for probe in _PROBES
    ]:
        batch = collator(documents)
        with torch.no_grad():
            expected = _Graph(network)(*(batch[name] for name in names))[0].numpy()
        got = session.run(["logits"], {name: batch[name].numpy() for name in names})[0]
        worst = max(worst, float(np.abs(expected - got).max()))
    if worst > 1e-3:
        raise BundleError(f"The exported graph must compute what was trained; its logits differ by {worst:.2g}.")
    return worst


class _Graph(nn.Module):
    """The network on one chunk a row, with plain positional inputs."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        inputs = {"input_ids": input_ids}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        embedding = self.network.embed(attention_mask, **inputs)
        return self.network.head(embedding), embedding


def _split_bottlenecks(backbone: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights under the names of a backbone without adapters, and the adapters' own."""
    wrapped = [name for name, module in backbone.named_modules() if isinstance(module, Bottleneck)]
    state: dict[str, Tensor] = {}
    adapters: dict[str, Tensor] = {}
    for name, tensor in backbone.state_dict().items():
        owner = next((prefix for prefix in wrapped if name.startswith(prefix + ".")), None)
        if owner is None:
            state[name] = tensor
        elif name.startswith(f"{owner}.inner."):
            state[owner + name.removeprefix(f"{owner}.inner")] = tensor
        else:
            adapters[name] = tensor.contiguous()
    return state, adapters


def _rewrite(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    values |= {key: value for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None]:
        values.pop(key, None)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
