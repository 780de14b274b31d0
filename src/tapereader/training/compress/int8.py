"""Eight-bit weights, and eight-bit arithmetic where the products are: dynamic and static."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import ConfigError, DataError
from tapereader.training.compress.graphs import (
    product_nodes,
    read_graph,
    replace_nodes,
    table_nodes,
    weights,
    write_graph,
)

#: How far a probability may lie from a known answer: processors round eight-bit sums in another order.
TOLERANCE = 0.02


class Feed(Protocol):
    """What the exported network reads of one batch: int64 arrays (B, L)."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Token ids."""
        ...

    @property
    def attention_mask(self) -> NDArray[np.int64]:
        """0 on padding."""
        ...

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """Which of two texts."""
        ...


def quantize_dynamic(source: Path, target: Path) -> None:
    """Write a graph whose products run in eight bits, with the scale of each input found while it runs.

    Weights have one scale an output channel, signed, in seven of their eight bits: processors without the newest
    instructions add two products in sixteen bits, which would overflow with eight, and give another answer than those
    that have them. The scale of an input is that of the whole batch, so an answer depends a little on what it was
    batched with. Tables of embeddings get one scale a row. The head, the norms and attention's own products stay in
    float.

    Parameters
    ----------
    source : exported network in float
    target : file to write

    Raises
    ------
    ConfigError
        If its matrices are not in float.
    """
    quantization = _library()
    model = read_graph(source)
    names = _products(model)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as folder, _calm():
        draft = Path(folder) / "model.onnx"
        quantization.quantize_dynamic(
            str(source), str(draft), nodes_to_quantize=names, op_types_to_quantize=["MatMul"], per_channel=True,
            reduce_range=True, weight_type=quantization.QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
        _finish(draft, target)


def quantize_static(source: Path, target: Path, feeds: Sequence[Feed]) -> None:
    """Write a graph whose products run in eight bits, with the scale of each input fixed on training text.

    An answer then depends on nothing but its text, unlike :func:`quantize_dynamic`. Each input's range is the mean over
    batches of the smallest and greatest value seen: one outlier among the texts does not coarsen all others.

    Parameters
    ----------
    source : exported network in float
    target : file to write
    feeds : batches of training text, hardly padded

    Raises
    ------
    DataError
        If there is no batch.
    ConfigError
        If the matrices are not in float.
    """
    if not feeds:
        raise DataError("There must be at least one batch of training text to fix the scales on; got none.")
    quantization = _library()

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]  # the library has no types
        def __init__(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            found = next(self.left, None)
            return None if found is None else {name: getattr(found, name) for name in inputs}

    model = read_graph(source)
    inputs, names = [given.name for given in model.graph.input], _products(model)
    with tempfile.TemporaryDirectory(prefix="tapereader-") as folder, _calm():
        draft = Path(folder) / "model.onnx"
        quantization.quantize_static(
            str(source), str(draft), Reader(), quant_format=quantization.QuantFormat.QDQ, nodes_to_quantize=names,
            op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05},
        )  # fmt: skip
        _finish(draft, target)


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


def rows_to_int8(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return numbers from -127 to 127 and one scale a row, whose product is nearest to a table (V, D).

    Examples
    --------
    >>> values, scales = rows_to_int8(np.array([[1.0, -0.5], [0.0, 0.0]], dtype=np.float32))
    >>> values.tolist(), (values * scales).round(2).tolist()
    ([[127, -64], [0, 0]], [[1.0, -0.5], [0.0, 0.0]])
    """
    greatest = np.abs(table).max(axis=1, keepdims=True)
    scales = (np.where(greatest > 0, greatest, 1.0) / 127.0).astype(np.float32)
    return np.rint(table / scales).astype(np.int8), scales


def _products(model: Any) -> list[str]:
    names = product_nodes(model)
    if not names:
        raise ConfigError(
            "The graph must hold its matrices in float to be kept in eight bits; this one has none, for it was stored "
            "in sixteen bits or sparsely already. Start from its parent."
        )
    return names


def _finish(draft: Path, target: Path) -> None:
    model = read_graph(draft)
    quantize_tables(model)
    write_graph(model, target)


def _library() -> Any:
    onnx_runtime()  # first, so that its telemetry is off
    import onnxruntime.quantization as quantization

    return quantization


@contextmanager
def _calm() -> Iterator[None]:
    """Keep the library's advice to prepare a graph first out of the log: what it prepares for is not used here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
