"""Unlabelled financial text, dated, for domain-adaptive pretraining."""

from __future__ import annotations

import pandas as pd

from tapereader.sources.catalog.named import NOT_STATED, CorpusCard, NamedCorpus
from tapereader.sources.labelled import Licence
from tapereader.sources.text.times import end_of_day

_DAY = "Dates are days: a text counts as known at the end of its day, UTC."


def _reuters(table: pd.DataFrame) -> pd.DataFrame:
    summary = table["summary"].fillna("").str.strip()
    text = (table["headline"].str.strip() + "\n" + summary).str.strip()
    return pd.DataFrame({"text": text, "known_at": end_of_day(table["date"]), "ticker": table["ticker"]})


REUTERS_COMPANY_NEWS = NamedCorpus(
    card=CorpusCard(
        name="corpus-reuters-company-news",
        title="Reuters company news: headline and first sentence",
        language="en",
        licence=Licence(
            name="MIT (repository); text is Reuters'",
            commercial_use=None,
            source="github.com/WayneDW, news crawl of 2011 to 2018",
        ),
        origin="repacked copy up to 2017-06-30, 74 % of the published rows",
        dates="2011-07-06 to 2017-06-30",
        traps=(_DAY, "Commas inside the text were lost by its crawler.", "Uneven coverage; tickers of 2016 to 2018."),
    ),
    folder="reuters_company_news",
    file="news.parquet",
    columns=("date", "ticker", "headline", "summary"),
    build=_reuters,
)


def _sp500(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"text": table["headline"], "known_at": end_of_day(table["date"])})


SP500_INDEX_HEADLINES = NamedCorpus(
    card=CorpusCard(
        name="corpus-sp500-index-headlines",
        title="Headlines about the S&P 500",
        language="en",
        licence=Licence(name=NOT_STATED, commercial_use=None, source="Kaggle, S&P 500 with financial news headlines"),
        origin="repacked copy up to 2023-03-03, 73 % of the published rows",
        dates="2008-01-02 to 2023-03-03",
        traps=(_DAY, "Density grows tenfold over the years."),
    ),
    folder="sp500_index_headlines",
    file="headlines.parquet",
    columns=("date", "headline"),
    build=_sp500,
)


def _benzinga(table: pd.DataFrame) -> pd.DataFrame:
    known_at = table["timestamp"].astype("datetime64[us, UTC]")
    return pd.DataFrame({"text": table["headline"], "known_at": known_at, "ticker": table["ticker"]})


BENZINGA_HEADLINES = NamedCorpus(
    card=CorpusCard(
        name="corpus-benzinga-headlines",
        title="Benzinga headlines with minute stamps, tickers A to ACAT",
        language="en",
        licence=Licence(
            name=NOT_STATED, commercial_use=None, source="Kaggle, Daily Financial News for 6000+ Stocks (2020)"
        ),
        origin="repacked copy of the first 10,000 lines, up to 2019-06-09",
        dates="2009-04-29 to 2019-06-09",
        traps=("7 rows are stamped midnight New York time, so their time of day is not known.",),
    ),
    folder="benzinga_headlines_sample",
    file="headlines.parquet",
    columns=("timestamp", "ticker", "headline"),
    build=_benzinga,
)


def _fomc_documents(table: pd.DataFrame) -> pd.DataFrame:
    # The release date, never the meeting's: minutes come out a median of 21 days later.
    return pd.DataFrame({"text": table["text"], "known_at": end_of_day(table["release_date"]), "kind": table["kind"]})


FOMC_DOCUMENTS = NamedCorpus(
    card=CorpusCard(
        name="corpus-fomc-documents",
        title="Sentences of FOMC minutes, press conferences and speeches",
        language="en",
        licence=Licence(
            name="CC BY-NC 4.0", commercial_use=False, source="Shah, Paturi, Chava (2023), ACL, arXiv 2305.07972"
        ),
        origin="repacked copy, all published rows",
        dates="1996-01-31 to 2022-10",
        traps=(_DAY, "Holds the sentences of fomc-stance: text seen in pretraining, without its labels."),
    ),
    folder="fomc_stance",
    file="document_sentences.parquet",
    columns=("text", "release_date", "kind"),
    build=_fomc_documents,
)


def _maec(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"text": table["text"], "known_at": end_of_day(table["date"]), "ticker": table["ticker"]})


MAEC_EARNINGS_CALLS = NamedCorpus(
    card=CorpusCard(
        name="corpus-maec-earnings-calls",
        title="MAEC: earnings calls, one sentence a line",
        language="en",
        licence=Licence(name="CC BY-SA 4.0", commercial_use=True, source="Li et al. (2020), MAEC, CIKM"),
        origin="repacked copy up to 2017-06-30, 82 % of the published rows",
        dates="2015-02-25 to 2017-06-30",
        traps=(_DAY, "A median call has 1,931 words: cut it into chunks.", "Speakers are not marked."),
    ),
    folder="maec_earnings_calls",
    file="calls.parquet",
    columns=("text", "date", "ticker"),
    build=_maec,
)


def _stocknet(table: pd.DataFrame) -> pd.DataFrame:
    known_at = table["timestamp"].astype("datetime64[us, UTC]")
    kept = pd.DataFrame({"text": table["text"], "known_at": known_at, "ticker": table["ticker"]})
    return kept[~table["is_retweet"].to_numpy()]


STOCKNET_TWEETS = NamedCorpus(
    card=CorpusCard(
        name="corpus-stocknet-tweets",
        title="StockNet: tweets about 88 US stocks, without retweets",
        language="en",
        licence=Licence(
            name="MIT (repository); tweets under the platform's terms",
            commercial_use=None,
            source="Xu and Cohen (2018), ACL, P18-1183",
        ),
        origin="repacked copy, all published rows; retweets left out here",
        dates="2013-12-31 to 2016-03-31",
        traps=("Spam is heavy; equal texts are kept once.", "13 % of the tweets are not in English."),
    ),
    folder="stocknet",
    file="tweets.parquet",
    columns=("text", "timestamp", "ticker", "is_retweet"),
    build=_stocknet,
)
