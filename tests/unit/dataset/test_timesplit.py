from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tapereader.core.errors import ConfigError, DataError, MissingDataError
from tapereader.dataset.timesplit import time_split


def daily(build, days, texts=None):
    known_at = pd.to_datetime([f"2016-01-{day:02d}" for day in days], utc=True)
    texts = texts or [f"{'abcdefghijklmnopqrstuvwxyz'[n] * 9}" for n in range(len(days))]
    return build(texts, ["negative", "positive"] * (len(days) // 2) + ["negative"] * (len(days) % 2), known_at=known_at)


def test_dates_cut_at_midnight_utc_whatever_the_row_order(build):
    split = time_split(daily(build, [9, 1, 5, 3, 7]), dates=(date(2016, 1, 5), date(2016, 1, 9)))
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([1, 3], [2, 4], [0])
    assert split.cuts == (datetime(2016, 1, 5, tzinfo=UTC), datetime(2016, 1, 9, tzinfo=UTC))
    assert split.name == "time"


def test_fractions_cut_by_rows_and_never_inside_one_instant(build):
    split = time_split(daily(build, [1, 2, 3, 4, 4, 4, 5, 6, 7, 8]), fractions=(0.5, 0.2, 0.3))
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == (
        [0, 1, 2],
        [3, 4, 5, 6],
        [7, 8, 9],
    )


def test_an_early_copy_of_a_late_text_is_dropped_and_the_late_one_stays(build):
    texts = ["oil fell", "gold rose sharply", "banks failed", "silver flat", "Oil  fell", "Silver flat"]
    labelled = daily(build, [1, 2, 3, 4, 5, 6], texts)
    split = time_split(labelled, dates=(date(2016, 1, 3), date(2016, 1, 5)))
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([1], [2], [4, 5])
    assert (split.rows_dropped, split.groups_straddling) == (2, 0)


def test_an_embargo_drops_the_rows_just_before_each_cut(build):
    labelled = daily(build, range(1, 13))
    split = time_split(labelled, dates=(date(2016, 1, 6), date(2016, 1, 10)), embargo=timedelta(days=2))
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([0, 1, 2], [5, 6], [9, 10, 11])
    assert split.rows_dropped == 4


def test_no_validation_by_fractions_or_by_equal_dates(build):
    labelled = daily(build, range(1, 11))
    by_share = time_split(labelled, fractions=(0.7, 0.0, 0.3), embargo=timedelta(days=1))
    by_date = time_split(labelled, dates=(date(2016, 1, 8), date(2016, 1, 8)), embargo=timedelta(days=1))
    assert by_share.train.tolist() == by_date.train.tolist() == list(range(6))
    assert by_share.validation.tolist() == by_date.validation.tolist() == []
    assert by_share.id == by_date.id


def test_an_instant_in_another_zone_is_the_same_instant(build):
    instant = pd.Timestamp("2016-01-03 08:00", tz="Asia/Shanghai").to_pydatetime()
    split = time_split(daily(build, [1, 2, 3, 4, 5]), dates=(instant, date(2016, 1, 5)))
    assert split.validation.tolist() == [2, 3]


def test_no_time_column_is_refused(build):
    with pytest.raises(MissingDataError) as caught:
        time_split(build(["a", "b"], ["negative", "positive"]))
    assert str(caught.value) == (
        "A split by time needs the column known_at; data set 'tape' has none. Name its time column, or split at random."
    )


def test_a_row_without_time_is_refused_with_its_row(build):
    known_at = pd.to_datetime(["2016-01-01", None, None], utc=True)
    with pytest.raises(MissingDataError) as caught:
        time_split(build(["a", "b", "c"], ["negative", "positive", "positive"], known_at=known_at))
    assert str(caught.value) == (
        "A split by time needs `known_at` in every row; 2 of 3 rows of data set 'tape' have none, first row 2. Drop "
        "them, or split at random."
    )


def test_times_without_a_zone_are_refused(build):
    known_at = np.array(["2016-01-01", "2016-01-02"], dtype="datetime64[us]")
    with pytest.raises(DataError) as caught:
        time_split(build(["a", "b"], ["negative", "positive"], known_at=known_at))
    assert str(caught.value) == "Column known_at must hold UTC timestamps; got datetime64[us] in data set 'tape'."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"embargo": timedelta(days=-1)}, "`embargo` must be zero or longer; got datetime.timedelta(days=-1)."),
        (
            {"dates": (date(2016, 1, 4), date(2016, 1, 2))},
            "`dates` must be the start of validation, then of test; got (datetime.date(2016, 1, 4), "
            "datetime.date(2016, 1, 2)).",
        ),
        (
            {"dates": (datetime(2016, 1, 2), date(2016, 1, 4))},  # noqa: DTZ001 - the missing zone is the case
            "An instant in `dates` must have a time zone; got datetime.datetime(2016, 1, 2, 0, 0). A plain date means "
            "00:00 UTC.",
        ),
    ],
)
def test_what_was_asked_wrongly_is_refused(build, wrong, message):
    with pytest.raises(ConfigError) as caught:
        time_split(daily(build, [1, 2, 3, 4, 5]), **wrong)
    assert str(caught.value) == message


def test_rows_of_too_few_instants_leave_no_validation_and_say_so(build):
    with pytest.raises(DataError) as caught:
        time_split(daily(build, [1, 1, 1, 1, 2, 2]), fractions=(0.7, 0.1, 0.2))
    assert str(caught.value) == (
        "Every part of a split by time must have rows; data set 'tape' has none for validation, from 2016-01-02 "
        "00:00:00Z to before 2016-01-02 00:00:00Z. Give other `dates`, or fractions without validation."
    )


def test_an_embargo_that_eats_the_validation_is_told(build):
    with pytest.raises(DataError) as caught:
        time_split(daily(build, [1, 2, 3, 4, 5]), dates=(date(2016, 1, 3), date(2016, 1, 5)), embargo=timedelta(days=2))
    assert str(caught.value) == (
        "Every part of a split by time must have rows; in data set 'tape' the embargo of 2 days, 0:00:00 and "
        "near-copies in the test leave none for validation. Shorten the embargo, or give other `dates`."
    )
