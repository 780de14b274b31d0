"""Label contracts: what they accept, and how two that differ are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from tapereader.bundle import LabelContract
from tapereader.core import BundleError, ConfigError


def test_the_order_is_part_of_the_id_and_meanings_are_not() -> None:
    two = LabelContract(kind="single-label", names=("down", "up"))
    assert two.id == LabelContract(kind="single-label", names=("down", "up"), meanings=("fell", "rose")).id
    assert two.id != LabelContract(kind="single-label", names=("up", "down")).id
    assert two.id != LabelContract(kind="ordinal", names=("down", "up")).id


def test_what_was_written_is_read_back_equal() -> None:
    whole = LabelContract(kind="regression", names=("score",), meanings=("How good.",), low=-1.0, high=1.0)
    assert LabelContract.from_dict(whole.to_dict()) == whole


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "guess", "names": ("a", "b")},
            "A label contract's `kind` must be one of single-label, multi-label, ordinal, regression, generation; "
            "got 'guess'.",
        ),
        ({"kind": "single-label", "names": ("a", " ")}, "Label names must be non-empty text; got ('a', ' ')."),
        ({"kind": "single-label", "names": ("a", "a")}, "Label names must differ; got ('a', 'a')."),
        (
            {"kind": "single-label", "names": ("a",)},
            "A single-label contract must have at least 2 name(s); got ('a',).",
        ),
        (
            {"kind": "regression", "names": ("a", "b")},
            "A regression contract must have exactly 1 name; got ('a', 'b').",
        ),
        (
            {"kind": "generation", "names": ("a", "unparsed")},
            "'unparsed' is the outcome of an answer that cannot be read; it cannot be a label.",
        ),
        (
            {"kind": "ordinal", "names": ("a", "b"), "meanings": ("x",)},
            "`meanings` must be empty or one for each of 2 names.",
        ),
    ],
)
def test_a_contract_that_means_nothing_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LabelContract(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (
            LabelContract(kind="multi-label", names=("down", "up")),
            "The bundle answers single-label questions; the file is multi-label.",
        ),
        (
            LabelContract(kind="single-label", names=("up", "down")),
            "The bundle has the label order ['down', 'up']; the file has ['up', 'down']. The same labels in another "
            "order would swap every answer. Restore the original files.",
        ),
        (
            LabelContract(kind="single-label", names=("bear", "bull")),
            "The bundle has the labels ['down', 'up']; the file has ['bear', 'bull'].",
        ),
    ],
)
def test_contracts_that_differ_are_refused_by_what_differs(theirs: LabelContract, message: str) -> None:
    ours = LabelContract(kind="single-label", names=("down", "up"))
    ours.check_same(ours, ours="The bundle", theirs="the file")
    with pytest.raises(BundleError) as caught:
        ours.check_same(theirs, ours="The bundle", theirs="the file")
    assert str(caught.value) == message


def test_an_unknown_label_has_no_column() -> None:
    contract = LabelContract(kind="single-label", names=("down", "up"))
    with pytest.raises(ConfigError) as caught:
        contract.index("sideways")
    assert str(caught.value) == "A label must be one of down, up; got 'sideways'."


def test_a_stored_contract_without_names_is_refused() -> None:
    with pytest.raises(BundleError) as caught:
        LabelContract.from_dict({"kind": "ordinal"})
    assert str(caught.value) == "A label contract must hold `kind` and `names`; got {'kind': 'ordinal'}."
