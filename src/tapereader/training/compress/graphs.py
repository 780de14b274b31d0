"""What every change of an exported graph needs: which of its weights are large, and writing it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

#: A table of at least so many rows is one of embeddings: a row a token, a position or a kind of token.
_TABLE_ROWS = 512


def weights(model: Any) -> dict[str, Any]:
    """Return name to tensor of every initializer of a graph."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def product_nodes(model: Any) -> list[str]:
    """Return the names of the nodes that multiply by a matrix of weights; attention's own products have none.

    The head, the only ``Gemm``, is left out: its few numbers decide between labels, and save nothing.
    """
    known = weights(model)
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in known]


def table_nodes(model: Any) -> dict[int, Any]:
    """Return position to node of every lookup of rows in a large table of floats."""
    known = weights(model)
    return {
        at: node
        for at, node in enumerate(model.graph.node)
        if node.op_type == "Gather"
        and node.input[0] in known
        and known[node.input[0]].data_type == onnx.TensorProto.FLOAT
        and len(known[node.input[0]].dims) == 2
        and known[node.input[0]].dims[0] >= _TABLE_ROWS
        and not any(attribute.name == "axis" and attribute.i != 0 for attribute in node.attribute)
    }


def replace_nodes(
    model: Any, replaced: Mapping[int, Sequence[Any]], *, dropped: set[str], added: Mapping[str, NDArray[Any]]
) -> None:
    """Put other nodes in the place of some, and other initializers in the place of theirs.

    Parameters
    ----------
    model : changed in place
    replaced : position of a node to the nodes that stand there now
    dropped : names of initializers nobody reads any more
    added : name to array
    """
    graph = model.graph
    nodes = [other for at, node in enumerate(graph.node) for other in replaced.get(at, [node])]
    tensors = [tensor for tensor in graph.initializer if tensor.name not in dropped]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in added.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)


def drop_unread(model: Any) -> None:
    """Leave out the nodes and initializers that no answer of the graph needs; changes it in place."""
    graph = model.graph
    needed = {one.name for one in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed |= set(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


def read_graph(path: Path) -> Any:
    """Read an ONNX file."""
    return onnx.load(str(path))


def write_graph(model: Any, path: Path) -> None:
    """Check a graph and write it."""
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
