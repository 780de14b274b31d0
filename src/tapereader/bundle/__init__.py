"""The trained thing on disk, readable by everybody without a deep-learning library."""

from tapereader.bundle.calibration import Calibration, decode, output_width
from tapereader.bundle.combination import Combination, combine, encode_outputs
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
    "Combination",
    "ContractFacts",
    "LabelContract",
    "Pooling",
    "SanitySentence",
    "TaskKind",
    "combine",
    "decode",
    "encode_outputs",
    "output_width",
    "write_bundle",
]
