"""Eight-bit weights, and eight-bit arithmetic where the products are: dynamic and static."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapereader.core.errors import ConfigError, DataError
from tapereader.training.compress.fusing import allow_runtime_nodes, fuse_attention, merge_products
from tapereader.training.compress.graphs import (
    drop_unread,
    product_nodes,
    read_graph,
    replace_nodes,
    table_nodes,
    weights,
    write_graph,
)
from tapereader.training.compress.inputs import FINE_STEP, LOWEST, MIDDLE, STEP, Feed, ProductInput, fix_scales, observe
from tapereader.training.compress.rounding import columns_to_int8, rows_to_int8

#: How far a probability may lie from a known answer: processors round eight-bit sums in another order.
TOLERANCE = 0.02


def quantize_dynamic(source: Path, target: Path, feeds: Sequence[Feed], *, bits: int = 7) -> None:
    """Write a graph whose products run in eight bits, with the scale of each row of their input found while it runs.

    A row is one token of one text: integer sums are exact, so an answer depends on nothing but its text. Weights have
    one scale an output channel, tables of embeddings one scale a row. Channels of an input that are large on training
    text give part of their size to the weights before both are rounded, and inputs that are hardly ever negative use
    all steps for what is above their least value. The head, the norms and attention's own products stay in float.
    Attention and the products of one input become one node each where they can be recognised.

    Parameters
    ----------
    source : exported network in float
    target : file to write
    feeds : batches of training text, hardly padded
    bits : of a weight's eight that are used. With seven every processor gives the same answer; with eight those without
        instructions for products of eight bits overflow (see :func:`tapereader.engine.backends.has_exact_int8`)

    Raises
    ------
    DataError
        If there is no batch.
    ConfigError
        If its matrices are not in float.

    References
    ----------
    Xiao et al. (2023), SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models.
    Frantar et al. (2023), GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers.
    """
    _quantize(source, target, feeds, bits=bits, fixed=False)


def quantize_static(source: Path, target: Path, feeds: Sequence[Feed], *, bits: int = 7) -> None:
    """Write a graph as :func:`quantize_dynamic` does, with scales fixed on training text where tokens are alike.

    An input whose tokens are all of about one size gets one scale for all; what lies beyond the greatest number that
    training text held is cut off to it. Others, where single tokens are many times as large as most, keep a scale for
    each: one scale for all would leave the most hardly any steps.

    Parameters
    ----------
    source, target, feeds, bits : as in :func:`quantize_dynamic`

    Raises
    ------
    DataError
        If there is no batch.
    ConfigError
        If its matrices are not in float.
    """
    _quantize(source, target, feeds, bits=bits, fixed=True)


def _quantize(source: Path, target: Path, feeds: Sequence[Feed], *, bits: int, fixed: bool) -> None:
    if not feeds:
        raise DataError("There must be at least one batch of training text to fix the scales on; got none.")
    model = read_graph(source)
    if not product_nodes(model):
        raise ConfigError(
            "The graph must hold products with matrices in float to be kept in eight bits; this one has none: they "
            "are of another kind, as GPT-2's are, or it was stored in sixteen bits or sparsely already. Start from its "
            "parent."
        )
    fuse_attention(model)
    merge_products(model)
    allow_runtime_nodes(model)
    known, names = weights(model), set(product_nodes(model))
    products = [node for node in model.graph.node if node.name in names]
    seen = observe(model, feeds, list(dict.fromkeys(node.input[0] for node in products)))
    matrices = {node.input[1]: numpy_helper.to_array(known[node.input[1]]) for node in products}
    readers = Counter(node.input[1] for node in products)
    biases, inputs = _biases(model), dict[str, ProductInput]()
    for name in seen:
        read = [node for node in products if node.input[0] == name]
        inputs[name] = ProductInput.planned(
            name, seen[name], np.hstack([matrices[node.input[1]] for node in read]),
            shiftable=all(node.output[0] in biases for node in read), fixable=fixed,
        )  # fmt: skip
    if fixed:
        fix_scales(model, feeds, inputs)
    added: dict[str, Any] = {
        MIDDLE: np.uint8(128), STEP: np.float32(1 / 127), LOWEST: np.uint8(0), FINE_STEP: np.float32(1 / 255)
    }  # fmt: skip
    replaced: dict[int, list[Any]] = {}
    shifted: dict[str, str] = {}
    for at, node in enumerate(model.graph.node):
        if node.name not in names:
            continue
        given, weight, out = inputs[node.input[0]], node.input[1], node.output[0]
        # Layers that share a matrix smooth it each in its own way.
        tag = weight if readers[weight] == 1 else out
        values, scales = columns_to_int8(
            matrices[weight] * given.smoothing[:, None],
            bits=bits,
            covariance=seen[given.name].covariance / np.outer(given.smoothing, given.smoothing),
        )
        added |= {f"{tag}_int8": values, f"{tag}_scale": (scales * given.size).astype(np.float32)}
        replaced[at] = [*given.nodes(added), *given.product(node, f"{tag}_int8", f"{tag}_scale")]
        if given.shift:
            # What was added to every number of the input, as the rounded weights see it, is taken off the bias.
            rounded = values.astype(np.float64) * scales / given.smoothing[:, None]
            bias = numpy_helper.to_array(known[biases[out]]) - given.shift * rounded.sum(axis=0)
            shifted[out] = f"{biases[out]}_shifted"
            added[shifted[out]] = bias.astype(np.float32)
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if node.op_type == "Add" and name in shifted:
                node.input[1 - at] = shifted[name]
    replace_nodes(model, replaced, dropped=set(), added=added)
    drop_unread(model)
    quantize_tables(model)
    write_graph(model, target)


def _biases(model: Any) -> dict[str, str]:
    """Return, of each value that one sum with a bias reads and nobody else, the name of that bias."""
    known, readers = weights(model), defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    found: dict[str, str] = {}
    for name, nodes in readers.items():
        if len(nodes) == 1 and nodes[0].op_type == "Add":
            other = nodes[0].input[1 - list(nodes[0].input).index(name)]
            if other in known and len(readers[other]) == 1:
                found[name] = other
    return found


def quantize_tables(model: Any) -> None:
    """Keep tables of embeddings in eight bits with one scale a row; changes the graph in place.

    The error of a number is at most half its row's scale, 1/254 of the greatest number in the row.
    """
    known = weights(model)
    replaced: dict[int, list[Any]] = {}
    added: dict[str, NDArray[Any]] = {}
    for at, node in table_nodes(model).items():
        table, ids, out = node.input[0], node.input[1], node.output[0]
        values, scales = rows_to_int8(numpy_helper.to_array(known[table]))
        added |= {f"{table}_row_int8": values, f"{table}_row_scale": scales}
        ids8, scale, wide = f"{out}_row_int8", f"{out}_row_scale", f"{out}_row_float"
        replaced[at] = [
            helper.make_node("Gather", [f"{table}_row_int8", ids], [ids8], name=ids8),
            helper.make_node("Gather", [f"{table}_row_scale", ids], [scale], name=scale),
            helper.make_node("Cast", [ids8], [wide], name=wide, to=TensorProto.FLOAT),
            helper.make_node("Mul", [wide, scale], [out], name=f"{out}_row"),
        ]
    dropped = {name.removesuffix("_row_int8") for name in added if name.endswith("_row_int8")}
    still_read = {name for at, node in enumerate(model.graph.node) if at not in replaced for name in node.input}
    replace_nodes(model, replaced, dropped=dropped - still_read, added=added)
