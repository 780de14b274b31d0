"""What the processor can do at best: products of large matrices, and how many a text needs."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np

from tapereader.bundle.folder import Bundle
from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import BundleError
from tapereader.engine.backends import BF16_FLAGS

#: Rows and columns of the matrices, and how long each kind of product is repeated; its best time counts.
_SIZE, _SECONDS, _LEAST = 2048, 1.0, 3
_CHILD = "from tapereader.engine.peak import _answer_parent; _answer_parent()"
#: Read by the libraries when they are loaded: a thread count needs a process of its own.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_WEIGHTS = "model/model.safetensors"
#: Operators of a network whose products are of whole numbers.
_WHOLE_NUMBERS = (b"MatMulInteger", b"DynamicQuantizeMatMul", b"QLinearMatMul", b"QuantizeLinear")


def matrix_peak(*, threads: int) -> dict[str, float]:
    """Return the greatest speed seen of products of large matrices, in GFLOP/s, by precision.

    ``float32`` is the better of NumPy and OpenVINO, ``bfloat16`` OpenVINO's where processor and library have it, and
    ``int8`` ONNX Runtime's where the package ``onnx`` is there to write the product down. Measured in a process of its
    own, which knows how many threads it may use.

    Parameters
    ----------
    threads : processor threads

    Raises
    ------
    BundleError
        If the process fails.
    """
    done = subprocess.run(  # noqa: S603 - this interpreter, a fixed program, no shell
        [sys.executable, "-c", _CHILD], input=json.dumps({"threads": threads}), capture_output=True, text=True,
        check=False, env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)),
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise BundleError(f"The matrix peak must be measured in a process of its own, which says: {said[0]}")
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def flops_a_token(bundle: Bundle) -> float | None:
    """Return the products a network needs for one token: two for each weight of its matrices, embeddings left out.

    Attention between tokens is not counted, which for sentences is one or two percent more. An ensemble's is the sum
    over its members. None where a bundle keeps no weights to count.

    Parameters
    ----------
    bundle : a loaded bundle
    """
    if bundle.members:
        each = [flops_a_token(member) for member in bundle.members]
        return None if None in each else float(sum(value for value in each if value is not None))
    path = bundle.path / _WEIGHTS
    if not path.is_file():
        return None
    shapes = _shapes(path)
    return 2.0 * sum(prod(shape) for name, shape in shapes.items() if len(shape) == 2 and "embedding" not in name)


def precision_of(bundle: Bundle, backend: str) -> str:
    """Return the precision of the products: ``int8`` where the network says so, else the backend's.

    Parameters
    ----------
    bundle : a loaded bundle; of an ensemble the first member decides
    backend : name of what computes
    """
    if backend.endswith("-int8"):
        return "int8"
    network = (bundle.members or (bundle,))[0].onnx_path.read_bytes()
    if any(word in network for word in _WHOLE_NUMBERS):
        return "int8"
    return "bfloat16" if backend.endswith("-bf16") else "float32"


def _shapes(path: Path) -> dict[str, Sequence[int]]:
    """Read the names and shapes of a safetensors file from its head, without its weights."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        head = json.loads(stream.read(length))
    return {name: entry["shape"] for name, entry in head.items() if name != "__metadata__"}


def _answer_parent() -> None:
    threads = int(json.load(sys.stdin)["threads"])
    sys.stdout.write(json.dumps(_measure(threads)))


def _measure(threads: int) -> dict[str, float]:
    from tapereader.governance.lineage import collect_hardware

    random = np.random.default_rng(0)
    left, right = (random.standard_normal((_SIZE, _SIZE)).astype(np.float32) for _ in range(2))
    found = {"float32": _best(lambda: left @ right)}
    if importlib.util.find_spec("openvino") is not None:
        found["float32"] = max(found["float32"], _best(_openvino_product(left, right, "f32", threads)))
        if BF16_FLAGS & set(collect_hardware()["flags"]):
            found["bfloat16"] = _best(_openvino_product(left, right, "bf16", threads))
    if importlib.util.find_spec("onnx") is not None:
        found["int8"] = _best(_whole_product(threads))
    return {name: round(value, 1) for name, value in found.items()}


def _best(product: Callable[[], object]) -> float:
    product()
    seconds: list[float] = []
    while len(seconds) < _LEAST or sum(seconds) < _SECONDS:
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
    return 2 * _SIZE**3 / min(seconds) / 1e9


def _openvino_product(left: np.ndarray, right: np.ndarray, precision: str, threads: int) -> Callable[[], object]:
    import openvino
    from openvino import opset13 as operators

    taken = operators.parameter([_SIZE, _SIZE], np.float32)
    model = openvino.Model([operators.matmul(taken, operators.constant(right), False, False)], [taken])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([left])


def _whole_product(threads: int) -> Callable[[], object]:
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    right = numpy_helper.from_array(random.integers(-127, 128, (_SIZE, _SIZE)).astype(np.int8), "right")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right"], ["out"])], "product",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, [_SIZE, _SIZE])],
        [helper.make_tensor_value_info("out", TensorProto.INT32, [_SIZE, _SIZE])], [right],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    left = random.integers(0, 256, (_SIZE, _SIZE)).astype(np.uint8)
    return lambda: session.run(None, {"left": left})
