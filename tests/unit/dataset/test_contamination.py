import json

import pytest

from tapereader.core.errors import ConfigError
from tapereader.dataset.contamination import contamination

NEWS = "Operating profit rose to EUR 3.11 mn from EUR 1.22 mn in the corresponding period of the year before"


def test_exact_and_near_copies_are_counted_apart_with_rows_of_both_sides(build):
    ours = build(
        [NEWS, "Oil fell.", "", NEWS.replace("3.11", "8"), "Gold was flat"], ["positive", "negative"] * 2 + ["positive"]
    )
    theirs = build(["nothing alike", "oil  FELL.", NEWS], ["negative", "negative", "positive"])
    report = contamination(ours, theirs)
    assert (report.n_rows, report.n_against, report.n_exact, report.n_near) == (5, 3, 2, 1)
    assert report.share == pytest.approx(3 / 5)
    assert [(e.row, e.against_row, e.exact, e.similarity) for e in report.examples] == [
        (1, 3, True, 1.0),
        (2, 2, True, 1.0),
        (4, 3, False, 1.0),
    ]
    assert json.loads(json.dumps(report.to_dict()))["examples"][1]["against_text"] == "oil  FELL."


def test_the_direction_is_the_share_of_the_first_set(build):
    few, many = (
        build(["oil fell hard"], ["negative"]),
        ["oil fell hard", *(f"other text {chr(97 + i)}" * 3 for i in range(9))],
    )
    assert contamination(few, many).share == 1.0
    assert contamination(build(many, ["negative"] * 10), few.texts).share == pytest.approx(0.1)


def test_the_closest_counterpart_is_the_example(build):
    ours = build([NEWS + " it said"], ["positive"])
    report = contamination(ours, [NEWS + " they said then", NEWS + " it says", "unlike"])
    assert [(e.against_row, e.exact) for e in report.examples] == [(2, False)]
    assert 0.8 <= report.examples[0].similarity < 1


def test_sets_with_nothing_in_common_and_empty_ones(build):
    ours = build(["oil fell", ""], ["negative", "positive"])
    assert contamination(ours, ["", "gold rose sharply"]).share == 0.0
    assert contamination(ours, []).n_near == 0
    assert contamination(build([], []), ["a"]).share == 0.0


def test_a_threshold_out_of_range_is_refused(build):
    with pytest.raises(ConfigError, match=r"^`threshold` must be a Jaccard similarity from 0\.5 to 1; got 2\.$"):
        contamination(build(["a"], ["positive"]), ["a"], threshold=2)
