"""What runs the exported network: ONNX Runtime always, OpenVINO where it is installed."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle.runtime import onnx_runtime
from tapereader.core.errors import BundleError, ConfigError, UnknownNameError, missing_extra
from tapereader.engine.batching import Batch

OUTPUTS = ("logits", "embedding")
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


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

    Threads do not spin while they wait: a spinning pool keeps its cores busy for nothing and suffers as soon as another
    process wants one.

    Parameters
    ----------
    path : ``model.onnx``
    threads : processor threads, or None for all this process may use

    Raises
    ------
    BundleError
        If the file cannot be read, or its inputs or outputs are not those of a bundle.
    """

    rounding = 0.0

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
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
    precision : ``f32``, or ``bf16`` where the processor has it, which moves probabilities by up to 0.02

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    BundleError
        If the file cannot be read, or its inputs or outputs are not those of a bundle.
    """

    def __init__(self, path: Path, *, threads: int | None = None, precision: str = "f32") -> None:
        try:
            import openvino
        except ImportError:
            raise missing_extra("openvino", needed_for="The OpenVINO backend") from None

        # Eight bits of mantissa: logits of a six-layer encoder were off by half a percent of their size, which for
        # logits of a few units is at most 0.01 on a probability; twice that is allowed.
        self.rounding = 0.0 if precision == "f32" else 0.02
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": thread_count(threads),
            "NUM_STREAMS": 1,
        }
        try:
            core = openvino.Core()
            self._model = core.compile_model(core.read_model(str(path)), "CPU", settings)
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
    "openvino": lambda path, threads: OpenVinoBackend(path, threads=threads),
    "openvino-bf16": lambda path, threads: OpenVinoBackend(path, threads=threads, precision="bf16"),
}
BACKEND_NAMES = tuple(_BACKENDS)
#: Processor flags of which one is enough for sums in bfloat16.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def installed_backends(flags: Sequence[str]) -> list[str]:
    """Return the names of the backends that are installed and at home on a processor with these flags."""
    names = ["onnxruntime"]
    if importlib.util.find_spec("openvino") is not None:
        names.append("openvino")
        if BF16_FLAGS & set(flags):
            names.append("openvino-bf16")
    return names


def open_backend(name: str, path: Path, *, threads: int | None) -> Backend:
    """Return the backend of that name with the network loaded.

    Raises
    ------
    UnknownNameError
        With the known names and the nearest one.
    """
    if name not in _BACKENDS:
        near = difflib.get_close_matches(name, BACKEND_NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"No backend is called {name!r}; known: {', '.join(BACKEND_NAMES)}.{hint}")
    return _BACKENDS[name](path, threads)


def _check_interface(path: Path, inputs: list[str], outputs: list[str]) -> list[str]:
    if not {"input_ids", "attention_mask"} <= set(inputs) <= _INPUTS or not set(OUTPUTS) <= set(outputs):
        raise BundleError(
            f"{path.name} must take input_ids and attention_mask (and may take token_type_ids) and give logits and "
            f"embedding; got the inputs {inputs} and the outputs {outputs}."
        )
    return inputs
