"""Published weights on this machine: fetched as data, never imported, known by their hashes.

``get_weights`` fills the cache once; ``find_weights`` only looks.
"""

from tapereader.models.weights.cache import default_cache_dir, find_weights, get_weights
from tapereader.models.weights.fetch import Progress
from tapereader.models.weights.sources import (
    E5_SMALL_WEIGHTS,
    MINILM_WEIGHTS,
    MPNET_WEIGHTS,
    SMOLLM2_WEIGHTS,
    WeightsSource,
)

__all__ = [
    "E5_SMALL_WEIGHTS",
    "MINILM_WEIGHTS",
    "MPNET_WEIGHTS",
    "SMOLLM2_WEIGHTS",
    "Progress",
    "WeightsSource",
    "default_cache_dir",
    "find_weights",
    "get_weights",
]
