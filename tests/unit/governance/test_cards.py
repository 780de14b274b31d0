"""The model card, whole and in its cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tapereader.governance import model_card

Facts = Callable[..., dict[str, Any]]
GOLDEN = Path(__file__).parents[2] / "golden" / "model_card.md"


def test_the_whole_card_is_as_written_down(model_facts: Facts) -> None:
    assert model_card(model_facts()) == GOLDEN.read_text(encoding="utf-8")


def test_the_front_matter_is_yaml_that_the_hub_reads(model_facts: Facts) -> None:
    matter = yaml.safe_load(model_card(model_facts()).split("---")[1])
    assert matter["language"] == ["en"]
    assert matter["license"] == "other"
    assert {"finance", "sentiment", "synthetic-data"} <= set(matter["tags"])
    unknown = model_facts(dataset=model_facts()["dataset"] | {"language": "unknown"})
    assert "language" not in yaml.safe_load(model_card(unknown).split("---")[1])


def test_free_real_data_carries_no_warning(model_facts: Facts) -> None:
    facts = model_facts()
    plain = facts["manifest"] | {"synthetic": False, "non_commercial": False, "licences": []}
    card = model_card(facts | {"manifest": plain})
    assert "NON-COMMERCIAL" not in card
    assert "SYNTHETIC" not in card
    assert "synthetic-data" not in card


def test_a_baseline_that_wins_is_said_at_the_top(model_facts: Facts) -> None:
    lost = model_facts()["comparisons"]["tfidf"] | {"better": "theirs", "difference": -0.1, "low": -0.2, "high": -0.05}
    card = model_card(model_facts(comparisons={"tfidf": lost}))
    assert card.index("**A simpler rule wins.** On these rows TF-IDF + regression scores higher") < card.index(
        "## What"
    )
    assert "**TF-IDF + regression is better**" in card
    unclear = model_card(model_facts(comparisons={"tfidf": lost | {"better": "unclear"}}))
    assert "It cannot be told apart from TF-IDF + regression on these rows." in unclear


def test_two_winners_are_spoken_of_as_two(model_facts: Facts) -> None:
    lost = model_facts()["comparisons"]["tfidf"] | {"better": "theirs", "difference": -0.1, "low": -0.2, "high": -0.05}
    card = model_card(model_facts(comparisons={"tfidf": lost, "majority": lost}))
    assert (
        "> **Simpler rules win.** On these rows TF-IDF + regression and Majority score higher than this model." in card
    )
    assert "- TF-IDF + regression and Majority score higher on these rows." in card
    one = model_card(model_facts(comparisons={"tfidf": lost}))
    assert "- TF-IDF + regression scores higher on these rows." in one


def test_an_uncalibrated_model_promises_nothing(model_facts: Facts) -> None:
    facts = model_facts()
    card = model_card(facts | {"calibration": facts["calibration"] | {"n": 0}})
    assert "It was not calibrated" in card
    few = facts["calibration"] | {"coverage": None, "abstain_below": None}
    card = model_card(facts | {"calibration": few})
    assert "too few to promise any coverage" in card
    assert "It never abstains." in card


def test_names_from_outside_cannot_break_the_table(model_facts: Facts) -> None:
    facts = model_facts()
    contract = facts["contract"] | {"names": ["a|b", "<b>", "c`\nd"]}
    card = model_card(facts | {"contract": contract})
    assert "| 0 | `a\\|b` |" in card
    assert "| 1 | `&lt;b>` |" in card
    assert "| 2 | `c' d` |" in card


def test_a_number_is_described_by_its_bounds(model_facts: Facts) -> None:
    contract = {"kind": "regression", "names": ["score"], "meanings": [], "low": -1.0, "high": 1.0}
    assert "One number, `score` between −1.00 and 1.00." in model_card(model_facts(contract=contract))


def test_rare_labels_and_unknown_dates_are_limits(model_facts: Facts) -> None:
    facts = model_facts()
    rows = [dict(row) for row in facts["evaluation"]["per_class"]]
    rows[0]["support"] = 4
    undated = facts["manifest"] | {"parents": [{"kind": "backbone", "name": "odd", "sha256": None, "cutoff": None}]}
    card = model_card(facts | {"evaluation": facts["evaluation"] | {"per_class": rows}, "manifest": undated})
    assert "- `negative` has 4 scored rows: its scores are little more than a guess." in card
    assert "`odd` holds text of unknown date: treat any past as seen" in card
