"""What a word weighs: how much the answer moves when it is taken away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapereader.engine.engine import Engine
from tapereader.engine.explain.scores import label_scores
from tapereader.engine.explain.words import Word, without

#: Asked in the place of a text from which every word was taken: a bundle answers no empty text.
NOTHING = "."
#: Runs a text is taken apart into. A longer one is asked without several neighbouring words at once.
_MOST_RUNS = 400


def occlude(engine: Engine, text: str, pair: str | None, words: tuple[Word, ...]) -> NDArray[np.float64]:
    """Return how much each word speaks for each label: the label's score with it, minus the score without it.

    The word is left out, not replaced by a mask: that needs no mark in the vocabulary, and was at least as faithful
    where both were measured. In a text of more than 400 words neighbours are left out together
    and share what they weigh.

    Parameters
    ----------
    engine : what answers
    text, pair : one text, and its second text where the bundle asks about one; only the text's words are taken
    words : its W words

    Returns
    -------
    array (W, C), in logits of a label's probability (units of the target, for regression)

    References
    ----------
    Zeiler and Fergus (2014), Visualizing and Understanding Convolutional Networks, ECCV, sec. 4.2; Li, Monroe and
    Jurafsky (2016), Understanding Neural Networks through Representation Erasure.
    """
    size = -(-len(words) // _MOST_RUNS)
    runs = [range(start, min(start + size, len(words))) for start in range(0, len(words), size)]
    asked = [text, *(without(text, words, run) or NOTHING for run in runs)]
    logits = engine.logits(asked, None if pair is None else [pair] * len(asked))
    scores = label_scores(engine.bundle.contract, logits, engine.bundle.calibration)
    lost = scores[0] - scores[1:]
    lengths = np.array([len(run) for run in runs])
    return np.asarray(np.repeat(lost / lengths[:, None], lengths, axis=0))
