"""ONNX Runtime, imported so that it tells nobody what it runs."""

from __future__ import annotations

import os
from types import ModuleType


def onnx_runtime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off.

    From 1.29 on its builds for Linux and macOS send their maker the names and hashes of the networks they open, and
    keep a file about the session in the folder for temporary files. The variable works only where it is set before the
    first import, and ``disable_telemetry_events`` comes too late; who wants the telemetry sets the variable to 0.

    Examples
    --------
    >>> onnx_runtime().get_available_providers()[-1]
    'CPUExecutionProvider'
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # takes 0.1 s; only what opens a network needs it

    found: ModuleType = onnxruntime
    return found
