"""Weights of sixteen bits: half the file, the range of float32, and eight bits of mantissa."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file

from tapereader.training.compress.graphs import read_graph, write_graph

#: Smaller tensors (norms, biases, scalars of the graph) save nothing and are often read by more than a product.
_LEAST = 4096


def store_bf16(source: Path, target: Path) -> None:
    """Write a graph whose large weights are kept as bfloat16, each with a cast to float before it is read.

    ONNX Runtime casts once, when it opens the file, and computes in float as before; OpenVINO computes in bfloat16
    where the processor can and is asked to. Numbers are rounded to the nearest, ties to even.

    Parameters
    ----------
    source : exported network in float
    target : file to write
    """
    model = read_graph(source)
    casts: list[Any] = []
    kept: list[Any] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or _count(tensor) < _LEAST:
            kept.append(tensor)
            continue
        name = tensor.name
        narrow = helper.make_tensor(f"{name}_bf16", TensorProto.BFLOAT16, tensor.dims, _rounded(tensor), raw=True)
        casts.append(helper.make_node("Cast", [narrow.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
        kept.append(narrow)
    nodes = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend([*casts, *nodes])
    write_graph(model, target)


def store_weights_bf16(folder: Path) -> None:
    """Keep the weights of a Hugging Face folder in bfloat16, and say so in its config; the head stays as it is.

    Parameters
    ----------
    folder : with ``config.json`` and ``model.safetensors``, changed in place
    """
    state = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    stated = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "bfloat16"}
    path.write_text(json.dumps(stated, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _count(tensor: Any) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def _rounded(tensor: Any) -> bytes:
    bits = numpy_helper.to_array(tensor).view("uint32")
    # Half of what is cut off is added, and one less where the last kept bit is even: ties go to even.
    return bytes(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())
