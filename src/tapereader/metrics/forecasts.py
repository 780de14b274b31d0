"""How good forecasts were: labels, sets of labels, ordered labels, numbers and stated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tapereader.core.errors import DataError
from tapereader.metrics import summed
from tapereader.metrics.summed import FloatArray, IntArray


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
    return summed.set_sums(*_sets(targets, predicted)).value("samples_f1")


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
    return summed.set_sums(*_sets(targets, predicted)).value("exact_match")


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
        columns = summed.set_sums(*_sets(targets, predicted)).columns
    else:
        columns = summed.label_sums(*_labels(targets, predicted, n_classes=c), n_classes=c).columns
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
    truth, answer = _labels(targets, predicted, n_classes=n_classes)
    read = answer >= 0
    flat = np.bincount(truth[read] * n_classes + answer[read], minlength=n_classes**2)
    return np.asarray(flat.reshape(n_classes, n_classes), dtype=np.int64)


def brier(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared distance between stated probabilities and what came true.

    One label a row: Brier's own definition, summed over the classes, 0 to 2 (half of it is the binary score of some
    libraries). Sets of labels: the mean over labels, 0 to 1.

    Parameters
    ----------
    targets : int array (N,), or array (N, C) of 0 and 1
    probabilities : array (N, C)

    Raises
    ------
    DataError
        If shapes do not fit or a probability is outside [0, 1].

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1), eq. 2.

    Examples
    --------
    >>> brier([0], [[0.5, 0.5]])
    0.5
    """
    return float(brier_rows(targets, probabilities).mean())


def brier_rows(targets: ArrayLike, probabilities: ArrayLike) -> FloatArray:
    """Return the Brier score of every row, whose mean is :func:`brier`.

    Parameters and errors as in :func:`brier`.

    Returns
    -------
    array (N,)
    """
    stated = _probabilities(probabilities)
    goals = np.asarray(targets)
    if goals.ndim == 2:
        truth, _ = _sets(goals, (stated >= 0.5).astype(np.float64))
        return np.asarray(((stated - truth) ** 2).mean(axis=1), dtype=np.float64)
    labels, _ = _labels(goals, stated.argmax(axis=1), n_classes=stated.shape[1])
    truth = (labels[:, None] == np.arange(stated.shape[1])[None, :]).astype(np.float64)
    return np.asarray(((stated - truth) ** 2).sum(axis=1), dtype=np.float64)


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> float:
    """Mean gap between stated confidence and the share that came true, over bins of equal mass.

    Bins hold equally many rows, not equally wide ranges, so that no bin rests on a handful; equal confidences share a
    bin. For one label a row, ``confidence`` is the greatest probability and ``right`` whether that label is true; for
    sets of labels, every probability of every label with whether it is true.

    Parameters
    ----------
    confidence : array (N,) in [0, 1]
    right : array (N,) of 0 and 1
    n_bins : bins asked for

    Raises
    ------
    DataError
        If the arrays are empty, of different lengths or outside their ranges.

    References
    ----------
    Naeini et al. (2015), AAAI; Nguyen and O'Connor (2015), EMNLP, for bins of equal mass.

    Examples
    --------
    Four answers at 75 %, three of them right.

    >>> expected_calibration_error([0.75] * 4, [1, 1, 1, 0])
    0.0
    """
    stated, came_true = _confidence(confidence, right)
    return summed.bin_sums(stated, came_true, n_bins=n_bins).value("ece")


def reliability(confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 10) -> list[dict[str, float]]:
    """Return the points of a reliability diagram: mean confidence, share right and rows of each bin of equal mass.

    Parameters and errors as in :func:`expected_calibration_error`.
    """
    stated, came_true = _confidence(confidence, right)
    bins = summed.equal_mass_bins(stated, n_bins=n_bins)
    out = []
    for b in range(int(bins.max()) + 1):
        inside = bins == b
        out.append(
            {
                "confidence": float(stated[inside].mean()),
                "accuracy": float(came_true[inside].mean()),
                "n": int(inside.sum()),
            }
        )
    return out


def auc(targets: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a true row scores above a false one, ties counting half.

    Parameters
    ----------
    targets : array (N,) of 0 and 1
    scores : array (N,)

    Raises
    ------
    DataError
        If only one of the two classes occurs.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143(1): the Mann-Whitney form.

    Examples
    --------
    >>> auc([0, 1, 1], [0.1, 0.1, 0.9])
    0.75
    """
    values, truth = _confidence_like(scores, targets)
    n_true = float(truth.sum())
    n_false = len(truth) - n_true
    if n_true == 0 or n_false == 0:
        raise DataError(f"`targets` of an AUC must hold both 0 and 1; got only {int(truth[0])}.")
    ranks = stats.rankdata(values)
    return float((ranks[truth == 1].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


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
    return summed.rank_sums(*_labels(targets, predicted, n_classes=n_classes), n_classes=n_classes).value(
        "quadratic_kappa"
    )


def rank_mae(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> float:
    """Mean absolute distance in ranks between the answer and the truth.

    Parameters as in :func:`quadratic_kappa`.

    Examples
    --------
    >>> rank_mae([0, 2], [1, 2], n_classes=3)
    0.5
    """
    return summed.rank_sums(*_labels(targets, predicted, n_classes=n_classes), n_classes=n_classes).value("rank_mae")


def r2(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the targets' variance explained; 0 is what their mean gets, NaN if they are constant.

    Parameters
    ----------
    targets, predicted : arrays (N,) of finite numbers

    Raises
    ------
    DataError
        If the arrays are empty, of different lengths, or hold a NaN.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    0.0
    """
    return _value_score("r2", targets, predicted)


def mae(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the targets' unit. Parameters and errors as in :func:`r2`."""
    return _value_score("mae", targets, predicted)


def rmse(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, in the targets' unit. Parameters and errors as in :func:`r2`."""
    return _value_score("rmse", targets, predicted)


def pearson(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Linear correlation; NaN where either side is constant. Parameters and errors as in :func:`r2`."""
    return _value_score("pearson", targets, predicted)


def spearman(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Rank correlation, ties sharing their mean rank; NaN where either side is constant.

    Parameters and errors as in :func:`r2`.

    Examples
    --------
    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    truth, answer = _values(targets, predicted)
    return summed.value_sums(stats.rankdata(truth), stats.rankdata(answer)).value("pearson")


def weighted_cosine(targets: ArrayLike, predicted: ArrayLike, *, answered: ArrayLike | None = None) -> float:
    """Cosine between scores and truth, times the share of rows answered: the official score of SemEval-2017 task 5.

    Parameters
    ----------
    targets, predicted : arrays (N,)
    answered : bool array (N,), or None where every row was answered

    References
    ----------
    Cortis et al. (2017), SemEval-2017 Task 5, sec. 5, eqs. 1 and 2.

    Examples
    --------
    >>> weighted_cosine([0.5, -0.5], [0.5, -0.5], answered=[True, False])
    0.5
    """
    truth, answer = _values(targets, predicted)
    kept = np.ones(len(truth), dtype=bool) if answered is None else np.asarray(answered, dtype=bool)
    if kept.shape != truth.shape:
        raise DataError(f"`answered` must have one entry a row, {len(truth)}; got shape {kept.shape}.")
    if not kept.any():
        return 0.0
    return summed.value_sums(truth[kept], answer[kept]).value("cosine") * float(kept.mean())


def _label_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    truth, answer = _labels(targets, predicted)
    return summed.label_sums(truth, answer, n_classes=int(max(truth.max(), answer.max())) + 1).value(name)


def _label_or_set_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    if np.asarray(targets).ndim == 2:
        return summed.set_sums(*_sets(targets, predicted)).value(name)
    return _label_score(name, targets, predicted)


def _value_score(name: str, targets: ArrayLike, predicted: ArrayLike) -> float:
    return summed.value_sums(*_values(targets, predicted)).value(name)


def _same(left: NDArray[Any], right: NDArray[Any], *, ndim: int) -> None:
    if left.shape != right.shape or left.ndim != ndim:
        axes = "(N,)" if ndim == 1 else "(N, C)"
        raise DataError(f"Targets and answers must be arrays {axes} of one shape; got {left.shape} and {right.shape}.")
    if left.size == 0:
        raise DataError("Targets and answers must have at least one row; got none.")


def _labels(targets: ArrayLike, predicted: ArrayLike, *, n_classes: int | None = None) -> tuple[IntArray, IntArray]:
    arrays = []
    for what, values, least in (("targets", targets, 0), ("predicted", predicted, -1)):
        array = np.asarray(values)
        if array.size and not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.bool_)):
            raise DataError(f"`{what}` must be whole numbers, the positions of labels; got dtype {array.dtype}.")
        labels = array.astype(np.int64)
        most = labels.max(initial=0) if n_classes is None else n_classes - 1
        wrong = np.flatnonzero((labels < least) | (labels > most))
        if len(wrong):
            at = int(wrong[0])
            top = "" if n_classes is None else f" and at most {n_classes - 1}"
            raise DataError(f"`{what}` must be at least {least}{top}; got {labels.ravel()[at]} at position {at}.")
        arrays.append(labels)
    _same(arrays[0], arrays[1], ndim=1)
    return arrays[0], arrays[1]


def _sets(targets: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _same(truth, answer, ndim=2)
    for what, array in (("targets", truth), ("predicted", answer)):
        wrong = np.argwhere((array != 0) & (array != 1))
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            raise DataError(f"`{what}` of sets of labels must be 0 or 1; got {array[at]!r} at position {at}.")
    return truth, answer


def _values(targets: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _same(truth, answer, ndim=1)
    for what, array in (("targets", truth), ("predicted", answer)):
        wrong = np.flatnonzero(~np.isfinite(array))
        if len(wrong):
            raise DataError(f"`{what}` must be finite numbers; got {array[wrong[0]]} at position {int(wrong[0])}.")
    return truth, answer


def _probabilities(probabilities: ArrayLike) -> FloatArray:
    stated = np.asarray(probabilities, dtype=np.float64)
    if stated.ndim != 2 or stated.size == 0:
        raise DataError(f"Probabilities must be an array (N, C) with at least one row; got shape {stated.shape}.")
    wrong = np.argwhere(~((stated >= 0) & (stated <= 1 + 1e-9)))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise DataError(f"Probabilities must be between 0 and 1; got {stated[at]} at position {at}.")
    return stated


def _confidence_like(scores: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    values, came_true = _values(scores, truth)
    wrong = np.flatnonzero((came_true != 0) & (came_true != 1))
    if len(wrong):
        raise DataError(f"What came true must be 0 or 1; got {came_true[wrong[0]]} at position {int(wrong[0])}.")
    return values, came_true


def _confidence(confidence: ArrayLike, right: ArrayLike) -> tuple[FloatArray, FloatArray]:
    stated, came_true = _confidence_like(confidence, right)
    _probabilities(stated[:, None])
    return stated, came_true
