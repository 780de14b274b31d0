from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapereader.core.errors import ConfigError, UnknownNameError
from tapereader.sources.catalog import load_dataset
from tapereader.sources.labelled import LabelledText
from tapereader.sources.synthetic import (
    SyntheticMarket,
    SyntheticMarketConfig,
    SyntheticWorld,
    ceiling,
    load_synthetic,
    templates_zh,
)
from tapereader.sources.synthetic.grammar import Lexicon, draw_facts, expand, families
from tapereader.sources.synthetic.templates_en import LEXICON
from tapereader.sources.synthetic.text import EVENTS, FRAMES, TEMPLATES, companies

NAMES = ("synthetic-sentiment", "synthetic-trend", "synthetic-risk-events", "synthetic-sentiment-zh")
CONFIG = SyntheticMarketConfig(seed=3, n_sessions=250, n_assets=20, headlines_per_session=10.0)


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    return SyntheticMarket(CONFIG).build()


@pytest.fixture(scope="module")
def placebo() -> SyntheticWorld:
    return SyntheticMarket(CONFIG.replace(no_relation=True)).build()


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> LabelledText:
    return load_synthetic(request.param)


def news_and_returns(world: SyntheticWorld, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Summed true sentiment and the close-to-close log return ``shift`` sessions after the one it should move."""
    closes = world.bars.pivot(index="session", columns="asset", values="close")
    returns = np.log(closes).diff().shift(-shift)
    sign = world.headlines["true_sentiment"].map({"negative": -1.0, "neutral": 0.0, "positive": 1.0})
    news = sign.groupby([world.headlines["moves_session"], world.headlines["asset"]]).sum()
    stacked = returns.stack().reindex(news.index).dropna()
    return news.loc[stacked.index].to_numpy(), stacked.to_numpy()


# --- the market ------------------------------------------------------------------------------------------------------


def test_one_seed_makes_one_world_and_another_seed_another(world: SyntheticWorld) -> None:
    again = SyntheticMarket(CONFIG).build()
    for name in ("calendar", "assets", "bars", "macro", "headlines"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(world, name))
    other = SyntheticMarket(CONFIG.replace(seed=4)).build()
    assert other.headlines["text"].tolist() != world.headlines["text"].tolist()
    assert other.bars["close"].tolist() != world.bars["close"].tolist()


@pytest.mark.parametrize("sessions", [2, 60, 249])
def test_a_market_cut_off_early_is_the_beginning_of_the_longer_one(world: SyntheticWorld, sessions: int) -> None:
    short = SyntheticMarket(CONFIG.replace(n_sessions=sessions)).build()
    for name in ("calendar", "bars", "macro", "headlines"):
        part = getattr(short, name)
        whole = getattr(world, name).head(len(part))
        if name == "headlines":
            # The last sessions' expected move also counts news that comes after the cut, still before its open.
            at_the_cut = whole["moves_session"] > short.calendar["session"].iloc[-1]
            part, whole = part[~at_the_cut], whole[~at_the_cut]
        pd.testing.assert_frame_equal(part, whole)


def test_a_headline_moves_the_first_session_that_opens_after_it_is_known(world: SyntheticWorld) -> None:
    opens = world.calendar.set_index("session")["open_at"]
    known = world.headlines[world.headlines["moves_session"].isin(opens.index)]
    moved = opens.loc[known["moves_session"]].to_numpy()
    before = opens.shift(1).loc[known["moves_session"]].to_numpy()
    assert (moved > known["known_at"].to_numpy()).all()
    assert (before <= known["known_at"].to_numpy()).all()
    assert (world.headlines["known_at"] >= world.headlines["published_at"]).all()


def test_a_long_delay_moves_news_to_a_later_session_and_never_an_earlier_one() -> None:
    slow = SyntheticMarket(CONFIG.replace(n_sessions=60, delay_seconds=86_400.0)).build()
    quick = SyntheticMarket(CONFIG.replace(n_sessions=60, delay_seconds=0.0)).build()
    rows = ["asset", "text", "published_at"]
    both = slow.headlines.merge(quick.headlines, on=rows, suffixes=("_slow", "_quick"))
    assert len(both) == len(slow.headlines)
    assert (both["moves_session_slow"] >= both["moves_session_quick"]).all()
    assert (both["moves_session_slow"] > both["moves_session_quick"]).mean() > 0.2


def test_true_sentiment_raises_the_next_session_and_no_other(world: SyntheticWorld) -> None:
    news, returns = news_and_returns(world, 0)
    noise = 1 / np.sqrt(len(news))
    assert np.corrcoef(news, returns)[0, 1] > 0.3
    slope = np.polyfit(news, returns, 1)[0]
    assert slope == pytest.approx(CONFIG.impact_bps / 1e4, rel=0.15)
    for shift in (-1, 1):
        assert abs(np.corrcoef(*news_and_returns(world, shift))[0, 1]) < 3.5 * noise


def test_the_impact_can_be_traded_at_the_open(world: SyntheticWorld, placebo: SyntheticWorld) -> None:
    moved = np.log(world.bars["close"] / world.bars["open"])
    unmoved = np.log(placebo.bars["close"] / placebo.bars["open"])
    news = world.headlines.drop_duplicates(["moves_session", "asset"])
    expected = world.bars.merge(news, left_on=["session", "asset"], right_on=["moves_session", "asset"], how="left")[
        "expected_move"
    ].fillna(0.0)
    # What the market-wide macro releases add is the same for all assets of a session.
    rest = (moved - unmoved - expected).groupby(world.bars["session"]).agg(["min", "max"])
    np.testing.assert_allclose(rest["min"], rest["max"], atol=1e-10)


def test_a_placebo_world_has_the_same_text_and_no_relation(world: SyntheticWorld, placebo: SyntheticWorld) -> None:
    assert placebo.headlines["text"].tolist() == world.headlines["text"].tolist()
    assert placebo.headlines["sentiment"].tolist() == world.headlines["sentiment"].tolist()
    assert set(placebo.headlines["true_trend"]) == {"none"}
    news, returns = news_and_returns(placebo, 0)
    assert abs(np.corrcoef(news, returns)[0, 1]) < 3.5 / np.sqrt(len(news))


def test_volume_rises_with_news_only_where_there_is_a_relation(world: SyntheticWorld, placebo: SyntheticWorld) -> None:
    news = set(zip(world.headlines["moves_session"], world.headlines["asset"], strict=True))
    has = pd.Series([pair in news for pair in zip(world.bars["session"], world.bars["asset"], strict=True)])
    gain = np.log(world.bars["volume"]) - np.log(placebo.bars["volume"])
    assert gain[has].min() > 0.3
    assert gain[~has].abs().max() < 1e-4  # volumes are whole shares


def test_bars_are_possible_and_known_at_the_close(world: SyntheticWorld) -> None:
    bars = world.bars
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["low"] > 0).all()
    assert (bars["volume"] > 0).all()
    closes = world.calendar.set_index("session")["close_at"]
    assert (closes.loc[bars["session"]].to_numpy() == bars["known_at"].to_numpy()).all()


def test_sessions_are_weekdays_without_the_holidays() -> None:
    days = SyntheticMarket(CONFIG.replace(start=date(2020, 12, 24), n_sessions=8)).build().calendar["session"].tolist()
    assert [str(day) for day in days] == [
        "2020-12-24", "2020-12-28", "2020-12-29", "2020-12-30", "2020-12-31", "2021-01-04", "2021-01-05", "2021-01-06",
    ]  # fmt: skip


def test_macro_figures_are_known_after_their_month_and_revised_later(world: SyntheticWorld) -> None:
    macro = world.macro
    month_end = pd.to_datetime(macro["reference"]).dt.tz_localize("UTC") + pd.offsets.MonthEnd(1)
    assert (macro["known_at"] > month_end.to_numpy()).all()
    first = macro[macro["vintage"] == 1].set_index(["series", "reference"])
    second = macro[macro["vintage"] == 2].set_index(["series", "reference"])
    both = first.index.intersection(second.index)
    assert len(both) > 20
    assert (second.loc[both, "known_at"] > first.loc[both, "known_at"]).all()
    assert first["expected"].notna().all()
    assert second["expected"].isna().all()


def test_label_noise_has_the_stated_share_and_can_be_switched_off() -> None:
    noisy = SyntheticMarket(CONFIG.replace(label_noise=0.2)).build().headlines
    for label in ("sentiment", "risk_event"):
        assert (noisy[label] != noisy[f"true_{label}"]).mean() == pytest.approx(0.2, abs=0.03)
    clean = SyntheticMarket(CONFIG.replace(label_noise=0.0)).build().headlines
    for label in ("sentiment", "risk_event", "trend"):
        assert clean[label].tolist() == clean[f"true_{label}"].tolist()
    # Noise changes labels, never the text.
    assert clean["text"].tolist() == noisy["text"].tolist()


def test_a_market_without_news_still_trades() -> None:
    quiet = SyntheticMarket(CONFIG.replace(n_sessions=5, headlines_per_session=0.0)).build()
    assert quiet.headlines.empty
    assert len(quiet.bars) == 5 * CONFIG.n_assets


def test_a_wrong_config_names_every_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        SyntheticMarketConfig(n_assets=1, label_noise=1.0)
    assert str(caught.value) == (
        "SyntheticMarketConfig has 2 problems:\n"
        "  n_assets: must be greater than or equal to 2; got 1\n"
        "  label_noise: must be less than 1; got 1.0"
    )


# --- the text --------------------------------------------------------------------------------------------------------


def test_there_are_many_templates_of_each_language_with_ids_of_their_own() -> None:
    ids = [template.id for template in TEMPLATES + FRAMES]
    assert len(ids) == len(set(ids))
    count = {language: sum(t.language == language for t in TEMPLATES) for language in ("en", "zh")}
    assert count["en"] >= 60
    assert count["zh"] >= 40


def test_every_family_is_in_training_and_in_the_test_part() -> None:
    parts: dict[tuple[str, str], set[str]] = {}
    for template in TEMPLATES:
        parts.setdefault((template.language, template.family), set()).add(template.part)
    assert all({"train", "test"} <= found for found in parts.values())


@pytest.mark.parametrize("polarity", [-1, 1])
def test_facts_of_a_mirror_move_in_opposite_directions_and_mean_the_same(polarity: int) -> None:
    template = families("en", "== mirror | a+ b+! \n{a.metric}")[0]
    for seed in range(50):
        facts = draw_facts(template.rules, polarity, LEXICON, np.random.default_rng(seed))
        assert facts["a"].sign == -facts["b"].sign
        assert (facts["a"].above == "above") == (facts["a"].sign * polarity > 0)
        assert (facts["b"].above == "above") == (facts["b"].sign * polarity > 0)


def amount(text: str) -> float:
    found = re.search(r"[\d.]+", text)
    assert found is not None
    return float(found.group())


def test_the_numbers_of_a_fact_agree_with_its_verb() -> None:
    template = families("en", "== numbers | a0m \n{a.metric}")[0]
    rose = {verb[1] for verb in LEXICON.up}
    for seed in range(200):
        fact = draw_facts(template.rules, 1, LEXICON, np.random.default_rng(seed))["a"]
        assert (amount(fact.to) > amount(fact.fro)) == (fact.moved in rose)


def test_an_unreadable_rule_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        families("en", "== odd | a* \n{a.metric}")
    assert str(caught.value) == "A fact rule must look like `a+`, `b-!` or `a0m`; got 'a*'."


def test_choices_are_resolved_before_the_two_sides() -> None:
    assert expand("[x|x] <[up|up]|[down|down]>", good=True, rng=np.random.default_rng(0)) == "x up"


def test_companies_have_codes_and_names_of_their_own() -> None:
    listed = companies(250)
    assert len({company.asset for company in listed}) == 250
    assert len({company.name["en"] for company in listed}) == 250
    assert len({company.name["zh"] for company in listed}) == 250
    with pytest.raises(ConfigError) as caught:
        companies(251)
    assert str(caught.value) == "`n_assets` must be 2 to 250; got 251."


def test_a_denied_event_is_no_event_and_an_affirmed_one_is() -> None:
    headlines = SyntheticMarket(CONFIG.replace(risk_event_share=1.0)).build().headlines
    voided = headlines["frame"].str.contains("voided")
    affirmed = headlines["frame"].str.contains("affirmed")
    of_events = headlines["family"].isin(EVENTS)
    assert set(headlines.loc[voided, "true_risk_event"]) == {"none"}
    assert set(headlines.loc[voided, "true_sentiment"]) == {"neutral"}
    kept = headlines[affirmed & of_events]
    assert kept["true_risk_event"].tolist() == kept["family"].tolist()


def test_no_slot_or_mark_is_left_in_a_text(data: LabelledText) -> None:
    left = [text for text in data.texts if re.search(r"[{}<>\[\]|]|  ", text)]
    assert left == []


def test_lexica_of_both_languages_share_no_word_between_up_and_down() -> None:
    lexica: tuple[Lexicon, ...] = (LEXICON, templates_zh.LEXICON)
    for lexicon in lexica:
        assert not {form for verb in lexicon.up for form in verb} & {form for verb in lexicon.down for form in verb}
        assert not set(lexicon.higher) & set(lexicon.lower)
        assert not set(lexicon.money_good + lexicon.count_good) & set(lexicon.money_bad + lexicon.count_bad)


# --- the labelled data sets ------------------------------------------------------------------------------------------


def test_a_data_set_says_that_it_is_synthetic_and_where_its_ceiling_is(data: LabelledText) -> None:
    assert data.card.synthetic
    assert data.card.title.startswith("Synthetic")
    best = ceiling(data)
    assert data.card.traps[-1] == (
        f"On these 3000 rows the ceiling is an accuracy of {best.everywhere:.1%} "
        f"({best.test:.1%} on the official test part)."
    )
    assert len(data) == 3000


def test_an_oracle_reaches_one_less_the_noise(data: LabelledText) -> None:
    # 5 % of 3,000 labels: four standard errors are 1.6 points.
    assert ceiling(data).everywhere == pytest.approx(0.95, abs=0.016)


def test_no_template_is_in_two_parts(data: LabelledText) -> None:
    parts = data.frame.groupby("group")["official_template"].nunique()
    assert parts.max() == 1
    shares = data.frame["official_template"].value_counts(normalize=True)
    assert shares["train"] > 0.5
    assert 0.15 < shares["test"] < 0.3


def test_every_class_is_in_every_part_and_every_text_once(data: LabelledText) -> None:
    names = set(data.card.contract.names)
    for _, rows in data.frame.groupby("official_template"):
        assert set(rows["label"]) == names
    assert data.frame["text"].is_unique
    assert len(data.targets()) == len(data)


def test_rows_are_in_the_order_in_which_they_became_known(data: LabelledText) -> None:
    assert str(data.frame["known_at"].dtype) == "datetime64[us, UTC]"
    sessions = data.frame["known_at"].dt.date
    assert sessions.iloc[-1] > sessions.iloc[0]
    assert data.frame["row"].tolist() == list(range(1, 3001))


def test_chinese_texts_hold_no_latin_but_codes_and_grades() -> None:
    for text in load_synthetic("synthetic-sentiment-zh", n=2000).texts:
        rest = re.sub(r"[A-Z]{5}|BBB\+|BB[+-]?|B\+|A[+-]?(?![A-Za-z])", "", text)
        assert re.search(r"[A-Za-z]", rest) is None, text
        assert re.search(r"[\u4e00-\u9fff]", text), text


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    small, large = load_synthetic("synthetic-trend", n=100), load_synthetic("synthetic-trend", n=1000)
    columns = ["row", "text", "true_label", "known_at", "group", "ticker"]
    pd.testing.assert_frame_equal(small.frame[columns], large.frame[columns].head(100))


def test_the_registered_name_and_the_loader_give_the_same_rows() -> None:
    assert load_dataset("synthetic-sentiment", root=Path("nowhere")).id == load_synthetic("synthetic-sentiment").id
    assert load_synthetic("synthetic-sentiment", seed=99).id != load_synthetic("synthetic-sentiment").id


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_synthetic("synthetic-mood")
    assert str(caught.value) == (
        "A synthetic data set must be one of synthetic-sentiment, synthetic-trend, synthetic-risk-events, "
        "synthetic-sentiment-zh; got 'synthetic-mood'."
    )


def test_a_size_out_of_bounds_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_synthetic("synthetic-sentiment", n=0)
    assert str(caught.value) == "`n` must be 1 to 100000 rows; got 0."


def test_a_ceiling_needs_an_answer_key() -> None:
    full = load_synthetic("synthetic-sentiment", n=10)
    bare = LabelledText(card=full.card, frame=full.frame.drop(columns="true_label"))
    with pytest.raises(UnknownNameError) as caught:
        ceiling(bare)
    assert str(caught.value) == "A ceiling needs the column `true_label`; data set 'synthetic-sentiment' has none."
