"""Several answers become one: averages of probabilities, and a learnt linear map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapereader.bundle import Calibration, Combination, LabelContract, combine, decode, encode_outputs
from tapereader.core import BundleError

THREE = LabelContract(kind="single-label", names=("negative", "neutral", "positive"))


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("single-label", [[0.2, 0.3, 0.5], [0.98, 0.01, 0.01]]),
        ("multi-label", [[0.2, 0.9, 0.5], [0.99, 0.01, 0.6]]),
        ("ordinal", [[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]),
    ],
)
def test_what_is_encoded_decodes_to_itself(kind: str, outputs: list[list[float]]) -> None:
    contract = LabelContract(kind=kind, names=("a", "b", "c"))
    back = decode(contract, encode_outputs(contract, np.array(outputs)), Calibration())
    assert back == pytest.approx(np.array(outputs), abs=1e-12)


def test_a_certain_answer_stays_finite() -> None:
    back = decode(THREE, encode_outputs(THREE, np.array([[0.0, 0.0, 1.0]])), Calibration())
    assert np.isfinite(back).all()
    assert back[0, 2] == pytest.approx(1.0, abs=1e-8)


def test_regression_is_averaged_as_values() -> None:
    contract = LabelContract(kind="regression", names=("score",))
    found = combine(
        contract, [np.array([1.0, -1.0]), np.array([0.0, 1.0])], Combination(kind="weighted", weights=(0.75, 0.25))
    )
    assert decode(contract, found, Calibration()).tolist() == [0.75, -0.5]


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), st.floats(0.0, 1.0))
def test_an_average_lies_between_its_members(values: list[float], share: float) -> None:
    first = np.array([values]) / sum(values)
    second = np.array([[0.2, 0.5, 0.3]])
    combination = Combination(kind="weighted", weights=(share, 1.0 - share))
    got = decode(THREE, combine(THREE, [first, second], combination), Calibration())
    low, high = np.minimum(first, second), np.maximum(first, second)
    assert ((got >= low - 1e-9) & (got <= high + 1e-9)).all()


def test_a_stacked_combination_that_passes_one_member_through_answers_as_it() -> None:
    second = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
    matrix = np.hstack([np.zeros((3, 3)), np.eye(3)])
    combination = Combination(kind="stacked", matrix=tuple(map(tuple, matrix.tolist())), bias=(0.0, 0.0, 0.0))
    got = decode(THREE, combine(THREE, [np.full((2, 3), 1 / 3), second], combination), Calibration())
    assert got == pytest.approx(second, abs=1e-12)
    assert combination.n_members == 2


def test_it_survives_being_written_and_read() -> None:
    stacked = Combination(kind="stacked", matrix=((1.0, 0.5), (0.25, -1.0)), bias=(0.1, 0.2))
    for one in (stacked, Combination(kind="mean", weights=(0.5, 0.5))):
        assert Combination.from_dict(one.to_dict()) == one


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "vote"}, "`kind` of a combination must be one of mean, weighted, stacked; got 'vote'."),
        (
            {"weights": [0.7, 0.7]},
            "The `weights` of a combination must be 0 or more and sum to 1; got [0.7, 0.7].",
        ),
        (
            {"weights": [-0.5, 1.5]},
            "The `weights` of a combination must be 0 or more and sum to 1; got [-0.5, 1.5].",
        ),
        (
            {"kind": "stacked", "weights": [], "matrix": [[1.0], [float("nan")]], "bias": [0.0, 0.0]},
            "A stacked combination must have finite `matrix` and `bias` of as many rows, and no `weights`.",
        ),
        (
            {"kind": "stacked"},
            "A stacked combination must have finite `matrix` and `bias` of as many rows, and no `weights`.",
        ),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values: dict[str, object], says: str) -> None:
    stated = {"kind": "mean", "weights": [0.5, 0.5], "matrix": [], "bias": []} | values
    with pytest.raises(BundleError) as caught:
        Combination.from_dict(stated)
    assert str(caught.value) == says


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(BundleError, match="must hold `kind`, `weights`, `matrix` and `bias`; its fields are"):
        Combination.from_dict({"kind": "mean"})
