"""Labelled data sets written by the synthetic market: no folder, no network, and a ceiling that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import ConfigError, UnknownNameError
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence
from tapereader.sources.synthetic.market import SENTIMENTS, SyntheticMarket, SyntheticMarketConfig
from tapereader.sources.synthetic.text import EVENTS, TEMPLATES

_DEFAULT_ROWS = 3000
_LICENCE = Licence(name="Apache-2.0", commercial_use=True, source="Written by Tapereader's own generator.")


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best accuracy that anything which reads the text alone can reach on these rows.

    Parameters
    ----------
    everywhere : share of all rows whose observed label is the true one of their text
    test : the same share on the official test part
    """

    everywhere: float
    test: float


@dataclass(frozen=True, kw_only=True)
class SyntheticDataset:
    """Headlines of a synthetic market with one of their labels.

    Besides the columns of every labelled data set there are ``true_label`` (what the text says, before label noise:
    an answer key for ceilings, never an input), ``official_template``, ``group`` (the template), ``family`` (the
    logic of the text, for slices), ``ticker``, ``language`` and ``known_at``.

    Parameters
    ----------
    card : what the set states about itself
    config : the market that writes the headlines
    label : column of its headlines: ``sentiment``, ``trend`` or ``risk_event``
    rows : number of rows
    """

    card: DatasetCard
    config: SyntheticMarketConfig
    label: str
    rows: int = _DEFAULT_ROWS

    def load(self, root: Path) -> LabelledText:  # noqa: ARG002 - a folder is part of every source's contract
        """Build the market and take its first headlines, each text once; ``root`` is not used."""
        frame = self._headlines()
        answer = frame[f"true_{self.label}"]
        if self.label == "trend":
            # Other news can outweigh a headline; the text alone cannot know, so its own sign is the best answer.
            answer = frame["true_sentiment"].map({"positive": "bull", "negative": "bear"})
        rows = pd.DataFrame(
            {
                "row": range(1, len(frame) + 1),
                "text": frame["text"],
                "label": frame[self.label],
                "true_label": answer,
                "known_at": frame["known_at"],
                "group": frame["template"],
                "official_template": frame["part"],
                "family": frame["family"],
                "ticker": frame["asset"],
                "language": frame["language"],
            }
        )
        data = LabelledText(card=self.card, frame=rows)
        best = ceiling(data)
        stated = (
            f"On these {len(rows)} rows the ceiling is an accuracy of {best.everywhere:.1%} "
            f"({best.test:.1%} on the official test part)."
        )
        return replace(data, card=replace(self.card, traps=(*self.card.traps, stated)))

    def _headlines(self) -> pd.DataFrame:
        # More than half of the headlines move something; nearly all texts are met once.
        spare = 2.2 if self.label == "trend" else 1.2
        sessions = 20 + math.ceil(spare * self.rows / self.config.headlines_per_session)
        while True:
            found = SyntheticMarket(self.config.replace(n_sessions=sessions)).build().headlines
            if self.label == "trend":
                found = found[(found["true_trend"] != "none") & (found["true_sentiment"] != "neutral")]
            found = found.drop_duplicates("text")
            if len(found) >= self.rows:
                # A longer market begins with the shorter one, so these rows do not depend on `sessions`.
                return found.head(self.rows).reset_index(drop=True)
            sessions *= 2


def load_synthetic(name: str, *, n: int = _DEFAULT_ROWS, seed: int | None = None) -> LabelledText:
    """Load a synthetic data set in another size or from another seed.

    Parameters
    ----------
    name : one of ``synthetic-sentiment``, ``synthetic-trend``, ``synthetic-risk-events``, ``synthetic-sentiment-zh``
    n : rows, at least 1; a smaller set is the beginning of a larger one
    seed : of the market; None takes the one of the data set

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    ConfigError
        If ``n`` is below 1 or above 100,000, or ``seed`` is negative.
    """
    if name not in _BY_NAME:
        raise UnknownNameError(f"A synthetic data set must be one of {', '.join(_BY_NAME)}; got {name!r}.")
    if not 1 <= n <= 100_000:
        raise ConfigError(f"`n` must be 1 to 100000 rows; got {n}.")
    source = _BY_NAME[name]
    config = source.config if seed is None else source.config.replace(seed=seed)
    return replace(source, config=config, rows=n).load(Path())


def ceiling(data: LabelledText) -> Ceiling:
    """Score the answer key of a synthetic data set against its observed labels.

    Raises
    ------
    UnknownNameError
        If the data set has no answer key.
    """
    if "true_label" not in data.frame.columns:
        raise UnknownNameError(f"A ceiling needs the column `true_label`; data set {data.card.name!r} has none.")
    right = data.frame["label"] == data.frame["true_label"]
    test = data.frame["official_template"] == "test"
    return Ceiling(everywhere=float(right.mean()), test=float(right[test].mean()) if test.any() else math.nan)


def _source(
    name: str, title: str, task: str, label: str, contract: LabelContract, traps: tuple[str, ...] = (),
    *, seed: int, chinese: bool = False, events: float = 0.25,
) -> SyntheticDataset:  # fmt: skip
    config = SyntheticMarketConfig(seed=seed, chinese_share=1.0 if chinese else 0.0, risk_event_share=events)
    language = "zh" if chinese else "en"
    count = sum(template.language == language for template in TEMPLATES)
    card = DatasetCard(
        name=name,
        title=f"Synthetic: {title}",
        task=task,
        contract=contract,
        language="zh" if chinese else "en",
        licence=_LICENCE,
        origin="made by a program when it is loaded",
        traps=(
            "Written by a program from templates: a score here says nothing about real text.",
            f"The official test part holds sentences that training has not seen ({count} templates in all); a random "
            "split shares templates and flatters a model.",
            f"{config.label_noise:.0%} of the labels are wrong on purpose: no model can be expected to exceed an "
            f"accuracy of {1 - config.label_noise:.0%}.",
            *traps,
        ),
        synthetic=True,
        official_splits=("template",),
    )
    return SyntheticDataset(card=card, config=config, label=label)


_SENTIMENT = LabelContract(
    kind="single-label",
    names=SENTIMENTS,
    meanings=(
        "Moves the expected price of the company down.",
        "Moves nothing: in line, unchanged, taken back, denied, or about another company.",
        "Moves the expected price of the company up.",
    ),
)
_EVENT_MEANINGS = {
    "none": "No risk event of the company is reported as fact.",
    "profit-warning": "The company lowers or withdraws its profit forecast.",
    "default": "The company fails to pay what it owes, or is insolvent.",
    "fraud-investigation": "Authorities look into fraud at the company.",
    "litigation": "The company is sued.",
    "rating-downgrade": "A credit rating of the company is lowered.",
    "management-departure": "A member of the top management leaves.",
    "regulatory-penalty": "An authority punishes the company.",
    "product-recall": "The company takes a product back.",
    "cyber-incident": "Systems or data of the company are attacked.",
}

SENTIMENT = _source(
    "synthetic-sentiment", "sentiment of English company headlines", "sentiment", "sentiment", _SENTIMENT, seed=7
)
SENTIMENT_ZH = _source(
    "synthetic-sentiment-zh", "sentiment of Chinese company headlines", "sentiment", "sentiment", _SENTIMENT,
    seed=8, chinese=True,
)  # fmt: skip
TREND = _source(
    "synthetic-trend", "next-session trend after English company headlines", "trend", "trend",
    LabelContract(
        kind="single-label",
        names=("bear", "bull"),
        meanings=(
            "The news known before the next open moves the share down.",
            "The news known before the next open moves the share up.",
        ),
    ),
    ("Headlines that move nothing are left out; where two headlines pull one way each, the stronger sum decides.",),
    seed=9,
)  # fmt: skip
RISK_EVENTS = _source(
    "synthetic-risk-events", "risk events in English company headlines", "risk-events", "risk_event",
    LabelContract(
        kind="single-label", names=EVENTS, meanings=tuple(_EVENT_MEANINGS[event] for event in EVENTS)
    ),
    ("More than half of the rows are `none`, many of them denials and look-alikes of an event.",),
    seed=10, events=0.8,
)  # fmt: skip

_BY_NAME = {source.card.name: source for source in (SENTIMENT, TREND, RISK_EVENTS, SENTIMENT_ZH)}
