"""The trained thing on disk, readable by everybody without a deep-learning library."""

from tapereader.bundle.calibration import Calibration, decode, output_width
from tapereader.bundle.contract import TASK_KINDS, UNPARSED, LabelContract, TaskKind
from tapereader.bundle.facts import ContractFacts, Pooling, SanitySentence
from tapereader.bundle.folder import Bundle
from tapereader.bundle.tokenizer import Chunk, ChunkingTokenizer
from tapereader.bundle.writing import write_bundle

__all__ = [
    "TASK_KINDS",
    "UNPARSED",
    "Bundle",
    "Calibration",
    "Chunk",
    "ChunkingTokenizer",
    "ContractFacts",
    "LabelContract",
    "Pooling",
    "SanitySentence",
    "TaskKind",
    "decode",
    "output_width",
    "write_bundle",
]
