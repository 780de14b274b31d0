"""A seeded market whose headlines truly move its prices, and never before they are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from tapereader.core.config import Config
from tapereader.sources.synthetic.macro import draw_macro
from tapereader.sources.synthetic.text import EVENTS, Company, Tongue, companies, write_headline

SENTIMENTS = ("negative", "neutral", "positive")
_HOLIDAYS = frozenset({(1, 1), (5, 1), (12, 25), (12, 26)})
_OPEN, _CLOSE = timedelta(hours=14, minutes=30), timedelta(hours=21)
# Each kind of draw has its own stream per session, so that what happens later cannot change what came before.
_NEWS_STREAM, _PRICE_STREAM = 1, 2


class SyntheticMarketConfig(Config):
    """What a synthetic market is made of."""

    seed: int = Field(default=7, ge=0)
    """Seed of every draw."""
    start: date = date(2021, 1, 4)
    """First day that can be a session."""
    n_sessions: int = Field(default=250, ge=2, le=20_000)
    """Sessions of the market."""
    n_assets: int = Field(default=40, ge=2, le=250)
    """Companies listed."""
    headlines_per_session: float = Field(default=12.0, ge=0, le=10_000)
    """Mean number of headlines between one open and the next."""
    chinese_share: float = Field(default=0.3, ge=0, le=1)
    """Share of headlines in Chinese."""
    risk_event_share: float = Field(default=0.25, ge=0, le=1)
    """Share of headlines about risk events, their denials and look-alikes among them."""
    after_hours_share: float = Field(default=0.5, ge=0, le=1)
    """Share of headlines published while the market is closed."""
    delay_seconds: float = Field(default=30.0, ge=0, le=86_400)
    """Longest time from publication until a headline is known; the delay is drawn evenly from 0 up to it."""
    label_noise: float = Field(default=0.05, ge=0, lt=1)
    """Share of observed labels that are replaced by another one, evenly drawn."""
    impact_bps: float = Field(default=150.0, ge=0, le=2_000)
    """Log return that one good headline adds to its asset's next session."""
    macro_impact_bps: float = Field(default=40.0, ge=0, le=2_000)
    """Log return that a surprise of one standard deviation adds to the whole market's next session."""
    market_volatility_bps: float = Field(default=70.0, ge=0, le=1_000)
    """Standard deviation per session of the factor all assets share."""
    sector_volatility_bps: float = Field(default=50.0, ge=0, le=1_000)
    """Standard deviation per session of the factor of one sector."""
    own_volatility_bps: float = Field(default=110.0, ge=0, le=1_000)
    """Standard deviation per session of what one asset does alone."""
    no_relation: bool = False
    """A placebo world: the same text, and prices and volumes that know nothing of it."""


@dataclass(frozen=True, eq=False)
class SyntheticWorld:
    """A finished synthetic market; all instants UTC.

    Parameters
    ----------
    config : what it was made from
    calendar : ``session`` (date), ``open_at``, ``close_at``
    assets : ``asset``, ``sector``, ``name_en``, ``name_zh``
    bars : ``asset``, ``session``, ``open``, ``high``, ``low``, ``close`` (price), ``volume`` (shares), ``known_at``
        (the close)
    macro : ``series``, ``reference`` (first day of the period), ``vintage`` (1 first figure, 2 revision), ``value``,
        ``expected`` (mean forecast, NaN for revisions), ``surprise`` (in standard deviations), ``known_at``
    headlines : ``text``, ``language``, ``asset``, ``published_at``, ``known_at``, ``moves_session`` (the first session
        that opens after ``known_at``), ``template``, ``family``, ``part`` (official part of the template), and each
        label twice, as it is and as it was written down: ``true_sentiment`` and ``sentiment``, ``true_trend`` and
        ``trend`` (``bull``, ``bear`` or ``none`` by the sign of ``expected_move``), ``true_risk_event`` and
        ``risk_event``; ``expected_move`` is the log return that all news known in time adds to ``moves_session``
    """

    config: SyntheticMarketConfig
    calendar: pd.DataFrame
    assets: pd.DataFrame
    bars: pd.DataFrame
    macro: pd.DataFrame
    headlines: pd.DataFrame


class SyntheticMarket:
    """Builds a market of invented companies from a seed.

    Log prices are random walks of a market, a sector and an own factor. A headline of sentiment s (-1, 0, 1) known
    before a session opens adds ``s * impact_bps`` to that asset's move from open to close of that session and to no
    other, so it can be traded at the open and is gone at the close; headlines that come during a session wait for the
    next one. Session k depends on draws of the sessions up to k alone: a shorter market is the beginning of a longer.

    Examples
    --------
    >>> world = SyntheticMarket(SyntheticMarketConfig(n_sessions=3, n_assets=2)).build()
    >>> world.bars.shape
    (6, 8)
    """

    def __init__(self, config: SyntheticMarketConfig) -> None:
        self.config = config

    def build(self) -> SyntheticWorld:
        """Draw calendar, macro releases, headlines and prices."""
        config = self.config
        listed = companies(config.n_assets)
        # A few sessions beyond the end give the last headlines a session to move; a delay is at most a day.
        calendar = _calendar(config.start, config.n_sessions + 4)
        headlines = self._headlines(listed, calendar)
        macro = draw_macro(config.seed, calendar["open_at"].iloc[0], calendar["close_at"].iloc[config.n_sessions - 1])
        assets = pd.DataFrame(
            {
                "asset": [company.asset for company in listed],
                "sector": [company.sector["en"] for company in listed],
                "name_en": [company.name["en"] for company in listed],
                "name_zh": [company.name["zh"] for company in listed],
            }
        )
        bars = self._bars(assets, calendar, headlines, macro)
        inside = calendar.head(config.n_sessions).copy()
        return SyntheticWorld(config, inside, assets, bars, macro, headlines)

    def _headlines(self, listed: tuple[Company, ...], calendar: pd.DataFrame) -> pd.DataFrame:
        config = self.config
        rows: list[dict[str, Any]] = []
        opens, closes = calendar["open_at"].tolist(), calendar["close_at"].tolist()
        for k in range(config.n_sessions):
            rng = np.random.default_rng([config.seed, _NEWS_STREAM, k])
            drawn = [
                self._headline(listed, opens[k], closes[k], opens[k + 1], rng)
                for _ in range(int(rng.poisson(config.headlines_per_session)))
            ]
            rows.extend(sorted(drawn, key=lambda row: (row["published_at"], row["known_at"])))
        frame = pd.DataFrame(rows, columns=list(_HEADLINE_COLUMNS))
        for column in ("published_at", "known_at"):
            frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
        moved = np.searchsorted(calendar["open_at"].to_numpy(), frame["known_at"].to_numpy(), side="right")
        frame["moves_session"] = calendar["session"].to_numpy()[moved]
        return self._with_trend(frame)

    def _headline(
        self, listed: tuple[Company, ...], opens: pd.Timestamp, closes: pd.Timestamp, ends: pd.Timestamp,
        rng: np.random.Generator,
    ) -> dict[str, Any]:  # fmt: skip
        config = self.config
        first, second = rng.choice(len(listed), size=2, replace=False)
        language: Tongue = "zh" if rng.random() < config.chinese_share else "en"
        written = write_headline(
            listed[first], listed[second], language=language, event_share=config.risk_event_share, rng=rng
        )
        since, until = (closes, ends) if rng.random() < config.after_hours_share else (opens, closes)
        published = since + (until - since) * rng.random()
        sentiment = SENTIMENTS[written.sentiment + 1]
        return {
            "text": written.text,
            "language": language,
            "asset": listed[first].asset,
            "published_at": published,
            "known_at": published + pd.Timedelta(seconds=config.delay_seconds * rng.random()),
            "template": written.template.id,
            "family": written.template.family,
            "frame": written.frame,
            "part": written.template.part,
            "true_sentiment": sentiment,
            "sentiment": _observe(sentiment, SENTIMENTS, config.label_noise, rng),
            "true_risk_event": written.event,
            "risk_event": _observe(written.event, EVENTS, config.label_noise, rng),
            "trend_flips": bool(rng.random() < config.label_noise),
        }

    def _with_trend(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        sign = frame["true_sentiment"].map({"negative": -1, "neutral": 0, "positive": 1}).astype(float)
        impact = 0.0 if self.config.no_relation else self.config.impact_bps / 1e4
        # All news that moves one session is known before it opens; the sum looks at nothing later.
        frame["expected_move"] = (sign * impact).groupby([frame["asset"], frame["moves_session"]]).transform("sum")
        move = frame["expected_move"].round(12)
        frame["true_trend"] = np.select([move > 0, move < 0], ["bull", "bear"], "none")
        flipped = frame["true_trend"].map({"bull": "bear", "bear": "bull", "none": "none"})
        frame["trend"] = frame["true_trend"].where(~frame["trend_flips"].astype(bool), flipped)
        return frame.drop(columns="trend_flips")

    def _bars(
        self, assets: pd.DataFrame, calendar: pd.DataFrame, headlines: pd.DataFrame, macro: pd.DataFrame
    ) -> pd.DataFrame:
        config = self.config
        sessions = config.n_sessions
        impact, news = self._news(assets, calendar, headlines)
        market_push = self._macro_push(calendar, macro)
        sectors = pd.factorize(assets["sector"])[0]
        first = np.random.default_rng([config.seed, _PRICE_STREAM])
        log_price = first.uniform(np.log(10), np.log(200), size=len(assets))
        usual_volume = first.uniform(np.log(2e5), np.log(5e6), size=len(assets))
        parts = []
        for k in range(sessions):
            rng = np.random.default_rng([config.seed, _PRICE_STREAM, k])
            shock = (
                market_push[k]
                + config.market_volatility_bps / 1e4 * rng.standard_normal()
                + config.sector_volatility_bps / 1e4 * rng.standard_normal(sectors.max() + 1)[sectors]
                + config.own_volatility_bps / 1e4 * rng.standard_normal(len(assets))
            )
            # A fifth of the noise comes overnight, the rest in the session; news moves the session alone.
            opened = log_price + 0.2 * shock
            closed = opened + 0.8 * shock + impact[k]
            reach = config.own_volatility_bps / 1e4 * np.abs(rng.standard_normal((2, len(assets)))) / 2
            volume = np.exp(usual_volume + 0.4 * news[k] + 0.3 * rng.standard_normal(len(assets)))
            parts.append(
                pd.DataFrame(
                    {
                        "asset": assets["asset"],
                        "session": calendar["session"].iloc[k],
                        "open": np.exp(opened),
                        "high": np.exp(np.maximum(opened, closed) + reach[0]),
                        "low": np.exp(np.minimum(opened, closed) - reach[1]),
                        "close": np.exp(closed),
                        "volume": volume.astype(np.int64),
                        "known_at": calendar["close_at"].iloc[k],
                    }
                )
            )
            log_price = closed
        return pd.concat(parts, ignore_index=True)

    def _news(
        self, assets: pd.DataFrame, calendar: pd.DataFrame, headlines: pd.DataFrame
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum impact and count headlines, both (T, A), by the session they move."""
        shape = (len(calendar), len(assets))
        impact, count = np.zeros(shape), np.zeros(shape)
        if self.config.no_relation:
            return impact, count
        at = (
            pd.Index(calendar["session"]).get_indexer(pd.Index(headlines["moves_session"])),
            pd.Index(assets["asset"]).get_indexer(pd.Index(headlines["asset"])),
        )
        sign = headlines["true_sentiment"].map({"negative": -1.0, "neutral": 0.0, "positive": 1.0}).to_numpy(float)
        np.add.at(impact, at, sign * self.config.impact_bps / 1e4)
        np.add.at(count, at, 1.0)
        return impact, count

    def _macro_push(self, calendar: pd.DataFrame, macro: pd.DataFrame) -> NDArray[np.float64]:
        """Sum what macro surprises add to the market, (T,), by the first session that opens after them."""
        push = np.zeros(len(calendar))
        if not self.config.no_relation:
            fresh = macro[macro["vintage"] == 1]
            at = np.searchsorted(calendar["open_at"].to_numpy(), fresh["known_at"].to_numpy(), side="right")
            np.add.at(push, at, fresh["effect"].to_numpy(float) * self.config.macro_impact_bps / 1e4)
        return push


_HEADLINE_COLUMNS = (
    "text", "language", "asset", "published_at", "known_at", "template", "family", "frame", "part", "true_sentiment",
    "sentiment", "true_risk_event", "risk_event", "trend_flips",
)  # fmt: skip


def _calendar(start: date, count: int) -> pd.DataFrame:
    days: list[date] = []
    day = start
    while len(days) < count:
        if day.weekday() < 5 and (day.month, day.day) not in _HOLIDAYS:
            days.append(day)
        day += timedelta(days=1)
    midnight = pd.to_datetime(pd.Series(days)).dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {"session": pd.Series(days, dtype=object), "open_at": midnight + _OPEN, "close_at": midnight + _CLOSE}
    )


def _observe(truth: str, names: tuple[str, ...], noise: float, rng: np.random.Generator) -> str:
    if rng.random() >= noise:
        # The second draw is made in any case, so that the noise does not move what follows.
        rng.random()
        return truth
    others = [name for name in names if name != truth]
    return others[int(rng.random() * len(others))]
