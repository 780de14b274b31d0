"""What runs the exported network, and how precisely: ONNX Runtime always, OpenVINO where it is installed."""

from __future__ import annotations

import difflib
import importlib.util
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.folder import Bundle
from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import BundleError, ConfigError, UnknownNameError, missing_extra
from tapereader.engine.batching import Batch

OUTPUTS = ("logits", "embedding")
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
#: How far a probability may lie from the fp32 answer. bfloat16 has eight bits of mantissa: logits of a six-layer
#: encoder were off by half a percent of their size, at most 0.01 on a probability; twice that is allowed. In eight bits
#: the worst of 3,706 sentences was off by 0.08, the mean by 0.004.
BF16_ROUNDING, INT8_ROUNDING = 0.02, 0.1
#: Processor flags of which one is enough for sums in bfloat16, or for exact sums of products of eight bits.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"})
#: Numbers of a token that share a scale, and the least width of a matrix that is worth eight bits.
_INT8_GROUP, _INT8_WIDTH = 128, 64


class Backend(Protocol):
    """Runs one padded batch through a network; deterministic for one batch, thread count and machine.

    Attributes
    ----------
    rounding : how far a probability may lie from the fp32 answer because the backend computes in lower precision
    """

    rounding: float

    def run(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (B, W) and embeddings (B, D)."""
        ...


class OnnxRuntimeBackend:
    """The network on ONNX Runtime's CPU provider, in the precision it was exported in.

    Threads spin for a moment between two steps of one batch, and never between batches: a pool that spins on keeps its
    cores busy for nothing and suffers as soon as another process wants one.

    Parameters
    ----------
    path : of the ONNX file
    threads : processor threads, or None for all this process may use
    rounding : how far a probability may lie from the fp32 answer, because the network was exported in lower precision

    Raises
    ------
    BundleError
        If the file cannot be read, or its inputs or outputs are not those of a bundle.
    """

    def __init__(self, path: Path, *, threads: int | None = None, rounding: float = 0.0) -> None:
        self.rounding = rounding
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Two processes on two cores lost a third of their speed to pools that spin as they like, and nothing to these;
        # one text alone was answered 20 % faster than by pools that sleep.
        options.add_session_config_entry("session.intra_op.spin_duration_us", "50")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"],
                # Sum and norm in one step is seven times slower here than one after the other.
                disabled_optimizers=["SkipLayerNormFusion"],
            )  # fmt: skip
        except Exception as error:  # the runtime's own classes have no common parent but Exception
            raise BundleError(f"{path.name} must be a readable ONNX network; ONNX Runtime says: {error}") from error
        self._inputs = _check_interface(
            path,
            [node.name for node in self._session.get_inputs()],
            [node.name for node in self._session.get_outputs()],
        )

    def run(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (B, W) and embeddings (B, D)."""
        logits, embedding = self._session.run(list(OUTPUTS), {name: getattr(batch, name) for name in self._inputs})
        return logits, embedding


class OpenVinoBackend:
    """The network on OpenVINO: the fastest on processors with bf16 units, for a larger install.

    Parameters
    ----------
    path : ``model.onnx``
    threads : processor threads, or None for all this process may use
    precision : ``f32``; ``bf16`` where the processor has it; or ``int8``, which makes weights of eight bits when it
        opens the file, one scale an output channel, and gives every 128 numbers of a token a scale while it runs

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    BundleError
        If the file cannot be read, or its inputs or outputs are not those of a bundle.
    """

    def __init__(
        self, path: Path, *, threads: int | None = None, precision: Literal["f32", "bf16", "int8"] = "f32"
    ) -> None:
        try:
            import openvino
        except ImportError:
            raise missing_extra("openvino", needed_for="The OpenVINO backend") from None

        self.rounding = {"f32": 0.0, "bf16": BF16_ROUNDING, "int8": INT8_ROUNDING}[precision]
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": thread_count(threads),
            "NUM_STREAMS": 1,
        }
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            if precision == "int8":
                _weights_to_int8(model)
                settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _INT8_GROUP
            self._model = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise BundleError(f"{path.name} must be a readable ONNX network; OpenVINO says: {error}") from error
        self._inputs = _check_interface(
            path, [port.any_name for port in self._model.inputs], [port.any_name for port in self._model.outputs]
        )
        self._request = self._model.create_infer_request()

    def run(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits (B, W) and embeddings (B, D)."""
        found = self._request.infer({name: getattr(batch, name) for name in self._inputs})
        # Copies: the request keeps its output memory and fills it again on the next call.
        logits, embedding = (np.array(found[self._model.output(name)]) for name in OUTPUTS)
        return logits, embedding


def thread_count(threads: int | None) -> int:
    """Return the processor threads that are used: those asked for, or all this process may use.

    Raises
    ------
    ConfigError
        If fewer than one is asked for.
    """
    if threads is None:
        return len(os.sched_getaffinity(0))
    if threads < 1:
        raise ConfigError(f"`threads` must be at least 1, or left out for all; got {threads!r}.")
    return threads


_BACKENDS: dict[str, Callable[[Path, int | None], Backend]] = {
    "onnxruntime": lambda path, threads: OnnxRuntimeBackend(path, threads=threads),
    "onnxruntime-int8": lambda path, threads: OnnxRuntimeBackend(path, threads=threads, rounding=INT8_ROUNDING),
    "openvino": lambda path, threads: OpenVinoBackend(path, threads=threads),
    "openvino-bf16": lambda path, threads: OpenVinoBackend(path, threads=threads, precision="bf16"),
    "openvino-int8": lambda path, threads: OpenVinoBackend(path, threads=threads, precision="int8"),
}
BACKEND_NAMES = tuple(_BACKENDS)


def has_exact_int8(flags: Sequence[str]) -> bool:
    """Return whether a processor with these flags sums products of eight bits without overflow.

    Processors of Intel's kind without such instructions add two products in sixteen bits, which can overflow.
    """
    return bool(INT8_FLAGS & set(flags)) or platform.machine().lower() in ("aarch64", "arm64")


def default_backend(bundle: Bundle, flags: Sequence[str] | None = None) -> str:
    """Return what answers where nobody names a backend: the network in eight bits where the bundle ships one.

    It is the same on every processor that sums eight bits exactly, whatever else is installed; on others the network in
    float answers.

    Parameters
    ----------
    bundle : what is asked
    flags : of the processor; None for those of this one
    """
    if not bundle.ships_int8:
        return "onnxruntime"
    return "onnxruntime-int8" if has_exact_int8(processor_flags() if flags is None else flags) else "onnxruntime"


def usable_backends(bundle: Bundle, flags: Sequence[str]) -> list[str]:
    """Return the backends that are installed, have a network in a bundle, and are at home on a processor."""
    exact = has_exact_int8(flags)
    names = ["onnxruntime"]
    if bundle.ships_int8 and exact:
        names.append("onnxruntime-int8")
    if importlib.util.find_spec("openvino") is not None:
        names.append("openvino")
        if BF16_FLAGS & set(flags):
            names.append("openvino-bf16")
        if exact:
            names.append("openvino-int8")
    return names


def open_backend(name: str, path: Path, *, threads: int | None) -> Backend:
    """Return the backend of that name with a network loaded.

    Raises
    ------
    UnknownNameError
        With the known names and the nearest one.
    BundleError
        If the file is no network of a bundle.
    """
    if name not in _BACKENDS:
        near = difflib.get_close_matches(name, BACKEND_NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"No backend is called {name!r}; known: {', '.join(BACKEND_NAMES)}.{hint}")
    return _BACKENDS[name](path, threads)


def processor_flags() -> list[str]:
    """Return what the processor can do, as far as it matters here."""
    # Here and not above: only who must choose pays for importing it.
    from tapereader.governance.lineage import collect_hardware

    return list(collect_hardware()["flags"])


def network_path(bundle: Bundle, backend: str) -> Path:
    """Return the file of a bundle that a backend reads.

    Raises
    ------
    BundleError
        If the bundle has none for it.
    """
    if backend != "onnxruntime-int8":
        return bundle.onnx_path
    if not bundle.ships_int8:
        raise BundleError(
            f"Bundle {bundle.id!r} ships no network in eight bits, which `onnxruntime-int8` reads. Name another "
            "backend, or make a bundle in eight bits: `tapereader optimize BUNDLE --method int8-dynamic --out DIR`."
        )
    return bundle.int8_path


def _weights_to_int8(model: Any) -> None:
    """Keep the large matrices of an OpenVINO model in eight bits, one scale an output channel; changes it in place."""
    import openvino.opset13 as nodes

    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        matrix = np.array(node.input_value(1).get_node().data, dtype=np.float32)
        if matrix.ndim != 2 or min(matrix.shape) < _INT8_WIDTH:
            continue
        inputs = 1 if node.get_attributes()["transpose_b"] else 0
        greatest = np.abs(matrix).max(axis=inputs, keepdims=True)
        scales = (np.where(greatest > 0, greatest, 127.0) / 127.0).astype(np.float32)
        values = nodes.constant(np.rint(matrix / scales).astype(np.int8))
        wide = nodes.multiply(nodes.convert(values, "f32"), nodes.constant(scales))
        node.input(1).replace_source_output(wide.output(0))


def _check_interface(path: Path, inputs: list[str], outputs: list[str]) -> list[str]:
    if not {"input_ids", "attention_mask"} <= set(inputs) <= _INPUTS or not set(OUTPUTS) <= set(outputs):
        raise BundleError(
            f"{path.name} must take input_ids and attention_mask (and may take token_type_ids) and give logits and "
            f"embedding; got the inputs {inputs} and the outputs {outputs}."
        )
    return inputs
