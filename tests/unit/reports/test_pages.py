"""The page about a model: self-contained, escaped, complete, with and without charts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from tapereader.reports import headline, model_page

Facts = Callable[..., dict[str, Any]]


class Reader(HTMLParser):
    """Collects tags, ids and text, and refuses tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def _keep(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_asks_nobody_for_anything(model_facts: Facts) -> None:
    pytest.importorskip("matplotlib", reason="the extra report draws charts")
    page = model_page(model_facts())
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert {tag for tag, _, _ in reader.attributes}.isdisjoint({"script", "link", "img", "iframe", "object"})
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "xlink:href"):
            assert (value or "").startswith("#"), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.count("<svg") == 5
    assert page.count("prefers-color-scheme:dark") == 1


def test_references_inside_the_charts_resolve(model_facts: Facts) -> None:
    pytest.importorskip("matplotlib", reason="the extra report draws charts")
    page = model_page(model_facts())
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used
    assert used <= set(read(page).ids)


def test_text_from_outside_is_escaped(model_facts: Facts) -> None:
    facts = model_facts(title="<b>bold</b> & co")
    page = model_page(facts)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "<h1>&lt;b&gt;bold&lt;/b&gt; &amp; co</h1>" in page


def test_hostile_label_names_stay_text_everywhere(model_facts: Facts) -> None:
    pytest.importorskip("matplotlib", reason="the extra report draws charts")
    names = ['<img src=x onerror="alert(1)">', "neutral", "positive"]
    facts = model_facts()
    rows = [row | {"name": name} for row, name in zip(facts["evaluation"]["per_class"], names, strict=True)]
    facts = facts | {
        "contract": facts["contract"] | {"names": names},
        "evaluation": facts["evaluation"] | {"per_class": rows},
    }
    assert "<img" not in model_page(facts)


def test_the_headline_is_one_sentence_with_its_rivals(model_facts: Facts) -> None:
    facts = model_facts()
    ours, theirs, before = (
        f"{scored['metrics']['macro_f1']['value']:.3f}"
        for scored in (facts["evaluation"], facts["baselines"]["tfidf"], facts["before"])
    )
    sentence = headline(facts)
    assert sentence.startswith(f"Its Macro-F1 is {ours} (")
    assert sentence.endswith(
        f"on 240 rows it never saw, against {theirs} for the best plain baseline (TF-IDF + regression) "
        f"and {before} before fine-tuning."
    )
    alone = headline(model_facts(before=None, baselines={}))
    assert alone.endswith("on 240 rows it never saw.")


def test_synthetic_and_restricted_models_say_so_before_any_table(model_facts: Facts) -> None:
    text = read(model_page(model_facts())).text
    assert text.index("Synthetic data.") < text.index("Non-commercial use only.") < text.index("Label by label")
    facts = model_facts()
    free = facts | {"manifest": facts["manifest"] | {"synthetic": False, "non_commercial": False}}
    page = model_page(free)
    assert "Synthetic data." not in page
    assert "Non-commercial use only." not in page


def test_a_baseline_that_wins_is_said_at_the_top(model_facts: Facts) -> None:
    lost = model_facts()["comparisons"]["tfidf"] | {"better": "theirs"}
    text = read(model_page(model_facts(comparisons={"tfidf": lost}))).text
    assert text.index("A simpler rule wins. TF-IDF + regression scores higher here.") < text.index("Label by label")


def test_a_bare_model_still_has_a_page(model_facts: Facts) -> None:
    facts = model_facts()
    for optional in ("before", "baselines", "comparisons", "slices", "mistakes", "examples", "learning_curve", "rerun"):
        del facts[optional]
    text = read(model_page(facts)).text
    assert "Its surest mistakes" not in text
    assert "How far to trust it" in text


def test_a_regression_shows_values_and_not_labels(model_facts: Facts) -> None:
    facts = model_facts()
    score = {"value": 0.5, "low": 0.4, "high": None}
    facts = facts | {
        "contract": {"kind": "regression", "names": ["score"], "meanings": [], "low": -1.0, "high": 1.0},
        "evaluation": facts["evaluation"]
        | {
            "kind": "regression",
            "headline": "r2",
            "metrics": {"r2": score | {"high": 0.6}, "mae": {"value": None, "low": None, "high": None}},
            "per_class": [],
            "confusion": None,
            "reliability": [],
        },
        "before": None,
        "baselines": {},
        "comparisons": {},
        "slices": [],
        "examples": [{"text": "Sales fell.", "pair": "Acme", "value": -0.25, "answer": "-0.25"}],
    }
    text = read(model_page(facts)).text
    assert "Its R² is 0.500 (0.400 to 0.600)" in text
    assert "−0.250" in text
    assert "Label by label" not in text


def test_without_matplotlib_the_page_says_what_it_left_out(model_facts: Facts) -> None:
    code = (
        "import json, sys; sys.modules['matplotlib'] = None\n"
        "from tapereader.reports import model_page\n"
        "sys.stdout.reconfigure(encoding='utf-8')\n"
        "print(model_page(json.load(sys.stdin)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(model_facts()),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    text = read(done.stdout).text
    assert "Charts are left out. Drawing a chart needs the extra `report`" in text
    assert "<svg" not in done.stdout
    assert "Label by label" in text
