"""One node where an exported graph has many: attention, and products that read the same input."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tapereader.bundle.runtime import onnx_runtime
from tapereader.training.compress.graphs import drop_unread, product_nodes, replace_nodes, weights

#: ONNX Runtime's own operators, beside the standard ones.
RUNTIME_DOMAIN = "com.microsoft"
#: Which inputs of a fused attention say what is hidden: a mask of keys (B, L), or numbers added to the scores.
_KEYS_MASK, _SCORES_BIAS = 4, 5
_PADDING = "padding_mask"


def allow_runtime_nodes(model: Any) -> None:
    """Let a graph hold ONNX Runtime's own operators; other runtimes may not read it then."""
    if all(one.domain != RUNTIME_DOMAIN for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))


def fuse_attention(model: Any) -> int:
    """Make one node of each attention that was exported step by step; changes the graph in place.

    What is matched is ``softmax(scale * q @ k.T + mask) @ v`` between the reshaping of three inputs (B, L, D) into
    heads and back. A mask that hides padding alone, which is tried out, becomes the plain one of the inputs, and what
    made it goes; any other goes in as it is. Whatever else differs stays as it was.

    Returns
    -------
    int, how many were fused
    """
    seen = _Seen(model)
    replaced: dict[int, list[Any]] = {}
    masks: dict[str, bool] = {}
    fused = 0
    for node in model.graph.node:
        if node.op_type != "Softmax":
            continue
        found = seen.attention(node)
        if found is None:
            continue
        whole, gone, last = found
        mask = whole.input[_SCORES_BIAS]
        if mask not in masks:
            masks[mask] = _hides_padding_alone(model, mask)
        if masks[mask]:
            whole.input[_KEYS_MASK], whole.input[_SCORES_BIAS] = _PADDING, ""
        replaced |= {seen.place[one.output[0]]: [] for one in gone}
        replaced[seen.place[last.output[0]]] = [whole]
        fused += 1
    if fused:
        allow_runtime_nodes(model)
        replace_nodes(model, replaced, dropped=set(), added={})
        if any(masks.values()):
            cast = helper.make_node("Cast", ["attention_mask"], [_PADDING], name=_PADDING, to=TensorProto.INT32)
            model.graph.node.insert(0, cast)
        drop_unread(model)
    return fused


def merge_products(model: Any) -> int:
    """Make one product of those that multiply the same input and add a bias; changes the graph in place.

    Query, key and value read one input: as one matrix it is read once, in one parallel step.

    Returns
    -------
    int, how many groups were merged
    """
    seen, known = _Seen(model), weights(model)
    names = set(product_nodes(model))
    groups: dict[str, list[tuple[Any, Any, str]]] = defaultdict(list)
    for node in model.graph.node:
        add = seen.only_reader(node.output[0], "Add") if node.name in names else None
        bias = None if add is None else next((name for name in add.input if name in known), None)
        if add is not None and bias is not None:
            groups[node.input[0]].append((node, add, bias))
    replaced: dict[int, list[Any]] = {}
    added: dict[str, Any] = {}
    merged = [(at, group) for at, group in enumerate(groups.values()) if len(group) > 1]
    for at, group in merged:
        tag, outs = f"merged_{at}", [add.output[0] for _, add, _ in group]
        arrays = [numpy_helper.to_array(known[node.input[1]]) for node, _, _ in group]
        added |= {
            f"{tag}_weight": np.hstack(arrays),
            f"{tag}_bias": np.concatenate([numpy_helper.to_array(known[bias]) for _, _, bias in group]),
            f"{tag}_widths": np.array([array.shape[1] for array in arrays], dtype=np.int64),
        }
        replaced |= {seen.place[one.output[0]]: [] for node, add, _ in group for one in (node, add)}
        # All stand behind their common input, and before whoever reads any of them: the first place is early enough.
        replaced[seen.place[group[0][0].output[0]]] = [
            helper.make_node("MatMul", [group[0][0].input[0], f"{tag}_weight"], [f"{tag}_product"], name=tag),
            helper.make_node("Add", [f"{tag}_product", f"{tag}_bias"], [f"{tag}_sum"], name=f"{tag}_sum"),
            helper.make_node("Split", [f"{tag}_sum", f"{tag}_widths"], outs, name=f"{tag}_split", axis=-1),
        ]
    replace_nodes(model, replaced, dropped=set(), added=added)
    drop_unread(model)
    return len(merged)


def _hides_padding_alone(model: Any, mask: str) -> bool:
    """Return whether a mask takes every padded key from the scores and nothing else, in three texts tried out."""
    tried = type(model)()
    tried.CopyFrom(model)
    del tried.graph.output[:]
    tried.graph.output.append(helper.make_tensor_value_info(mask, TensorProto.FLOAT, None))
    drop_unread(tried)
    used = {name for node in tried.graph.node for name in node.input}
    texts = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=np.int64)
    feeds = {
        given.name: texts if given.name == "attention_mask" else np.zeros_like(texts) for given in model.graph.input
    }
    for given in [one for one in tried.graph.input if one.name not in used]:
        tried.graph.input.remove(given)
    session = onnx_runtime().InferenceSession(tried.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run([mask], {given.name: feeds[given.name] for given in session.get_inputs()})
    n, length = texts.shape
    if found.ndim != 4 or found.shape[1] != 1 or found.shape[0] not in (1, n) or found.shape[3] != length:
        return False  # of another shape than keys alone would have, as where learnt tokens stand before the text
    whole = np.broadcast_to(found, (n, 1, length, length))
    shown = np.broadcast_to(texts[:, None, None, :] == 1, whole.shape)
    return bool((whole[shown] == 0).all() and (whole[~shown] < -1e4).all())


class _Seen:
    """A graph seen from its edges: who makes a value, and who reads it."""

    def __init__(self, model: Any) -> None:
        self.place = {node.output[0]: at for at, node in enumerate(model.graph.node)}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)
        self.answers = {one.name for one in model.graph.output}
        self.known = weights(model)

    def only_reader(self, name: str, kind: str) -> Any | None:
        """Return the one node that reads a value, where it is of a kind and nobody else does."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 and readers[0].op_type == kind and name not in self.answers else None

    def made_by(self, name: str, kind: str) -> Any | None:
        """Return the node that makes a value, where it is of a kind and only one node reads it."""
        node = self.maker.get(name)
        return node if node is not None and node.op_type == kind and len(self.readers[name]) == 1 else None

    def numbers(self, name: str) -> Any | None:
        """Return the array of a constant or an initializer."""
        if name in self.known:
            return numpy_helper.to_array(self.known[name])
        node = self.maker.get(name)
        return numpy_helper.to_array(node.attribute[0].t) if node is not None and node.op_type == "Constant" else None

    def attention(self, softmax: Any) -> tuple[Any, list[Any], Any] | None:
        """Return the one node for an attention, the nodes that go, and the one in whose place it stands."""
        add = self.made_by(softmax.input[0], "Add")
        scaled = None if add is None else self.made_by(add.input[0], "Mul")
        scale = None if scaled is None else self.numbers(scaled.input[1])
        scores = None if scaled is None else self.made_by(scaled.input[0], "MatMul")
        mixed = self.only_reader(softmax.output[0], "MatMul")
        back = None if mixed is None else self.only_reader(mixed.output[0], "Transpose")
        last = None if back is None else self.only_reader(back.output[0], "Reshape")
        if scale is None or scale.size != 1 or scores is None or mixed is None or last is None:
            return None
        if add is None or mixed.input[0] != softmax.output[0] or _perm(back) != [0, 2, 1, 3]:
            return None
        inputs, gone = [], [add, scaled, scores, softmax, mixed, back, last]
        for name, perm in (
            (scores.input[0], [0, 2, 1, 3]), (scores.input[1], [0, 2, 3, 1]), (mixed.input[1], [0, 2, 1, 3])
        ):  # fmt: skip
            turned = self.made_by(name, "Transpose")
            split = None if turned is None or _perm(turned) != perm else self.made_by(turned.input[0], "Reshape")
            if split is None:
                return None
            inputs.append(split.input[0])
            gone += [turned, split]
        heads = self._heads(gone[-1], inputs[-1])
        if heads is None:
            return None
        # The bias of the scores is input 6: before it stand a bias of the products and a mask by keys, both not given.
        whole = helper.make_node(
            "MultiHeadAttention", [*inputs, "", "", add.input[1]], [last.output[0]], name=f"{softmax.name}_attention",
            domain=RUNTIME_DOMAIN, num_heads=heads, scale=float(scale.reshape(-1)[0]),
        )  # fmt: skip
        return whole, gone, last

    def _heads(self, split: Any, name: str) -> int | None:
        """Return how many heads a reshape to (B, L, heads, size) makes of an input (B, L, D) whose width is known."""
        width, size = self._width(name), self._last_of_shape(split.input[1])
        return width // size if width and size and size > 0 and width % size == 0 else None

    def _last_of_shape(self, name: str) -> int | None:
        found = self.numbers(name)
        if found is not None:
            return int(found.reshape(-1)[-1])
        node = self.maker.get(name)
        found = self.numbers(node.input[-1]) if node is not None and node.op_type == "Concat" else None
        return None if found is None else int(found.reshape(-1)[-1])

    def _width(self, name: str) -> int | None:
        """Return the width of a sum with a bias, or of one part of a split one."""
        node = self.maker.get(name)
        if node is None:
            return None
        if node.op_type == "Split":
            widths = self.numbers(node.input[1])
            return None if widths is None else int(widths[list(node.output).index(name)])
        bias = next((one for one in node.input if one in self.known), None) if node.op_type == "Add" else None
        return None if bias is None else int(self.known[bias].dims[-1])


def _perm(node: Any) -> list[int]:
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
