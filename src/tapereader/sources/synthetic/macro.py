"""Macro releases of the synthetic market: figures, forecasts, surprises and one revision each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_MACRO_STREAM = 3


@dataclass(frozen=True, kw_only=True)
class _Series:
    name: str
    mean: float
    step: float  # standard deviation of one month's change, unit of the series
    day: int  # day of the following month on which the first figure is known
    effect: int  # what a surprise above the forecast does to prices


_SERIES = (
    _Series(name="cpi-yoy", mean=2.0, step=0.3, day=12, effect=-1),
    _Series(name="pmi", mean=51.0, step=1.2, day=3, effect=1),
    _Series(name="unemployment", mean=5.5, step=0.2, day=7, effect=-1),
)


def draw_macro(seed: int, since: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
    """Draw the monthly releases known from ``since`` up to ``until``.

    Each figure follows its own past (autoregression of 0.9), is forecast with an error of half a step, is known at
    12:30 UTC on a day of the following month, and is revised a month later by a quarter of a step. The stream of a
    month does not depend on how many follow.

    Returns
    -------
    DataFrame with ``series``, ``reference``, ``vintage``, ``value``, ``expected``, ``surprise`` (forecast error in
    standard deviations), ``effect`` (surprise signed by what it does to prices), ``known_at``
    """
    first = since.tz_localize(None).to_period("M") - 2
    last = until.tz_localize(None).to_period("M")
    rows = []
    for place, series in enumerate(_SERIES):
        value = series.mean
        for step in range((last - first).n + 1):
            rng = np.random.default_rng([seed, _MACRO_STREAM, place, step])
            move, surprise, revision = rng.standard_normal(3)
            value = series.mean + 0.9 * (value - series.mean) + series.step * move
            month = first + step
            known = (month + 1).to_timestamp() + pd.Timedelta(days=series.day - 1, hours=12, minutes=30)
            later = (month + 2).to_timestamp() + pd.Timedelta(days=series.day - 1, hours=12, minutes=30)
            expected = value - 0.5 * series.step * surprise
            common = {"series": series.name, "reference": month.to_timestamp().date()}
            rows += [
                common | {"vintage": 1, "value": round(value, 3), "expected": round(expected, 3)}
                | {"surprise": surprise, "effect": series.effect * surprise, "known_at": known},
                common | {"vintage": 2, "value": round(value + 0.25 * series.step * revision, 3), "expected": np.nan}
                | {"surprise": np.nan, "effect": np.nan, "known_at": later},
            ]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["known_at"] = pd.to_datetime(frame["known_at"], utc=True).astype("datetime64[us, UTC]")
    inside = frame[(frame["known_at"] >= since) & (frame["known_at"] <= until)]
    return inside.sort_values(["known_at", "series", "vintage"], kind="stable").reset_index(drop=True)
