"""The labelled data sets in English: sentences, headlines and articles."""

from __future__ import annotations

import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.sources.catalog.named import NOT_STATED, NamedDataset
from tapereader.sources.labelled import DatasetCard, Licence
from tapereader.sources.text.times import end_of_day

_PART = "repacked copy, 85 % of the published rows"
WHOLE = "repacked copy, all published rows"
_SENTIMENT = LabelContract(
    kind="single-label",
    names=("negative", "neutral", "positive"),
    meanings=(
        "Bad for the company's share price, as an investor sees it.",
        "No bearing on the share price.",
        "Good for the company's share price, as an investor sees it.",
    ),
)
TOWARDS = LabelContract(
    kind="regression",
    names=("sentiment",),
    meanings=("Sentiment towards the named target: -1 very bearish, 1 very bullish.",),
    low=-1.0,
    high=1.0,
)


def _phrasebank(name: str, at_least: int, published: int) -> NamedDataset:
    share = "all annotators agree" if at_least == 100 else f"at least {at_least} % of annotators agree"

    def build(table: pd.DataFrame) -> pd.DataFrame:
        return table.loc[table["agreement"] >= at_least, ["text", "label", "agreement"]].copy()

    return NamedDataset(
        card=DatasetCard(
            name=name,
            title=f"Financial PhraseBank v1.0, {share}",
            task="sentiment",
            contract=_SENTIMENT,
            language="en",
            licence=Licence(
                name="CC BY-NC-SA 3.0",
                commercial_use=False,
                source="Malo et al. (2014), Good debt or bad debt, JASIST 65(4)",
            ),
            origin=_PART,
            published_rows=published,
            traps=(
                "Many sentences are near copies (same company, other number): a random split flatters a model.",
                "8 sentences of the release stand twice, 2 of them with two labels.",
                "Text is tokenised: spaces stand before punctuation.",
                "About 2000 to 2010, Finnish firms, no dates.",
            ),
        ),
        folder="financial_phrasebank",
        file="sentences.parquet",
        columns=("text", "label", "agreement"),
        build=build,
    )


FINANCIAL_PHRASEBANK = _phrasebank("financial-phrasebank", 50, 4846)
FINANCIAL_PHRASEBANK_66 = _phrasebank("financial-phrasebank-66-agree", 66, 4217)
FINANCIAL_PHRASEBANK_75 = _phrasebank("financial-phrasebank-75-agree", 75, 3453)
FINANCIAL_PHRASEBANK_ALL = _phrasebank("financial-phrasebank-all-agree", 100, 2264)


def _semeval(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"text": table["text"], "label": table["score"], "pair": table["company"], "group": table["text"]}
    )


SEMEVAL2017_HEADLINES = NamedDataset(
    card=DatasetCard(
        name="semeval2017-headlines",
        title="SemEval-2017 Task 5, subtask 2: headlines about companies",
        task="target-sentiment",
        contract=TOWARDS,
        language="en",
        licence=Licence(name=NOT_STATED, commercial_use=None, source="Cortis et al. (2017), SemEval-2017 Task 5"),
        origin=WHOLE + " of the training file; the 491 test headlines were not found",
        published_rows=1142,
        traps=(
            "182 rows repeat a headline for another company with another score: split by headline.",
            "37 texts had mojibake that was repaired in the copy.",
            "No dates.",
        ),
    ),
    folder="semeval2017_headlines",
    file="headlines.parquet",
    columns=("company", "text", "score"),
    build=_semeval,
)


_GOLD_FLAGS = ("price_up", "price_constant", "price_down", "asset_comparison", "past_information", "future_information")


def _gold(table: pd.DataFrame) -> pd.DataFrame:
    flags = table[list(_GOLD_FLAGS)].to_numpy() == 1
    labels = [tuple(name for name, on in zip(_GOLD_FLAGS, row, strict=True) if on) for row in flags]
    out = pd.DataFrame({"text": table["text"]})
    out["label"] = pd.Series(labels, index=table.index, dtype="object")
    out["known_at"] = end_of_day(table["date"])
    return out


GOLD_NEWS = NamedDataset(
    card=DatasetCard(
        name="gold-news",
        title="Gold commodity news headlines",
        task="commodity-news",
        contract=LabelContract(
            kind="multi-label",
            names=_GOLD_FLAGS,
            meanings=(
                "The headline says the price rises.",
                "The headline says the price stays.",
                "The headline says the price falls.",
                "Gold is compared with another asset.",
                "It speaks of what has happened.",
                "It speaks of what may happen.",
            ),
        ),
        language="en",
        licence=Licence(
            name=NOT_STATED,
            commercial_use=None,
            source="Sinha and Khandait (2020), arXiv 2009.04202; another list gives CC BY-SA 3.0",
        ),
        origin="repacked copy of the public file, all 10,570 rows",
        published_rows=10_570,
        traps=(
            "The paper speaks of 11,412 headlines; every public copy has 10,570.",
            "166 rows flag more than one direction; 97 % carry past_information.",
            "Dates are days and 7 are missing: a headline counts as known at the end of its day, UTC.",
            "Most headlines report a move that has happened: they do not forecast that day's price.",
        ),
    ),
    folder="gold_news",
    file="headlines.parquet",
    columns=("text", "date", *_GOLD_FLAGS),
    build=_gold,
)

_FOMC_SPLITS = ("5768", "78516", "944601")


def _fomc(table: pd.DataFrame) -> pd.DataFrame:
    out = table[["text", "label", "year"]].copy()
    for split in _FOMC_SPLITS:
        out[f"official_{split}"] = table[f"split_{split}"]
    return out


FOMC_STANCE = NamedDataset(
    card=DatasetCard(
        name="fomc-stance",
        title="Trillion Dollar Words: stance of FOMC sentences",
        task="stance",
        contract=LabelContract(
            kind="single-label",
            names=("dovish", "hawkish", "neutral"),
            meanings=(
                "Points to easier monetary policy.",
                "Points to tighter monetary policy.",
                "Neither, or both.",
            ),
        ),
        language="en",
        licence=Licence(
            name="CC BY-NC 4.0", commercial_use=False, source="Shah, Paturi, Chava (2023), ACL, arXiv 2305.07972"
        ),
        origin=WHOLE,
        published_rows=2480,
        traps=(
            "61 sentences repeat; 16 to 20 test texts of each of the authors' splits also stand in its train part.",
            "44 rows hold damaged characters.",
            "Only the year is known.",
        ),
        official_splits=_FOMC_SPLITS,
    ),
    folder="fomc_stance",
    file="sentences.parquet",
    columns=("text", "label", "year", *(f"split_{split}" for split in _FOMC_SPLITS)),
    build=_fomc,
)


def _adverse(table: pd.DataFrame) -> pd.DataFrame:
    title = table["title"].fillna("").str.strip()
    body = table["text"].fillna("")
    text = (title + "\n\n" + body).where(title != "", body)
    return pd.DataFrame(
        {"text": text, "label": table["label"], "reviewer_label": table["reviewer_label"], "part": table["part"]}
    )


ADVERSE_MEDIA = NamedDataset(
    card=DatasetCard(
        name="adverse-media",
        title="Adverse media: articles on wrongdoing, or not",
        task="adverse-media",
        contract=LabelContract(
            kind="single-label",
            names=("adverse", "non_adverse", "random"),
            meanings=(
                "Tells of wrongdoing by a person or firm.",
                "Uses the words of crime but tells of no wrongdoing.",
                "Unrelated general news.",
            ),
        ),
        language="en",
        licence=Licence(
            name="MIT (repository); articles belong to their publishers",
            commercial_use=None,
            source="University of Tartu course project (2020), no paper",
        ),
        origin="repacked copy without the project's private test file (159 rows)",
        published_rows=2013,
        traps=(
            "Reviewers judged 18 adverse rows not adverse and 19 the other way, 43 `delete`: see `reviewer_label`.",
            "non_adverse was picked to be hard; pages hold menus and cookie notes; median 560 words.",
            "Articles name real people: do not publish outputs about them.",
        ),
    ),
    folder="adverse_media",
    file="articles.parquet",
    columns=("title", "text", "label", "reviewer_label", "part"),
    build=_adverse,
)
