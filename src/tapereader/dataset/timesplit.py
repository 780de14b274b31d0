"""A split by time: learn from the past, choose on what follows, judge on what comes last."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tapereader.core.errors import ConfigError, DataError, MissingDataError
from tapereader.dataset.parts import Split, check_fractions, drop_overlap, make_split, row_hashes, split_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapereader.sources.labelled import LabelledText


def time_split(
    labelled: LabelledText,
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    dates: tuple[date, date] | None = None,
    groups: NDArray[np.int64] | None = None,
    embargo: timedelta = timedelta(0),
) -> Split:
    """Cut the rows by ``known_at``: train strictly before validation, validation strictly before test.

        |------- train -------| embargo |-- validation --| embargo |-- test --|

    Rows of one instant are never parted: the cut moves back to the first of them. Where a group of near-copies has
    rows on both sides of a cut, the earlier rows are dropped, never moved: a late copy of an old text is what the
    model will meet, and training on its twin would flatter the score.

    Parameters
    ----------
    labelled : N rows with ``known_at``
    fractions : shares of train, validation and test in rows, summing to 1; validation may be 0
    dates : first day (00:00 UTC) or instant of validation and of test, instead of fractions; equal for no validation
    groups : near-duplicate groups, int array (N,); None finds them
    embargo : rows of the earlier part that lie closer than this before a cut are dropped

    Raises
    ------
    MissingDataError
        If a row has no time.
    DataError
        If ``known_at`` is not in UTC, or a part would be empty.
    ConfigError
        If fractions, dates or embargo cannot be used.

    Examples
    --------
    ``time_split(news, dates=(date(2016, 1, 1), date(2017, 1, 1)), embargo=timedelta(days=5))``
    """
    if embargo < timedelta(0):
        raise ConfigError(f"`embargo` must be zero or longer; got {embargo!r}.")
    whole, times = split_groups(labelled, groups), _times(labelled)
    if dates is None:
        check_fractions(fractions)
        validation_from, test_from = _cuts(times, fractions)
        no_validation = fractions[1] == 0
    else:
        validation_from, test_from = (_instant(day) for day in dates)
        no_validation = validation_from == test_from
        if validation_from > test_from:
            raise ConfigError(f"`dates` must be the start of validation, then of test; got {dates!r}.")
    part = np.where(times >= test_from, 2, np.where(times >= validation_from, 1, 0)).astype(np.int64)
    if not no_validation and not (part == 1).any():
        raise DataError(
            f"Every part of a split by time must have rows; data set {labelled.card.name!r} has none for validation, "
            f"from {_show(validation_from)} to before {_show(test_from)}. Give other `dates`, or fractions without "
            "validation."
        )
    gap = np.timedelta64(embargo)
    part[(part == 1) & (times >= test_from - gap)] = -1
    part[(part == 0) & (times >= (test_from if no_validation else validation_from) - gap)] = -1
    part = drop_overlap(part, whole)
    if not no_validation and not (part == 1).any():
        raise DataError(
            f"Every part of a split by time must have rows; in data set {labelled.card.name!r} the embargo of "
            f"{embargo} and near-copies in the test leave none for validation. Shorten the embargo, or give other "
            "`dates`."
        )
    cuts = (_aware(validation_from), _aware(test_from))
    return make_split("time", labelled, part, whole, hashes=row_hashes(labelled), cuts=cuts)


def _times(labelled: LabelledText) -> NDArray[np.datetime64]:
    name, frame = labelled.card.name, labelled.frame
    if "known_at" not in frame.columns:
        raise MissingDataError(
            f"A split by time needs the column known_at; data set {name!r} has none. Name its time column, or split at "
            "random."
        )
    known_at = frame["known_at"]
    if not isinstance(known_at.dtype, pd.DatetimeTZDtype):
        raise DataError(f"Column known_at must hold UTC timestamps; got {known_at.dtype} in data set {name!r}.")
    missing = known_at.isna()
    if missing.any():
        raise MissingDataError(
            f"A split by time needs `known_at` in every row; {int(missing.sum())} of {len(frame)} rows of data set "
            f"{name!r} have none, first row {frame['row'][missing].iloc[0]}. Drop them, or split at random."
        )
    utc = known_at.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(utc.to_numpy(), dtype="datetime64[us]")


def _cuts(times: NDArray[np.datetime64], fractions: tuple[float, float, float]) -> tuple[np.datetime64, np.datetime64]:
    ordered, n = np.sort(times), len(times)
    first, second = (min(round(n * share), n - 1) for share in (fractions[0], fractions[0] + fractions[1]))
    return ordered[first], ordered[second]


def _instant(day: date) -> np.datetime64:
    if isinstance(day, datetime):
        if day.tzinfo is None:
            raise ConfigError(
                f"An instant in `dates` must have a time zone; got {day!r}. A plain date means 00:00 UTC."
            )
        return np.datetime64(day.astimezone(UTC).replace(tzinfo=None), "us")
    return np.datetime64(day, "us")


def _aware(instant: np.datetime64) -> datetime:
    naive: datetime = instant.astype("datetime64[us]").item()
    return naive.replace(tzinfo=UTC)


def _show(instant: np.datetime64) -> str:
    return _aware(instant).strftime("%Y-%m-%d %H:%M:%SZ")
