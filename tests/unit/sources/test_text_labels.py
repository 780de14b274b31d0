"""A user's labelled file: columns found or asked for, kinds inferred, order of the labels, times and groups."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapereader.core.errors import ConfigError, DataError, UnknownNameError
from tapereader.sources.text import read_labelled


def written(folder: Path, content: str, name: str = "my news.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def refuses(error: type[Exception], message: str) -> pytest.RaisesExc[Exception]:
    return pytest.raises(error, match="^" + re.escape(message) + "$")


def test_telling_names_are_taken_and_stated(tmp_path: Path) -> None:
    data = read_labelled(written(tmp_path, "id,Headline,sentiment\n7,A rises,positive\n8,B falls,negative\n"))
    assert data.frame.to_dict("list") == {
        "row": [1, 2],
        "text": ["A rises", "B falls"],
        "label": ["positive", "negative"],
        "id": ["7", "8"],
    }
    assert (data.card.name, data.card.origin, data.card.contract.kind) == ("my-news", "your file", "single-label")
    assert data.card.traps == (
        "'Headline' was taken as the text column, by its name",
        "'sentiment' was taken as the label column, by its name",
    )


def test_labels_are_sorted_unless_given(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,up\nb,down\nc,flat\n")
    assert read_labelled(path).card.contract.names == ("down", "flat", "up")
    ordered = read_labelled(path, task_kind="ordinal", labels=("down", "flat", "up"))
    assert ordered.targets().tolist() == [2, 0, 1]
    numbers = read_labelled(written(tmp_path, "text,label\na,10\nb,9\n"))
    assert numbers.card.contract.names == ("9", "10")


def test_missing_labels_and_empty_texts_are_kept(tmp_path: Path) -> None:
    data = read_labelled(written(tmp_path, "text,label\na,up\n,down\nc,\nd,NaN\ne,none\n"))
    assert data.frame["label"].tolist() == ["up", "down", None, None, "none"]
    assert data.texts == ["a", "", "c", "d", "e"]
    assert data.frame["row"].tolist() == [1, 2, 3, 4, 5]


def test_numbers_with_fractions_are_a_regression_target(tmp_path: Path) -> None:
    data = read_labelled(written(tmp_path, "text,score\na,0.5\nb,-1\nc,\n"))
    assert data.card.contract.kind == "regression"
    np.testing.assert_array_equal(data.targets(), [0.5, -1.0, np.nan])


def test_whole_numbers_with_gaps_in_parquet_are_names(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"text": ["a", "b", "c"], "label": [1.0, None, 0.0]}).to_parquet(path)
    assert read_labelled(path).frame["label"].tolist() == ["1", None, "0"]


def test_multi_label_reads_lists_and_bars_when_asked(tmp_path: Path) -> None:
    bars = read_labelled(written(tmp_path, "text,label\na,up|past\nb,\nc,past\n"), task_kind="multi-label")
    assert bars.frame["label"].tolist() == [("up", "past"), (), ("past",)]
    lines = written(tmp_path, '{"text": "a", "label": ["up"]}\n{"text": "b", "label": null}\n', "a.jsonl")
    assert read_labelled(lines, task_kind="multi-label").frame["label"].tolist() == [("up",), None]
    with refuses(
        DataError,
        f"A column of lists must be asked for as `task_kind='multi-label'`; got one in {str(lines)!r}, column 'label'.",
    ):
        read_labelled(lines)


def test_names_with_a_meaning_of_their_own_are_kept_aside(tmp_path: Path) -> None:
    path = written(tmp_path, "headline,view,text,known_at,official_x\na,up,T,yesterday,1\nb,down,U,now,2\n")
    data = read_labelled(path, text="headline", label="view")
    assert list(data.frame) == ["row", "text", "label", "source_text", "source_known_at", "source_official_x"]


def test_a_wrong_column_lists_the_columns_and_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "headline,label\na,up\nb,down\n")
    with refuses(
        UnknownNameError,
        f"The text column must be one of headline, label; got 'headlin' for {str(path)!r}. Did you mean 'headline'?",
    ):
        read_labelled(path, text="headlin")


def test_columns_that_could_both_be_meant_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "title,body,label\na,b,up\n")
    with refuses(
        UnknownNameError,
        f"The text column of {str(path)!r} must be named, since both 'title' and 'body' could be meant; "
        "the columns are title, body, label. Give `text=` (`--text`).",
    ):
        read_labelled(path)
    path = written(tmp_path, "text,answer\na,up\n")
    with refuses(
        UnknownNameError,
        f"The label column of {str(path)!r} must be named, since none has a telling name; "
        "the columns are text, answer. Give `label=` (`--label`).",
    ):
        read_labelled(path)


def test_one_class_and_no_class_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,up\nb,up\n")
    with refuses(
        DataError,
        f"A single-label column must have at least 2 different label(s); got only 'up' in column 'label' of "
        f"{str(path)!r}. Give all names by `labels=` if the others are just not in this file.",
    ):
        read_labelled(path)
    assert read_labelled(path, labels=("up", "down")).targets().tolist() == [0, 0]


def test_contradicting_options_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1.5\nb,2\n")
    with refuses(ConfigError, "An ordinal task must give `labels` in their order, low to high; got none."):
        read_labelled(path, task_kind="ordinal")
    with refuses(ConfigError, "A regression target has no label names; got `labels` ('a', 'b'). Leave it out."):
        read_labelled(path, labels=("a", "b"))
    with refuses(ConfigError, f"Text and label must be two columns; got 'text' for both, in {str(path)!r}."):
        read_labelled(path, label="text")


def test_a_word_among_regression_targets_is_named_by_row(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1.5\nb,high\nc,inf\n")
    with refuses(
        DataError,
        f"Every regression target must be a finite number; got 'high' in rows 2, 3 of {str(path)!r}, column 'label'.",
    ):
        read_labelled(path, task_kind="regression")


def test_mixed_types_are_named_by_row(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": "a", "label": 1}\n{"text": "b", "label": "up"}\n', "a.jsonl")
    with refuses(
        DataError,
        f"Labels must be of one type; got numbers and text, the change at 'up' in row 2 of {str(path)!r}, "
        "column 'label'.",
    ):
        read_labelled(path)
    path = written(tmp_path, '{"text": "a", "label": "x"}\n{"text": 7, "label": "y"}\n', "a.jsonl")
    with refuses(DataError, f"Every text must be a string; got 7 (int) in row 2 of {str(path)!r}, column 'text'."):
        read_labelled(path)


def test_times_become_utc_and_days_end(tmp_path: Path) -> None:
    path = written(
        tmp_path, "text,label,at\na,x,2024-03-01\nb,y,2024-03-01T09:30:00-05:00\nc,x,2024-03-01 22:30:00+08:00\nd,y,\n"
    )
    times = read_labelled(path, time="at").frame["known_at"]
    assert [str(time) for time in times] == [
        "2024-03-02 00:00:00+00:00",
        "2024-03-01 14:30:00+00:00",
        "2024-03-01 14:30:00+00:00",
        "NaT",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "2024-03-01 09:30:00",
            "Every time must have a time zone; got '2024-03-01 09:30:00' in row 2 of {path!r}, column 'at'. "
            "Write it with its zone, such as 2024-03-01T09:30:00Z.",
        ),
        (
            "31/01/2024",
            "Every time must be an ISO 8601 date or time; got '31/01/2024' in row 2 of {path!r}, column 'at'. "
            "Write it as 2024-03-01 or 2024-03-01T09:30:00Z.",
        ),
        (
            "2024-02-30",
            "Every time must be an ISO 8601 date or time; got '2024-02-30' in row 2 of {path!r}, column 'at'. "
            "Write it as 2024-03-01 or 2024-03-01T09:30:00Z.",
        ),
    ],
)
def test_a_time_that_says_too_little_is_refused(tmp_path: Path, value: str, message: str) -> None:
    path = written(tmp_path, f"text,label,at\na,x,2024-03-01\nb,y,{value}\n")
    with refuses(DataError, message.format(path=str(path))):
        read_labelled(path, time="at")


def test_parquet_times_with_a_clock_need_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    frame["at"] = pd.to_datetime(["2024-03-01 09:30", "2024-03-02 00:00"])
    frame.to_parquet(path)
    with pytest.raises(DataError, match="Every time must have a time zone; got '2024-03-01T09:30:00' in row 1 of"):
        read_labelled(path, time="at")
    frame["at"] = frame["at"].dt.normalize()
    frame.to_parquet(path)
    assert read_labelled(path, time="at").frame["known_at"].dt.day.tolist() == [2, 3]


def test_every_row_needs_its_group(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label,firm\na,x,ACME\nb,y,\n")
    with refuses(
        DataError,
        f"Every row must have a group; got none in row 2 of {str(path)!r}, column 'firm'. "
        "Fill it, or leave `group` out.",
    ):
        read_labelled(path, group="firm")
