"""The trained thing on disk, readable by everybody without a deep-learning library."""

from tapereader.bundle.calibration import Calibration, decode, output_width
from tapereader.bundle.contract import TASK_KINDS, UNPARSED, LabelContract, TaskKind
from tapereader.bundle.tokenizer import Chunk, ChunkingTokenizer

__all__ = [
    "TASK_KINDS",
    "UNPARSED",
    "Calibration",
    "Chunk",
    "ChunkingTokenizer",
    "LabelContract",
    "TaskKind",
    "decode",
    "output_width",
]
