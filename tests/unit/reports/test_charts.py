"""Charts: what they draw, in both styles, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from tapereader.core.errors import DataError
from tapereader.reports import (
    confusion_chart,
    coverage_chart,
    learning_chart,
    metric_chart,
    model_charts,
    reliability_chart,
    to_png,
    to_svg,
)
from tapereader.reports.charts import PALETTES

pytest.importorskip("matplotlib", reason="the extra report draws charts")
Facts = Callable[..., dict[str, Any]]


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own output
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("style", ["light", "dark"])
def test_a_model_gets_every_chart_its_facts_allow(model_facts: Facts, style: Any) -> None:
    charts = model_charts(model_facts(), style=style)
    assert list(charts) == ["comparison", "confusion", "reliability", "coverage", "learning"]
    for name, figure in charts.items():
        svg = to_svg(figure, name=name)
        assert PALETTES[style].accent in svg
        assert "<metadata" not in svg
        assert to_png(figure, dots_per_inch=40).startswith(b"\x89PNG")


def test_a_regression_has_no_chart_of_labels(model_facts: Facts) -> None:
    evaluation = model_facts()["evaluation"] | {"confusion": None, "reliability": [], "coverage": None}
    facts = model_facts(evaluation=evaluation, learning_curve=[])
    assert list(model_charts(facts)) == ["comparison"]


def test_the_same_data_give_the_same_svg_and_ids_do_not_collide() -> None:
    points = [{"confidence": 0.6, "accuracy": 0.5, "n": 10}, {"confidence": 0.9, "accuracy": 0.95, "n": 10}]
    one, two = (to_svg(reliability_chart(points), name="a") for _ in range(2))
    assert one == two
    other = to_svg(reliability_chart(points), name="b")
    ids = [{node.get("id") for node in ElementTree.fromstring(svg).iter()} - {None} for svg in (one, other)]  # noqa: S314 - our own output
    assert not ids[0] & ids[1]
    assert ids[0]


def test_chinese_labels_stay_text_whatever_fonts_there_are() -> None:
    svg = to_svg(confusion_chart([[3, 1], [0, 4]], ["负面", "正面"]), name="confusion")
    assert {"负面", "正面", "3", "1", "0", "4"} <= set(texts(svg))
    assert to_png(confusion_chart([[3, 1], [0, 4]], ["负面", "ꙮ"])).startswith(b"\x89PNG")


def test_dollars_in_a_label_are_no_formula() -> None:
    rows = [{"title": "a $x_1$ b", "value": 0.5, "low": None, "high": None, "ours": True}]
    assert "a $x_1$ b" in texts(to_svg(metric_chart(rows, metric="F1"), name="m"))


def test_scores_are_written_beside_their_marks() -> None:
    rows = [
        {"title": "Majority", "value": 0.25, "low": 0.2, "high": 0.3, "ours": False},
        {"title": "This model", "value": 0.8125, "low": None, "high": None, "ours": True},
    ]
    assert {"0.250", "0.812", "Majority", "This model"} <= set(texts(to_svg(metric_chart(rows, metric="F1"), name="m")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metric_chart([], metric="F1"), "A metric chart must have at least one row; got none."),
        (lambda: reliability_chart([]), "A reliability chart must have at least one point; got none."),
        (
            lambda: confusion_chart([[1, 2]], ["a", "b"]),
            "A confusion chart must have 2 rows and columns of counts; got other shapes.",
        ),
        (
            lambda: learning_chart([{"step": 1, "train_loss": None}]),
            "A learning chart must have at least one loss; got none.",
        ),
        (lambda: coverage_chart({"value": None}), "A coverage chart must have a `value`; got None."),
        (
            lambda: metric_chart([{"title": "a"}], metric="F1", style="sepia"),
            "A chart's `style` must be light or dark; got 'sepia'.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message


def test_without_matplotlib_the_way_out_is_named() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from tapereader.reports import metric_chart\n"
        "try: metric_chart([{'title': 'a'}], metric='F1')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        'Drawing a chart needs the extra `report`, which is not installed. Run: pip install "tapereader[report]".'
    )
