"""Times as users write them, as UTC instants; nothing about a zone is guessed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from tapereader.core.errors import DataError
from tapereader.sources.text.columns import rows_phrase

_DATE_ONLY = r"\d{4}-\d{2}-\d{2}|\d{4}/\d{2}/\d{2}|\d{8}"
_ZONED = r".*\d\s*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)"


def known_at(values: pd.Series, *, where: str) -> pd.Series:
    """Turn a column of times into the first instants the text could have been used.

    A day without a time of day is known at its end: 24:00 UTC, the next midnight. Taking its beginning would let a
    model use an evening's news in the morning. Times in several zones become UTC; a time without a zone is refused,
    since eight hours decide whether a headline came before the close.

    Parameters
    ----------
    values : N dates, timestamps or ISO 8601 strings; missing ones stay missing
    where : the file, for messages

    Returns
    -------
    N UTC timestamps, microseconds

    Raises
    ------
    DataError
        With the rows that are not times, or have no zone.

    Examples
    --------
    >>> known_at(pd.Series(["2024-03-01", "2024-03-01T09:30:00-05:00"]), where="news.csv").astype(str).tolist()
    ['2024-03-02 00:00:00+00:00', '2024-03-01 14:30:00+00:00']
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(values.dt.tz_convert("UTC").astype("datetime64[us, UTC]"))
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        clocked = values.notna() & (values != values.dt.normalize())
        _refuse(values, clocked, "have a time zone", "Write it with its zone, such as 2024-03-01T09:30:00Z", where)
        return end_of_day(values)
    cells = [_as_text(cell) for cell in values.tolist()]
    text = pd.Series(cells, index=values.index, dtype="object").str.strip()
    present = text.notna() & (text != "") & (text != "None")
    days = present & text.str.fullmatch(_DATE_ONLY, na=False).astype(bool)
    zoned = present & ~days & text.str.fullmatch(_ZONED, na=False).astype(bool)
    parsed = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if days.any():
        plain = text[days].str.replace(r"[-/]", "", regex=True)
        parsed[days] = end_of_day(pd.to_datetime(plain, format="%Y%m%d", errors="coerce"))
    if zoned.any():
        instants = pd.to_datetime(text[zoned], format="ISO8601", utc=True, errors="coerce")
        parsed[zoned] = instants.astype("datetime64[us, UTC]")
    rest = present & ~days & ~zoned
    naive = rest & pd.to_datetime(text.where(rest), format="ISO8601", errors="coerce").notna()
    _refuse(values, naive, "have a time zone", "Write it with its zone, such as 2024-03-01T09:30:00Z", where)
    broken = present & parsed.isna()
    _refuse(values, broken, "be an ISO 8601 date or time", "Write it as 2024-03-01 or 2024-03-01T09:30:00Z", where)
    return parsed


def end_of_day(days: pd.Series) -> pd.Series:
    """Return the UTC midnight that ends each day; a missing day stays missing."""
    midnight = days.astype("datetime64[us]").dt.tz_localize("UTC")
    return (midnight + pd.Timedelta(days=1)).astype("datetime64[us, UTC]")


def _as_text(cell: Any) -> str | None:
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, dt.datetime):
        return cell.isoformat()
    return cell.isoformat() if isinstance(cell, dt.date) else str(cell)


def _refuse(values: pd.Series, wrong: pd.Series, must: str, remedy: str, where: str) -> None:
    if wrong.any():
        positions = [index for index, bad in enumerate(wrong.tolist()) if bad]
        first = _as_text(values.iloc[positions[0]])
        raise DataError(
            f"Every time must {must}; got {first!r} in {rows_phrase(positions, 1)} of {where!r}, "
            f"column {str(values.name)!r}. {remedy}."
        )
