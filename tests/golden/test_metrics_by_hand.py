"""Scores worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tapereader import metrics


def test_scores_of_six_headlines() -> None:
    """Truth n n n p p u, answers n n p p u u.

    F1 of n: precision 2/2, recall 2/3, so 4/5. Of p: 1/2 and 1/2, so 1/2. Of u: 1/2 and 1/1, so 2/3. The mean is
    59/90; weighted by 3, 2, 1 it is (12/5 + 1 + 2/3) / 6 = 61/90. Four of six are right. Matthews: hits times n is
    24; the true counts 3, 2, 1 times the answered 2, 2, 2 sum to 12; 36 less the squares 14 and 12 leaves 22 and 24:
    (24 - 12) / sqrt(22 * 24).
    """
    truth, answer = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    assert metrics.macro_f1(truth, answer) == pytest.approx(59 / 90)
    assert metrics.weighted_f1(truth, answer) == pytest.approx(61 / 90)
    assert metrics.accuracy(truth, answer) == pytest.approx(4 / 6)
    assert metrics.matthews(truth, answer) == pytest.approx(12 / np.sqrt(22 * 24))


def test_quadratic_kappa_of_four_ratings() -> None:
    """Truth 0 1 2 2, answers 0 2 2 1: squared distances sum to 2.

    By chance: true counts 1, 1, 2 against answered 1, 1, 2 over 4 rows cost (0*1 + 1*1 + 4*2 + 1*1 + 0 + 1*2 + 4*2 +
    1*2 + 0) / 4 = 22 / 4. Kappa is 1 - 2 / 5.5 = 7 / 11.
    """
    assert metrics.quadratic_kappa([0, 1, 2, 2], [0, 2, 2, 1], n_classes=3) == pytest.approx(7 / 11)


def test_calibration_error_of_two_bins() -> None:
    """Half the rows say 0.6 and 1 in 2 comes true, half say 0.9 and all do: (0.1 + 0.1) / 2."""
    stated = [0.6, 0.6, 0.9, 0.9]
    assert metrics.expected_calibration_error(stated, [1, 0, 1, 1], n_bins=2) == pytest.approx(0.1)


def test_official_cosine_of_two_scores() -> None:
    """(0.6 * 0.5 + 0.2 * 0.5) / (sqrt(0.4) * sqrt(0.5)) = 0.4 / sqrt(0.2)."""
    assert metrics.weighted_cosine([0.6, 0.2], [0.5, 0.5]) == pytest.approx(0.4 / np.sqrt(0.2))
