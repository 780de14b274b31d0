"""The labelled data sets in English: posts of investors."""

from __future__ import annotations

import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.sources.catalog.english import TOWARDS, WHOLE
from tapereader.sources.catalog.named import NOT_STATED, NamedDataset
from tapereader.sources.labelled import DatasetCard, Licence
from tapereader.sources.text.times import end_of_day


def _fiqa(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": table["text"],
            "label": table["score"],
            "pair": table["target"],
            "group": table["text"],
            "aspects": table["aspects"],
        }
    )


FIQA_POSTS = NamedDataset(
    card=DatasetCard(
        name="fiqa-posts",
        title="FiQA 2018 Task 1: microblog posts",
        task="target-sentiment",
        contract=TOWARDS,
        language="en",
        licence=Licence(name=NOT_STATED, commercial_use=None, source="Maia et al. (2018), WWW'18 Open Challenge"),
        origin=WHOLE + " of the post half; the headline half (about 498 rows) was not found",
        published_rows=675,
        traps=("The usual FiQA-SA set of 1,173 rows cannot be rebuilt from it.", "Skewed to positive; no dates."),
    ),
    folder="fiqa_posts",
    file="posts.parquet",
    columns=("text", "target", "score", "aspects"),
    build=_fiqa,
)

_EMOTIONS = (
    "ambiguous", "amusement", "anger", "anxiety", "belief", "confusion",
    "depression", "disgust", "excitement", "optimism", "panic", "surprise",
)  # fmt: skip


def _stockemotions(name: str, title: str, task: str, column: str, contract: LabelContract) -> NamedDataset:
    def build(table: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "text": table["text"],
                "label": table[column],
                "known_at": end_of_day(table["date"]),
                "official_published": table["official_split"].replace({"val": "validation"}),
                "ticker": table["ticker"],
            }
        )

    return NamedDataset(
        card=DatasetCard(
            name=name,
            title=title,
            task=task,
            contract=contract,
            language="en",
            licence=Licence(
                name=NOT_STATED,
                commercial_use=None,
                source="Lee et al. (2023), StockEmotions, AAAI Bridge; StockTwits' terms apply",
            ),
            origin=WHOLE,
            published_rows=10_000,
            traps=(
                "The authors' split is random in time: a trading test must split by time.",
                "Sentiment is the poster's own tag. FB and META are one stock. 2020 only.",
                "Dates are days: a post counts as known at the end of its day, UTC.",
            ),
            official_splits=("published",),
        ),
        folder="stockemotions",
        file="posts.parquet",
        columns=("text", column, "date", "ticker", "official_split"),
        build=build,
    )


STOCKEMOTIONS = _stockemotions(
    "stockemotions",
    "StockEmotions: StockTwits posts, bearish or bullish",
    "trend",
    "sentiment",
    LabelContract(
        kind="single-label",
        names=("bearish", "bullish"),
        meanings=("The poster expects the stock to fall.", "The poster expects the stock to rise."),
    ),
)
STOCKEMOTIONS_EMOTIONS = _stockemotions(
    "stockemotions-emotions",
    "StockEmotions: StockTwits posts, twelve emotions",
    "emotion",
    "emotion",
    LabelContract(kind="single-label", names=_EMOTIONS),
)
