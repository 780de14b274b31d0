"""From logits to calibrated answers, against formulas written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tapereader.bundle import Calibration, LabelContract, decode, output_width
from tapereader.core import BundleError

PLAIN = Calibration()


def test_single_label_is_a_softmax_of_logits_over_temperature() -> None:
    contract = LabelContract(kind="single-label", names=("a", "b"))
    # exp(2 ln 3 / 2) = 3 against exp(0) = 1: three quarters
    found = decode(contract, np.array([[2 * np.log(3.0), 0.0]]), Calibration(temperature=2.0))
    assert found == pytest.approx(np.array([[0.75, 0.25]]))


def test_huge_logits_do_not_overflow() -> None:
    contract = LabelContract(kind="single-label", names=("a", "b"))
    assert decode(contract, np.array([[1e4, -1e4]]), PLAIN).tolist() == [[1.0, 0.0]]
    flags = LabelContract(kind="multi-label", names=("a", "b"))
    assert decode(flags, np.array([[1e4, -1e4]]), PLAIN).tolist() == [[1.0, 0.0]]


def test_multi_label_probabilities_are_independent() -> None:
    contract = LabelContract(kind="multi-label", names=("a", "b", "c"))
    found = decode(contract, np.array([[0.0, np.log(3.0), -np.log(3.0)]]), PLAIN)
    assert found == pytest.approx(np.array([[0.5, 0.75, 0.25]]))


def test_ordinal_probabilities_are_differences_of_cumulative_ones() -> None:
    contract = LabelContract(kind="ordinal", names=("low", "mid", "high"))
    assert output_width(contract) == 2
    # above low: 3/4; above mid: 1/2 -> 1/4, 1/4, 1/2
    assert decode(contract, np.array([[np.log(3.0), 0.0]]), PLAIN) == pytest.approx(np.array([[0.25, 0.25, 0.5]]))


def test_crossed_ordinal_logits_give_no_negative_probability() -> None:
    contract = LabelContract(kind="ordinal", names=("low", "mid", "high"))
    found = decode(contract, np.random.default_rng(0).normal(size=(200, 2)) * 4, PLAIN)
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(np.ones(200))


def test_regression_goes_back_to_the_scale_of_its_target_and_ignores_temperature() -> None:
    contract = LabelContract(kind="regression", names=("score",))
    found = decode(
        contract, np.array([[2.0], [-1.0]]), Calibration(target_mean=10.0, target_scale=3.0, temperature=5.0)
    )
    assert found.tolist() == [16.0, 7.0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(BundleError) as caught:
        Calibration(temperature=temperature)
    assert str(caught.value) == f"`temperature` must be above 0; got {temperature!r}."


def test_a_calibration_is_read_back_equal() -> None:
    whole = Calibration(temperature=1.2, coverage=0.9, conformal_quantile=0.4, abstain_below=0.6, n=50)
    assert Calibration.from_dict(whole.to_dict()) == whole
