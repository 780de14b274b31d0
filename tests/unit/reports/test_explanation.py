"""The page about explanations: whole, safe, and true to its numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tapereader.reports import explanation_page


def facts(**changes: Any) -> dict[str, Any]:
    gain = {"value": 0.21, "low": 0.14, "high": 0.29, "level": 0.95}
    judged = {"gain": 0.21, "beaten": 0.95, "n_random": 20, "deletion_gain": 0.2, "insertion_gain": 0.22}
    words = [
        {"start": 0, "end": 5, "text": "Sales", "weight": 0.01},
        {"start": 6, "end": 10, "text": "rose", "weight": 2.0},
        {"start": 11, "end": 14, "text": "<b>", "weight": -1.0},
    ]
    one = {
        "row": 1, "text": "Sales rose <b>", "pair": None, "answer": "positive", "label": "positive",
        "probability": 0.913, "value": None, "score": 2.3, "words": words, "full_weight": 2.0,
        "faithfulness": judged, "neighbours": [],
        "completeness": {"baseline_score": 0.0, "gap": 0.001, "gap_share": 0.0004, "steps": 32, "complete": True},
    }  # fmt: skip
    return {
        "bundle_id": "abc", "task": "sentiment", "kind": "single-label", "language": "en",
        "labels": ["negative", "positive"], "method": "integrated-gradients", "note": "",
        "faithfulness": {"n": 2, "gain": gain, "deletion_gain": gain, "insertion_gain": gain}, "against": None,
        "explanations": [one | changes.pop("one", {})], "errors": [],
    } | changes  # fmt: skip


def test_words_carry_their_side_and_their_strength_and_weak_ones_none() -> None:
    page = explanation_page(facts())
    assert 'Sales <span class="w p" style="--s:1.00" title="+2.000">rose</span>' in page
    assert '<span class="w n" style="--s:0.50" title="−1.000">&lt;b&gt;</span>' in page
    assert "for: rose +2.00 · against: &lt;b&gt; −1.00" in page
    faint = explanation_page(facts(one={"full_weight": 20.0}))
    assert 'style="--s:0.10"' in faint
    assert faint.count('class="w ') == 3  # the legend's two, and one word


def test_all_text_from_outside_is_escaped() -> None:
    near = {"row": 7, "text": "<script>x</script>", "pair": "<i>", "label": "<u>", "similarity": 0.5}
    page = explanation_page(
        facts(task="<task>", note="<note>", bundle_id="<id>", errors=[{"row": 1, "error": "<error>"}],
              one={"pair": "<pair>", "label": "<label>", "answer": "<answer>", "neighbours": [near]})
    )  # fmt: skip
    assert not re.search(r"<(script|task|note|id|error|pair|label|answer)>", page)
    assert "&lt;script&gt;x&lt;/script&gt;" in page


def test_the_page_needs_nothing_but_itself() -> None:
    page = explanation_page(facts())
    assert page.startswith("<!doctype html>")
    assert not re.search(r"https?:|<script|<link|<img|url\(|@import", page)
    assert "prefers-color-scheme:dark" in page
    assert "max-width:48rem" in page
    assert page.count("<td") == page.count("</td>")


def test_explanations_no_better_than_random_are_said_to_be_so() -> None:
    gain = {"value": 0.02, "low": -0.01, "high": 0.05, "level": 0.95}
    judged = {"n": 2, "gain": gain, "deletion_gain": gain, "insertion_gain": gain}
    assert "Not shown to be better than random." in explanation_page(facts(faithfulness=judged))
    assert "Not shown to be better than random." not in explanation_page(facts())


def test_a_sum_that_is_not_complete_is_said_to_be_so() -> None:
    short = {"baseline_score": 0.0, "gap": 0.4, "gap_share": 0.163, "steps": 512, "complete": False}
    assert "16.3 % of the score is missing" in explanation_page(facts(one={"completeness": short}))
    assert "of the score is missing" not in explanation_page(facts())


@pytest.mark.parametrize(("near", "judged", "columns"), [(True, True, 4), (False, True, 3), (False, False, 2)])
def test_columns_without_content_are_left_out(near: bool, judged: bool, columns: int) -> None:
    found = [{"row": 7, "text": "Up", "pair": None, "label": "positive", "similarity": 0.5}] if near else []
    changes: dict[str, Any] = {} if judged else {"faithfulness": None}
    page = explanation_page(facts(one={"neighbours": found}, **changes))
    assert page.split("</thead>")[0].split("<thead>")[1].count("<th") == columns


def test_a_regression_and_another_label_than_the_answer_are_shown_as_what_they_are() -> None:
    assert "score <b>1.25</b>" in explanation_page(
        facts(kind="regression", one={"label": "score", "value": 1.25, "probability": None, "answer": ""})
    )
    assert "the answer is fraud, default" in explanation_page(facts(one={"answer": "fraud|default"}))
