"""Why a bundle answered as it did: words, what they weigh, how far to believe that, and the nearest known texts.

Nothing here needs a deep-learning library; gradients are in ``training.attribution``.
"""

from tapereader.engine.explain.faithfulness import (
    Faithfulness,
    FaithfulnessSummary,
    measure_faithfulness,
    summarise_faithfulness,
)
from tapereader.engine.explain.neighbours import Neighbour, nearest
from tapereader.engine.explain.occlusion import occlude
from tapereader.engine.explain.scores import asked_columns, full_weight, label_scores
from tapereader.engine.explain.words import Word, gather, piece_runs, split_words, without

__all__ = [
    "Faithfulness",
    "FaithfulnessSummary",
    "Neighbour",
    "Word",
    "asked_columns",
    "full_weight",
    "gather",
    "label_scores",
    "measure_faithfulness",
    "nearest",
    "occlude",
    "piece_runs",
    "split_words",
    "summarise_faithfulness",
    "without",
]
