"""How far to believe an explanation: take its words away in its order, and see whether the answer follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapereader.engine.engine import Engine
from tapereader.engine.explain.occlusion import NOTHING
from tapereader.engine.explain.words import Word, without
from tapereader.metrics.intervals import Interval, cluster_bootstrap

#: Points of a curve beyond its first.
_POINTS = 10


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """How one text's explanation does against random orders of the same words.

    All numbers are mean heights of a curve: the label's probability (regression: the value in standard deviations of
    the target) over the share of words taken away or put in.

    Parameters
    ----------
    deletion, insertion : words taken away, or put in, in the explanation's order, strongest first; a good explanation
        makes the first small and the second great
    random_deletion, random_insertion : means over random orders
    deletion_gain, insertion_gain : how much better than random; 0 says nothing was explained
    gain : mean of the two
    beaten : share of random orders that do worse
    n_random, n_words : orders and words
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    deletion_gain: float
    insertion_gain: float
    gain: float
    beaten: float
    n_random: int
    n_words: int


@dataclass(frozen=True, kw_only=True)
class FaithfulnessSummary:
    """Mean gains over texts, with intervals from resampled texts.

    Parameters
    ----------
    n : explanations: one for each text and label
    gain, deletion_gain, insertion_gain : see :class:`Faithfulness`
    """

    n: int
    gain: Interval
    deletion_gain: Interval
    insertion_gain: Interval


def measure_faithfulness(
    engine: Engine,
    text: str,
    pair: str | None,
    words: tuple[Word, ...],
    attributions: NDArray[np.float64],
    column: int,
    *,
    n_random: int,
    seed: int,
) -> Faithfulness | None:
    """Return how well an explanation orders the words of its text; None for a text of one word, which has one order.

    Words are left out of the text, whatever made the explanation, so that explanations of every kind are judged alike.
    Equal attributions are put in a random order.

    Parameters
    ----------
    engine : what answers
    text, pair : one text, and its second text where the bundle asks about one
    words, attributions : W words and array (W,)
    column : position of the label
    n_random : random orders to compare with
    seed : of the orders

    References
    ----------
    Petsiuk, Das and Saenko (2018), RISE, BMVC, sec. 4.3; DeYoung et al. (2020), ERASER, ACL, sec. 4, for random orders.
    """
    n = len(words)
    if n < 2:
        return None
    random = np.random.default_rng(seed)
    ours = np.lexsort((random.permutation(n), -np.asarray(attributions)))
    orders = [ours, *(random.permutation(n) for _ in range(n_random))]
    counts = sorted({round(share * n) for share in np.linspace(0.0, 1.0, min(n, _POINTS) + 1)})
    # Each curve is a row of sets of words taken away.
    deleted = [[frozenset(order[:count].tolist()) for count in counts] for order in orders]
    inserted = [[frozenset(order[count:].tolist()) for count in counts] for order in orders]
    sets = list({gone: None for curve in (*deleted, *inserted) for gone in curve})
    heights = dict(zip(sets, _answers(engine, text, pair, words, sets, column), strict=True))
    shares = np.array(counts) / n
    areas = np.array(
        [[np.trapezoid([heights[gone] for gone in curve], shares) for curve in kind] for kind in (deleted, inserted)]
    )
    (deletion, insertion), (random_deletion, random_insertion) = areas[:, 0], areas[:, 1:].mean(axis=1)
    lead = areas[1] - areas[0]
    return Faithfulness(
        deletion=float(deletion),
        insertion=float(insertion),
        random_deletion=float(random_deletion),
        random_insertion=float(random_insertion),
        deletion_gain=float(random_deletion - deletion),
        insertion_gain=float(insertion - random_insertion),
        gain=float(random_deletion - deletion + insertion - random_insertion) / 2,
        beaten=float((lead[1:] < lead[0]).mean()),
        n_random=n_random,
        n_words=n,
    )


def summarise_faithfulness(
    found: Sequence[Faithfulness], *, texts: Sequence[int], seed: int, level: float = 0.95
) -> FaithfulnessSummary | None:
    """Return mean gains with bootstrap intervals over texts, or None where no text could be judged.

    Parameters
    ----------
    found : of N explanations
    texts : which text each is of: those of one text are drawn together
    seed : of the resamples
    level : confidence in (0, 1)
    """
    if not found:
        return None

    def interval(values: list[float]) -> Interval:
        return cluster_bootstrap(np.mean, np.asarray(values), groups=np.asarray(texts), level=level, seed=seed)

    return FaithfulnessSummary(
        n=len(found),
        gain=interval([one.gain for one in found]),
        deletion_gain=interval([one.deletion_gain for one in found]),
        insertion_gain=interval([one.insertion_gain for one in found]),
    )


def _answers(
    engine: Engine,
    text: str,
    pair: str | None,
    words: tuple[Word, ...],
    sets: list[frozenset[int]],
    column: int,
) -> NDArray[np.float64]:
    # The text itself, and not its words put together again, stands where no word is taken away.
    asked = [(without(text, words, gone) or NOTHING) if gone else text for gone in sets]
    outputs = engine.outputs(asked, None if pair is None else [pair] * len(asked))
    calibration = engine.bundle.calibration
    if engine.bundle.contract.kind == "regression":
        return np.asarray((outputs - calibration.target_mean) / calibration.target_scale)
    return np.asarray(outputs[:, column])
