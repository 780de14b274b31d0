"""Going on with pretraining on unlabelled text of one's own field, before any label is seen.

Text becomes a corpus (``corpus``), the corpus becomes chunks of tokens with something to guess (``chunks``), a network
learns to guess it (``objectives``, ``adapting``), and the result is a backbone like any other (``writing``).
"""

from tapereader.training.pretraining.adapting import PretrainConfig, adapt_backbone, choose_objective
from tapereader.training.pretraining.corpus import Corpus, CorpusConfig, CorpusSource, build_corpus
from tapereader.training.pretraining.writing import AdaptedBackbone, adapted_card, refuse_taken, write_adapted

__all__ = [
    "AdaptedBackbone",
    "Corpus",
    "CorpusConfig",
    "CorpusSource",
    "PretrainConfig",
    "adapt_backbone",
    "adapted_card",
    "build_corpus",
    "choose_objective",
    "refuse_taken",
    "write_adapted",
]
