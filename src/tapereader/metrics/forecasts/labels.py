"""Scores of labels: one a row, sets of them, and ordered ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tapereader.metrics import summed
from tapereader.metrics.forecasts.checks import check_labels, check_sets
from tapereader.metrics.summed import IntArray


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """Precision, recall and F1 of one label.

    Parameters
    ----------
    name : of the label
    precision, recall, f1 : 0 where they are undefined, as the label was never answered or never true
    support : rows that truly have the label
    predicted : rows that were answered with it
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


def accuracy(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows answered with their true label.

    Parameters
    ----------
    targets, predicted : int arrays (N,); -1 in ``predicted`` is an answer that could not be read, and wrong

    Raises
    ------
    DataError
        If the arrays are empty, of different lengths, or not whole numbers.

    Examples
    --------
    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    return _label_score("accuracy", targets, predicted)


def macro_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean F1 of the labels that occur, each label counting the same.

    A label occurs if it is true or answered at least once; one that does neither has no F1 and takes no part (as
    scikit-learn does without ``labels``). 2-D arrays of 0 and 1 are sets of labels.

    Parameters
    ----------
    targets, predicted : int arrays (N,), or arrays (N, C) of 0 and 1

    Raises
    ------
    DataError
        If the arrays are empty, of different shapes, or not whole numbers.

    References
    ----------
    Opitz and Burst (2019), Macro F1 and Macro F1, arXiv:1911.03347: the mean of F1s, not the F1 of means.

    Examples
    --------
    Label 0 has F1 1, label 1 has 2/3 and label 2 has 0.

    >>> round(macro_f1([0, 1, 2], [0, 1, 1]), 4)
    0.5556
    """
    return _label_or_set_score("macro_f1", targets, predicted)


def weighted_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean F1 of the labels, weighted by how many rows truly have each.

    Parameters and errors as in :func:`macro_f1`.

    Examples
    --------
    >>> round(weighted_f1([0, 0, 1], [0, 0, 0]), 4)
    0.5333
    """
    return _label_or_set_score("weighted_f1", targets, predicted)


def micro_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """F1 of the pooled counts; equal to accuracy where every row has exactly one label and one answer.

    Parameters and errors as in :func:`macro_f1`.

    Examples
    --------
    >>> micro_f1([[1, 1], [0, 1]], [[1, 0], [0, 1]])
    0.8
    """
    return _label_or_set_score("micro_f1", targets, predicted)


def samples_f1(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean F1 of the rows of a set-valued question; a row rightly answered with no label counts 1.

    Parameters
    ----------
    targets, predicted : arrays (N, C) of 0 and 1

    Examples
    --------
    >>> samples_f1([[0, 0], [1, 1]], [[0, 0], [1, 1]])
    1.0
    """
    return summed.set_sums(*check_sets(targets, predicted)).value("samples_f1")


def exact_match(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows whose whole set of labels is right.

    Parameters
    ----------
    targets, predicted : arrays (N, C) of 0 and 1

    Examples
    --------
    >>> exact_match([[0, 1], [1, 1]], [[0, 1], [1, 0]])
    0.5
    """
    return summed.set_sums(*check_sets(targets, predicted)).value("exact_match")


def matthews(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Matthews correlation for any number of labels; 0 where either side is constant.

    Parameters and errors as in :func:`accuracy`.

    References
    ----------
    Gorodkin (2004), Computational Biology and Chemistry 28(5-6).

    Examples
    --------
    >>> matthews([0, 1, 0, 1], [0, 1, 1, 0])
    0.0
    """
    return _label_score("matthews", targets, predicted)


def per_class(targets: ArrayLike, predicted: ArrayLike, *, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return precision, recall, F1 and support of every label, in the order of ``names``.

    Parameters
    ----------
    targets, predicted : int arrays (N,), or arrays (N, C) of 0 and 1
    names : C label names

    Raises
    ------
    DataError
        If a label is outside 0..C-1, or the arrays do not fit each other.
    """
    c = len(names)
    if np.asarray(targets).ndim == 2:
        columns = summed.set_sums(*check_sets(targets, predicted)).columns
    else:
        columns = summed.label_sums(*check_labels(targets, predicted, n_classes=c), n_classes=c).columns
    totals = columns.sum(axis=0)
    out = []
    for k, name in enumerate(names):
        hits, support, answered = (int(totals[k + part * c]) for part in range(3))
        out.append(
            ClassScore(
                name=name,
                precision=hits / answered if answered else 0.0,
                recall=hits / support if support else 0.0,
                f1=2 * hits / (support + answered) if support + answered else 0.0,
                support=support,
                predicted=answered,
            )
        )
    return tuple(out)


def confusion_matrix(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> IntArray:
    """Count rows by true label (down) and answer (across).

    Parameters
    ----------
    targets, predicted : int arrays (N,); unreadable answers (-1) are in no column
    n_classes : C

    Returns
    -------
    int array (C, C)

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1], n_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, answer = check_labels(targets, predicted, n_classes=n_classes)
    read = answer >= 0
    flat = np.bincount(truth[read] * n_classes + answer[read], minlength=n_classes**2)
    return np.asarray(flat.reshape(n_classes, n_classes), dtype=np.int64)


def quadratic_kappa(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> float:
    """Agreement of ordered labels beyond chance, an error counting by its squared distance; NaN if both are constant.

    Parameters
    ----------
    targets, predicted : int arrays (N,) of ranks 0..C-1
    n_classes : C

    References
    ----------
    Cohen (1968), Psychological Bulletin 70(4).

    Examples
    --------
    >>> quadratic_kappa([0, 1, 2], [0, 1, 2], n_classes=3)
    1.0
    """
    truth, answer = check_labels(targets, predicted, n_classes=n_classes, all_read=True)
    return summed.rank_sums(truth, answer, n_classes=n_classes).value("quadratic_kappa")


def rank_mae(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> float:
    """Mean absolute distance in ranks between the answer and the truth.

    Parameters as in :func:`quadratic_kappa`.

    Examples
    --------
    >>> rank_mae([0, 2], [1, 2], n_classes=3)
    0.5
    """
    truth, answer = check_labels(targets, predicted, n_classes=n_classes, all_read=True)
    return summed.rank_sums(truth, answer, n_classes=n_classes).value("rank_mae")


def _label_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    truth, answer = check_labels(targets, predicted)
    return summed.label_sums(truth, answer, n_classes=int(max(truth.max(), answer.max())) + 1).value(name)


def _label_or_set_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    if np.asarray(targets).ndim == 2:
        return summed.set_sums(*check_sets(targets, predicted)).value(name)
    return _label_score(name, targets, predicted)
