"""What contract.json states: round trip, and sanity answers that follow their names."""

from __future__ import annotations

from typing import Any

import pytest

from tapereader.bundle import ContractFacts, LabelContract, SanitySentence
from tapereader.core import ConfigError

CONTRACT = LabelContract(kind="single-label", names=("down", "up"), meanings=("It fell.", "It rose."))


def facts(**changes: Any) -> ContractFacts:
    given = {"contract": CONTRACT, "task": "trend", "language": "en", "has_pair": False, "max_length": 64}
    return ContractFacts(**(given | changes))


def test_what_was_written_is_read_back_equal() -> None:
    whole = facts(
        has_pair=True,
        prefix="query: ",
        pooling="last",
        tokenizer_fingerprint="abc",
        sanity=(SanitySentence(text="Profit rose.", pair="ACME", outputs=(0.1, 0.9)),),
        outputs_tolerance=0.01,
    )
    assert ContractFacts.from_dict(whole.to_dict()) == whole


def test_sanity_answers_follow_their_names_when_the_names_are_put_in_another_order() -> None:
    stored = facts(sanity=(SanitySentence(text="Profit rose.", outputs=(0.1, 0.9)),)).to_dict()
    stored["contract"]["names"].reverse()
    stored["contract"]["meanings"].reverse()
    assert ContractFacts.from_dict(stored).sanity[0].outputs == (0.9, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 4}, "`max_length` must be at least 8 tokens; got 4."),
        ({"pooling": "max"}, "`pooling` must be one of mean, first, last; got 'max'."),
        ({"outputs_tolerance": 0.0}, "`outputs_tolerance` must be above 0; got 0.0."),
        ({"outputs_tolerance": float("nan")}, "`outputs_tolerance` must be above 0; got nan."),
        (
            {"sanity": (SanitySentence(text="x", outputs=(1.0,)),)},
            "Sanity sentence 1 must have one finite output for each of ['down', 'up']; got (1.0,).",
        ),
        (
            {"sanity": (SanitySentence(text="x", outputs=(float("nan"), 1.0)),)},
            "Sanity sentence 1 must have one finite output for each of ['down', 'up']; got (nan, 1.0).",
        ),
        (
            {"has_pair": True, "sanity": (SanitySentence(text="x", outputs=(0.0, 1.0)),)},
            "Sanity sentence 1 must have a `pair`, as its bundle asks about one; got None.",
        ),
        (
            {"sanity": (SanitySentence(text="x", pair="ACME", outputs=(0.0, 1.0)),)},
            "Sanity sentence 1 must not have a `pair`, as its bundle does not ask about one; got 'ACME'.",
        ),
    ],
)
def test_facts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        facts(**changes)
    assert str(caught.value) == message
