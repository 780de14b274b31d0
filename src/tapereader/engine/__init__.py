"""Fast, repeatable inference on a finished bundle, without a deep-learning library."""

from tapereader.engine.backends import BACKEND_NAMES, Backend, OnnxRuntimeBackend, OpenVinoBackend
from tapereader.engine.batching import Batch, merge_chunks, token_batches
from tapereader.engine.choosing import BackendChoice
from tapereader.engine.engine import Engine
from tapereader.engine.live import LiveEngine
from tapereader.engine.measuring import EngineSpeed, measure_engine, median_speed
from tapereader.engine.texts import text_faults, text_hash

__all__ = [
    "BACKEND_NAMES",
    "Backend",
    "BackendChoice",
    "Batch",
    "Engine",
    "EngineSpeed",
    "LiveEngine",
    "OnnxRuntimeBackend",
    "OpenVinoBackend",
    "measure_engine",
    "median_speed",
    "merge_chunks",
    "text_faults",
    "text_hash",
    "token_batches",
]
