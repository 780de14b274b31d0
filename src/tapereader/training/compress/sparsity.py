"""Weights of zero: the smallest of every matrix go, and the graph keeps only those that are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tapereader.core.errors import ConfigError
from tapereader.models.network import TextNetwork, transformer_layers
from tapereader.training.compress.graphs import product_nodes, read_graph, replace_nodes, weights, write_graph

#: Below this share of zeros a bit a weight costs more than the zeros save.
_LEAST_ZEROS = 0.1
_BITS = 8


@torch.no_grad()
def zero_smallest(network: TextNetwork, *, share: float) -> dict[str, Tensor]:
    """Set the smallest weights of every matrix in the transformer blocks to zero, in place.

    Parameters
    ----------
    network : changed
    share : of each matrix that goes, in (0, 1)

    Returns
    -------
    name of each matrix among the backbone's parameters, to a mask of its shape: True where a weight stays

    Raises
    ------
    ConfigError
        If the blocks have no linear layers.
    """
    inside = {id(module) for module in transformer_layers(network.backbone).modules() if isinstance(module, nn.Linear)}
    masks: dict[str, Tensor] = {}
    for name, module in network.backbone.named_modules():
        if id(module) not in inside or not isinstance(module, nn.Linear):
            continue
        count = round(share * module.weight.numel())
        gone = module.weight.abs().flatten().argsort(stable=True)[:count]
        mask = torch.ones(module.weight.numel(), dtype=torch.bool)
        mask[gone] = False
        masks[f"{name}.weight"] = mask.view_as(module.weight)
        module.weight.mul_(masks[f"{name}.weight"])
    if not masks:
        config: Any = network.backbone.config
        raise ConfigError(f"`sparse` needs blocks of linear layers; the model type {config.model_type!r} has none.")
    return masks


def store_sparse(source: Path, target: Path) -> None:
    """Write a graph that keeps of each mostly empty matrix its non-zero weights, and a bit for every place.

    The matrix is put together by the graph itself, from the constants alone: a runtime does that once, when it opens
    the file, and computes with full matrices as before. Less room on the disk is what is gained, no time.

    Parameters
    ----------
    source : exported network in float
    target : file to write
    """
    model = read_graph(source)
    known = weights(model)
    products = set(product_nodes(model))
    names = {node.input[1] for node in model.graph.node if node.name in products}
    nodes: list[Any] = []
    dropped: set[str] = set()
    added: dict[str, NDArray[Any]] = {}
    for name in sorted(names):
        matrix = numpy_helper.to_array(known[name])
        if matrix.dtype == np.float32 and (matrix == 0).mean() >= _LEAST_ZEROS:
            dropped.add(name)
            added |= pack(name, matrix)
            nodes += _unpacking(name)
    if nodes:
        added |= {
            "sparse_powers": 2 ** np.arange(_BITS - 1, -1, -1, dtype=np.int32)[None],
            "sparse_two": np.array(2, dtype=np.int32),
            "sparse_zero": np.array(0.0, dtype=np.float32), "sparse_axis": np.array(0, dtype=np.int32),
            "sparse_start": np.array([0], dtype=np.int64), "sparse_flat": np.array([-1], dtype=np.int64),
        }  # fmt: skip
        replace_nodes(model, {0: [*nodes, model.graph.node[0]]}, dropped=dropped, added=added)
    write_graph(model, target)


def pack(name: str, matrix: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return what is kept of a matrix: its non-zero weights, a bit for every place, and its shape.

    Examples
    --------
    >>> kept = pack("w", np.array([[0.0, 2.0], [3.0, 0.0]], dtype=np.float32))
    >>> kept["w_values"].tolist(), [f"{byte:08b}" for byte in kept["w_bits"].ravel()]
    ([2.0, 3.0], ['01100000'])
    """
    there = matrix != 0
    return {
        # A matrix of zeros has a value too, so that there is something to point at.
        f"{name}_values": matrix[there] if there.any() else np.zeros(1, dtype=np.float32),
        f"{name}_bits": np.packbits(there.ravel())[:, None],
        f"{name}_count": np.array([matrix.size], dtype=np.int64),
        f"{name}_shape": np.array(matrix.shape, dtype=np.int64),
    }


def _unpacking(name: str) -> list[Any]:
    """Return the nodes that make the matrix again: bits to places, places to positions among the values."""

    def node(kind: str, given: list[str], step: str, **attributes: Any) -> Any:
        out = name if step == "" else f"{name}_{step}"
        return helper.make_node(kind, given, [out], name=f"{name}_unpack_{step or 'done'}", **attributes)

    return [
        node("Cast", [f"{name}_bits"], "bytes", to=TensorProto.INT32),
        node("Div", [f"{name}_bytes", "sparse_powers"], "shifted"),
        node("Mod", [f"{name}_shifted", "sparse_two"], "square"),
        node("Reshape", [f"{name}_square", "sparse_flat"], "padded"),
        node("Slice", [f"{name}_padded", "sparse_start", f"{name}_count"], "there"),
        node("CumSum", [f"{name}_there", "sparse_axis"], "counted"),
        node("Mul", [f"{name}_counted", f"{name}_there"], "position"),
        node("Sub", [f"{name}_position", f"{name}_there"], "index"),
        node("Gather", [f"{name}_values", f"{name}_index"], "spread"),
        node("Cast", [f"{name}_there"], "mask", to=TensorProto.BOOL),
        node("Where", [f"{name}_mask", f"{name}_spread", "sparse_zero"], "flat"),
        node("Reshape", [f"{name}_flat", f"{name}_shape"], ""),
    ]
