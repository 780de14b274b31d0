"""Eight-bit weights, and eight-bit arithmetic where the products are: dynamic and static."""

from __future__ import annotations

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import ConfigError, DataError
from tapereader.training.compress.fusing import RUNTIME_DOMAIN, allow_runtime_nodes, fuse_attention, merge_products
from tapereader.training.compress.graphs import (
    drop_unread,
    product_nodes,
    read_graph,
    replace_nodes,
    table_nodes,
    weights,
    write_graph,
)

#: How far a probability may lie from a known answer: processors round eight-bit sums in another order.
TOLERANCE = 0.02
#: Constants of a graph in eight bits: the whole number that stands for zero and the step from one to the next, for
#: inputs of both signs, and for those that are not negative.
_MIDDLE, _STEP, _LOWEST, _FINE_STEP = "int8_middle", "int8_step", "int8_lowest", "int8_fine_step"
#: An input whose least number is smaller than this share of its greatest uses its steps for one side alone.
_ONE_SIDED = 0.2
#: Channels of which the largest is at most so many times the median are left as they are: a step less to compute.
_EVEN = 4.0
#: Of rounding weights with an eye on what they are multiplied with: share of the mean variance that every channel is
#: taken to have besides its own, and rows whose errors are handed on together.
_DAMPING, _BLOCK = 0.01, 128


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
    _refuse_no_text(feeds)
    model = read_graph(source)
    _products(model)
    fuse_attention(model)
    merge_products(model)
    allow_runtime_nodes(model)
    known, names = weights(model), set(product_nodes(model))
    products = [node for node in model.graph.node if node.name in names]
    seen = _observe(model, feeds, list(dict.fromkeys(node.input[0] for node in products)))
    matrices = {node.input[1]: numpy_helper.to_array(known[node.input[1]]) for node in products}
    biases, inputs = _biases(model), dict[str, _Input]()
    for node in products:
        name, shiftable = node.input[0], node.output[0] in biases
        inputs.setdefault(name, _Input.planned(name, seen[name], matrices[node.input[1]], shiftable=shiftable))
    added: dict[str, Any] = {
        _MIDDLE: np.uint8(128), _STEP: np.float32(1 / 127), _LOWEST: np.uint8(0), _FINE_STEP: np.float32(1 / 255)
    }  # fmt: skip
    replaced: dict[int, list[Any]] = {}
    renamed: dict[str, str] = {}
    for at, node in enumerate(model.graph.node):
        if node.name not in names:
            continue
        given, weight, out = inputs[node.input[0]], node.input[1], node.output[0]
        made = given.nodes(added)
        values, scales = columns_to_int8(
            matrices[weight] * given.smoothing[:, None],
            bits=bits,
            covariance=seen[node.input[0]].covariance / np.outer(given.smoothing, given.smoothing),
        )
        added |= {f"{weight}_int8": values, f"{weight}_scale": scales}
        product = f"{out}_unscaled"
        made += [
            helper.make_node(
                "MatMulIntegerToFloat", [given.whole, f"{weight}_int8", given.step, f"{weight}_scale", given.zero],
                [product], name=f"{node.name}_int8", domain=RUNTIME_DOMAIN,
            ),
            helper.make_node("Mul", [product, given.greatest], [out], name=f"{node.name}_scaled"),
        ]  # fmt: skip
        if given.shift:
            # What was added to every number of the input, as the rounded weights see it, is taken off the bias.
            rounded = values.astype(np.float64) * scales / given.smoothing[:, None]
            bias = biases[out]
            added[f"{bias}_shifted"] = numpy_helper.to_array(known[bias]) - given.shift * rounded.sum(axis=0)
            added[f"{bias}_shifted"] = added[f"{bias}_shifted"].astype(np.float32)
            renamed[out] = bias
        replaced[at] = made
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if node.op_type == "Add" and name in renamed:
                node.input[1 - at] = f"{renamed[name]}_shifted"
    replace_nodes(model, replaced, dropped=set(matrices), added=added)
    drop_unread(model)
    quantize_tables(model)
    write_graph(model, target)


@dataclass(kw_only=True)
class _Input:
    """How one input of products becomes whole numbers, each token with a scale of its own.

    Parameters
    ----------
    name : of the tensor (B, L, K)
    smoothing : (K,), what each channel is divided by, and the weights multiplied with
    shift : added to every number before, so that none is negative; 0 where both signs are used
    """

    name: str
    smoothing: NDArray[np.float32]
    shift: float
    made: bool = False

    @classmethod
    def planned(
        cls, name: str, seen: _Seen, matrix: NDArray[np.float32], *, shiftable: bool
    ) -> _Input:  # fmt: skip
        """Choose for what was seen on training text."""
        greatest, lowest = seen.greatest, seen.lowest
        sizes = np.maximum(np.abs(matrix).max(axis=1), 1e-6)
        smoothing = np.sqrt(np.maximum(greatest, 1e-6) / sizes)
        smoothing /= np.exp(np.log(smoothing).mean())
        if greatest.max() <= _EVEN * np.median(greatest):
            smoothing = np.ones_like(smoothing)
        shift = -float(lowest) if shiftable and -lowest <= _ONE_SIDED * greatest.max() else 0.0
        return cls(name=name, smoothing=smoothing.astype(np.float32), shift=max(shift, 0.0))

    @property
    def whole(self) -> str:
        """Name of the whole numbers."""
        return f"{self.name}_uint8"

    @property
    def greatest(self) -> str:
        """Name of each token's greatest number (B, L, 1)."""
        return f"{self.name}_greatest"

    @property
    def step(self) -> str:
        """Name of the constant by which whole numbers differ, where the greatest number is one."""
        return _FINE_STEP if self.shift else _STEP

    @property
    def zero(self) -> str:
        """Name of the whole number that stands for zero."""
        return _LOWEST if self.shift else _MIDDLE

    def nodes(self, added: dict[str, Any]) -> list[Any]:
        """Return the nodes that make the whole numbers, once; later products of the input read the same.

        A row of zeros becomes any number at all, times zero.
        """
        if self.made:
            return []
        self.made = True
        name, at, nodes = self.name, self.name, []

        def step(kind: str, inputs: list[str], out: str, **attributes: Any) -> str:
            nodes.append(helper.make_node(kind, inputs, [out], **attributes))
            return out

        if self.shift:
            added[f"{name}_shift"] = np.float32(self.shift)
            at = step("Add", [at, f"{name}_shift"], f"{name}_shifted")
        if (self.smoothing != 1.0).any():
            added[f"{name}_smoothing"] = (1.0 / self.smoothing).astype(np.float32)
            at = step("Mul", [at, f"{name}_smoothing"], f"{name}_smooth")
        size = at if self.shift else step("Abs", [at], f"{name}_size")
        step("ReduceMax", [size], self.greatest, axes=[-1], keepdims=1)
        at = step("Div", [at, self.greatest], f"{name}_share")
        step("QuantizeLinear", [at, self.step, self.zero], self.whole)
        return nodes


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


@dataclass(kw_only=True)
class _Seen:
    """What an input of products held on training text.

    Parameters
    ----------
    greatest : (K,), the greatest size of every channel
    lowest : the least number of all
    covariance : (K, K), mean product of two channels
    """

    greatest: NDArray[np.float32]
    lowest: float
    covariance: NDArray[np.float64]


def _observe(model: Any, feeds: Sequence[Feed], names: Sequence[str]) -> dict[str, _Seen]:
    """Return what each of some tensors (B, L, K) holds, padding left out."""
    watched = type(model)()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnx_runtime().InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [given.name for given in session.get_inputs()]
    found: dict[str, _Seen] = {}
    count = 0
    for feed in feeds:
        shown = feed.attention_mask == 1
        count += int(shown.sum())
        arrays = session.run(list(names), {name: getattr(feed, name) for name in inputs})
        for name, array in zip(names, arrays, strict=True):
            # Learnt tokens that stand before the text are never padding.
            before_text = np.ones((len(shown), array.shape[1] - shown.shape[1]), dtype=bool)
            rows = array[np.hstack([before_text, shown])]
            greatest, lowest, product = np.abs(rows).max(axis=0), float(rows.min()), (rows.T @ rows).astype(np.float64)
            if (before := found.get(name)) is not None:
                greatest, lowest = np.maximum(greatest, before.greatest), min(lowest, before.lowest)
                product += before.covariance
            found[name] = _Seen(greatest=greatest, lowest=lowest, covariance=product)
    for one in found.values():
        one.covariance /= count
    return found


def columns_to_int8(
    matrix: NDArray[np.float32], *, bits: int, covariance: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return whole numbers and one scale a column, whose product is near to a matrix (K, N).

    Parameters
    ----------
    matrix : weights, one column an output channel
    bits : 7 for numbers from -63 to 63, 8 for -127 to 127
    covariance : (K, K) of what the matrix is multiplied with. With it, the error of each row rounded is made up for by
        the rows that are not rounded yet, so that products change least; without it every weight goes to the nearest

    Examples
    --------
    >>> values, scales = columns_to_int8(np.array([[1.0, 0.0], [-0.5, 0.0]], dtype=np.float32), bits=8)
    >>> values.tolist(), (values * scales).round(2).tolist()
    ([[127, 0], [-64, 0]], [[1.0, 0.0], [-0.5, 0.0]])

    References
    ----------
    Frantar et al. (2023), GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers.
    """
    top = float(2 ** (bits - 1) - 1)
    greatest = np.abs(matrix).max(axis=0)
    scales = (np.where(greatest > 0, greatest, top) / top).astype(np.float32)
    if covariance is None:
        return np.rint(matrix / scales).astype(np.int8), scales
    size = len(matrix)
    # A little of the diagonal keeps channels that were hardly seen from being bent for the others.
    damped = covariance + np.eye(size) * max(_DAMPING * float(np.trace(covariance)) / size, 1e-12)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, values = matrix.astype(np.float64), np.empty(matrix.shape, dtype=np.int8)
    for start in range(0, size, _BLOCK):
        rows = range(start, min(start + _BLOCK, size))
        errors = np.empty((len(rows), matrix.shape[1]))
        for row in rows:
            values[row] = np.clip(np.rint(left[row] / scales), -top, top)
            errors[row - start] = (left[row] - values[row] * scales) / upper[row, row]
            left[row + 1 : rows.stop] -= np.outer(upper[row, row + 1 : rows.stop], errors[row - start])
        left[rows.stop :] -= upper[start : rows.stop, rows.stop :].T @ errors
    return values, scales


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
    _refuse_no_text(feeds)
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


def _refuse_no_text(feeds: Sequence[Feed]) -> None:
    if not feeds:
        raise DataError("There must be at least one batch of training text to fix the scales on; got none.")


def _products(model: Any) -> list[str]:
    names = product_nodes(model)
    if not names:
        raise ConfigError(
            "The graph must hold products with matrices in float to be kept in eight bits; this one has none: they "
            "are of another kind, as GPT-2's are, or it was stored in sixteen bits or sparsely already. Start from its "
            "parent."
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
