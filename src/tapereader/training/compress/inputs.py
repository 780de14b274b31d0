"""What a network's products read: seen on training text, and turned into whole numbers while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tapereader.bundle.runtime import onnx_runtime
from tapereader.training.compress.fusing import RUNTIME_DOMAIN

#: Constants of a graph in eight bits: the whole number that stands for zero and the step from one to the next, for
#: inputs of both signs, and for those that are not negative.
MIDDLE, STEP, LOWEST, FINE_STEP = "int8_middle", "int8_step", "int8_lowest", "int8_fine_step"
#: An input whose least number is smaller than this share of its greatest uses its steps for one side alone.
_ONE_SIDED = 0.2
#: Channels of which the largest is at most so many times the median are left as they are: a step less to compute.
_EVEN = 4.0
#: One scale serves all tokens of an input where the greatest number of any is less than so many times that of the
#: median token. Of MiniLM's 24 inputs that is half; one scale for each of the others too cost 3 labels of 100.
_ALIKE = 2.5


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


@dataclass(kw_only=True)
class Seen:
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


def observe(model: Any, feeds: Sequence[Feed], names: Sequence[str]) -> dict[str, Seen]:
    """Return what each of some tensors (B, L, K) holds, padding left out."""
    found: dict[str, Seen] = {}
    count = dict.fromkeys(names, 0)
    for name, rows in _rows_of(model, feeds, names):
        greatest, lowest, product = np.abs(rows).max(axis=0), float(rows.min()), (rows.T @ rows).astype(np.float64)
        if (before := found.get(name)) is not None:
            greatest, lowest = np.maximum(greatest, before.greatest), min(lowest, before.lowest)
            product += before.covariance
        found[name] = Seen(greatest=greatest, lowest=lowest, covariance=product)
        count[name] += len(rows)
    for name, one in found.items():
        one.covariance /= count[name]
    return found


def _rows_of(
    model: Any, feeds: Sequence[Feed], names: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float32]]]:  # fmt: skip
    """Yield the tokens (T, K) of each tensor in each batch."""
    watched = type(model)()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnx_runtime().InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [given.name for given in session.get_inputs()]
    for feed in feeds:
        shown = feed.attention_mask == 1
        arrays = session.run(list(names), {name: getattr(feed, name) for name in inputs})
        for name, array in zip(names, arrays, strict=True):
            # Learnt tokens that stand before the text are never padding.
            before_text = np.ones((len(shown), array.shape[1] - shown.shape[1]), dtype=bool)
            yield name, array[np.hstack([before_text, shown])]


@dataclass(kw_only=True)
class ProductInput:
    """How one input of products becomes whole numbers: each token with a scale of its own, or all with one.

    Parameters
    ----------
    name : of the tensor (B, L, K)
    smoothing : (K,), what each channel is divided by, and the weights multiplied with
    shift : added to every number before, so that none is negative; 0 where both signs are used
    fixed : the greatest number, shifted and smoothed, where it is fixed; None where each token finds its own
    made : whether its nodes are in the graph
    """

    name: str
    smoothing: NDArray[np.float32]
    shift: float
    fixed: float | None = None
    made: bool = False

    @classmethod
    def planned(
        cls, name: str, seen: Seen, matrix: NDArray[np.float32], *, shiftable: bool, fixable: bool
    ) -> ProductInput:  # fmt: skip
        """Choose for what was seen on training text."""
        greatest, lowest = seen.greatest, seen.lowest
        sizes = np.maximum(np.abs(matrix).max(axis=1), 1e-6)
        smoothing = np.sqrt(np.maximum(greatest, 1e-6) / sizes)
        smoothing /= np.exp(np.log(smoothing).mean())
        if not fixable and greatest.max() <= _EVEN * np.median(greatest):
            smoothing = np.ones_like(smoothing)
        shift = max(-float(lowest), 0.0) if shiftable and -lowest <= _ONE_SIDED * greatest.max() else 0.0
        return cls(name=name, smoothing=smoothing.astype(np.float32), shift=shift)

    @property
    def whole(self) -> str:
        """Name of the whole numbers."""
        return f"{self.name}_uint8"

    @property
    def greatest(self) -> str:
        """Name of each token's greatest number (B, L, 1)."""
        return f"{self.name}_greatest"

    @property
    def size(self) -> float:
        """What whole numbers are to be multiplied with besides, where it is known beforehand."""
        return 1.0 if self.fixed is None else self.fixed

    @property
    def step(self) -> str:
        """Name of the constant by which whole numbers differ, where the greatest number is one."""
        return FINE_STEP if self.shift else STEP

    @property
    def zero(self) -> str:
        """Name of the whole number that stands for zero."""
        return LOWEST if self.shift else MIDDLE

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
        if self.fixed is not None or (self.smoothing != 1.0).any():
            added[f"{name}_smoothing"] = (1.0 / (self.smoothing * self.size)).astype(np.float32)
            at = step("Mul", [at, f"{name}_smoothing"], f"{name}_smooth")
        if self.fixed is None:
            size = at if self.shift else step("Abs", [at], f"{name}_size")
            step("ReduceMax", [size], self.greatest, axes=[-1], keepdims=1)
            at = step("Div", [at, self.greatest], f"{name}_share")
        step("QuantizeLinear", [at, self.step, self.zero], self.whole)
        return nodes

    def product(self, node: Any, weight: str, scale: str) -> list[Any]:
        """Return the nodes that stand for a product of this input with a matrix."""
        out = node.output[0]
        unscaled = out if self.fixed is not None else f"{out}_unscaled"
        product = helper.make_node(
            "MatMulIntegerToFloat", [self.whole, weight, self.step, scale, self.zero], [unscaled],
            name=f"{node.name}_int8", domain=RUNTIME_DOMAIN,
        )  # fmt: skip
        if self.fixed is not None:
            return [product]
        return [product, helper.make_node("Mul", [unscaled, self.greatest], [out], name=f"{node.name}_scaled")]


def fix_scales(model: Any, feeds: Sequence[Feed], inputs: Mapping[str, ProductInput]) -> None:
    """Fix one scale for all tokens of those inputs whose tokens are alike in size; changes them in place."""
    sizes: dict[str, list[NDArray[np.float32]]] = {name: [] for name in inputs}
    for name, rows in _rows_of(model, feeds, list(inputs)):
        given = inputs[name]
        sizes[name].append(np.abs((rows + given.shift) / given.smoothing).max(axis=1))
    for name, each in sizes.items():
        greatest = np.concatenate(each)
        if greatest.max() < _ALIKE * np.median(greatest):
            inputs[name].fixed = float(greatest.max())
