"""The labelled data sets in Chinese that ask for one label a text."""

from __future__ import annotations

import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.sources.catalog.named import NOT_STATED, NamedDataset
from tapereader.sources.labelled import DatasetCard, Licence
from tapereader.sources.text.times import end_of_day

PART = "repacked copy, 85 % of the published rows"
FINCUGE_LICENCE = Licence(name=NOT_STATED, commercial_use=None, source="Lu et al. (2023), BBT-Fin, arXiv 2302.09432")
#: The authors' test lists carry no answers, so their eval list is the part that models are judged on.
EVAL_IS_TEST = "The authors' eval list is called test here: their own test list carries no answers."
NEGATIVE_POSITIVE = LabelContract(
    kind="single-label",
    names=("negative", "positive"),
    meanings=("Bad for the company or its share.", "Good for the company or its share."),
)


def official(split: pd.Series) -> pd.Series:
    """Return the authors' train and eval as ``train`` and ``test``."""
    return split.replace({"eval": "test"})


def _finfe(table: pd.DataFrame) -> pd.DataFrame:
    out = table[["text", "label"]].copy()
    out["official_published"] = official(table["official_split"])
    return out


CN_FINFE = NamedDataset(
    card=DatasetCard(
        name="cn-finfe",
        title="FinCUGE FinFE: sentiment of Chinese stock-forum posts",
        task="sentiment",
        contract=LabelContract(
            kind="single-label",
            names=("negative", "neutral", "positive"),
            meanings=("The poster is pessimistic.", "Neither.", "The poster is optimistic."),
        ),
        language="zh",
        licence=FINCUGE_LICENCE,
        origin=PART,
        published_rows=18_177,
        traps=(
            "5,677 published rows repeat a text and 1,010 texts carry different labels.",
            "1,097 eval texts also stand in train: the authors' split flatters a model.",
            EVAL_IS_TEST,
        ),
        official_splits=("published",),
    ),
    folder="cn_fincuge",
    file="finfe_sentiment.parquet",
    columns=("text", "label", "official_split"),
    build=_finfe,
)


def _finnsp(table: pd.DataFrame) -> pd.DataFrame:
    title, body = table["title"].fillna("").str.strip(), table["text"].fillna("").str.strip()
    # Half of the titles are the beginning of the text, some with small changes further on; repeated, they would push
    # the rest of a post out of a short encoder.
    text = [b if a[:12] in b else f"{a}\n{b}" for a, b in zip(title, body, strict=True)]
    return pd.DataFrame(
        {
            "text": text,
            "label": table["negative"].map({0: "not-negative", 1: "negative"}),
            "official_published": official(table["official_split"]),
            "entities": table["entities"],
            "negative_entities": table["negative_entities"],
        }
    )


CN_FINNSP = NamedDataset(
    card=DatasetCard(
        name="cn-finnsp",
        title="FinCUGE FinNSP: negative news about a firm, or not",
        task="negative-news",
        contract=LabelContract(
            kind="single-label",
            names=("not-negative", "negative"),
            meanings=("Not negative for any named firm.", "Negative for at least one named firm."),
        ),
        language="zh",
        licence=FINCUGE_LICENCE,
        origin=PART,
        published_rows=4499,
        traps=(
            "Text is the title and the body; the title is left out where the body already begins with or holds it.",
            "Social posts with HTML tags and lost characters shown as ????, kept as published.",
            "The second half of the published task (which firm) is kept as the column negative_entities only.",
            EVAL_IS_TEST,
        ),
        official_splits=("published",),
    ),
    folder="cn_fincuge",
    file="finnsp_negative_news.parquet",
    columns=("title", "text", "entities", "negative", "negative_entities", "official_split"),
    build=_finnsp,
)

_RELATIONS = (
    "unknown", "自己", "合作", "竞争", "拥有", "被拥有", "被持股", "持股", "签约", "分析", "被分析", "纠纷", "交易",
    "收购", "被收购", "重组", "减持", "被减持", "增持", "被增持", "订单", "合并", "入股", "被入股", "合资", "注资",
    "被注资", "帮助", "被帮助", "成立", "被成立", "被发行", "发行", "拟收购", "被拟收购", "被买资", "买资", "商讨",
    "转让", "被转让", "欠款", "被欠款", "被借壳", "借壳",
)  # fmt: skip


def _finre(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": table["text"],
            "label": table["relation"],
            # Order is meaning: 收购 from head to tail is 被收购 from tail to head.
            "pair": table["head"] + " → " + table["tail"],
            "group": table["text"],
            "official_published": official(table["official_split"]),
        }
    )


CN_FINRE = NamedDataset(
    card=DatasetCard(
        name="cn-finre",
        title="FinCUGE FinRE: relation between two named firms",
        task="relation",
        contract=LabelContract(kind="single-label", names=_RELATIONS),
        language="zh",
        licence=FINCUGE_LICENCE,
        origin=PART,
        published_rows=14_975,
        traps=(
            "The pair is `head → tail`. Each pair also stands the other way round: split by text.",
            "Some 9 % of the questions (text, head, tail) stand with more than one relation, which caps any accuracy.",
            "44 relations from 3,997 published rows (unknown) down to about 25: report macro-F1 with care.",
            EVAL_IS_TEST,
        ),
        official_splits=("published",),
    ),
    folder="cn_fincuge",
    file="finre_relations.parquet",
    columns=("head", "tail", "relation", "text", "official_split"),
    build=_finre,
)


def _stock_news(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": table["title"],
            "label": table["label"],
            "known_at": end_of_day(table["date"]),
            "ticker": table["code"],
            "company": table["company"],
            "part": table["part"],
        }
    )


CN_STOCK_NEWS = NamedDataset(
    card=DatasetCard(
        name="cn-stock-news",
        title="Chinese stock news titles, good or bad",
        task="sentiment",
        contract=NEGATIVE_POSITIVE,
        language="zh",
        licence=Licence(name=NOT_STATED, commercial_use=None, source="github.com/wwwxmu, crawled from Xueqiu and Wind"),
        origin=PART,
        published_rows=8069,
        traps=(
            "Text is the title alone: bodies stand in one of the two files only, so they would tell the file.",
            "Published rows are counted after dropping 1,377 repeats; the 14,749-row train file was not found.",
            "Mostly profit notices: easy. Labels come from the wire's own good-news and bad-news lists.",
            "Dates are days: a title counts as known at the end of its day, UTC.",
        ),
    ),
    folder="cn_stock_news_sentiment",
    file="news.parquet",
    columns=("date", "code", "company", "label", "title", "part"),
    build=_stock_news,
)


def _text_and_label(table: pd.DataFrame) -> pd.DataFrame:
    return table[["text", "label"]].copy()


CN_STOCK_COMMENTS = NamedDataset(
    card=DatasetCard(
        name="cn-stock-comments",
        title="Chinese stock-forum comments, positive or negative",
        task="sentiment",
        contract=NEGATIVE_POSITIVE,
        language="zh",
        licence=Licence(name=NOT_STATED, commercial_use=None, source="github.com/algosenses, no paper"),
        origin=PART,
        published_rows=9214,
        traps=("Words were rejoined from segmented text.", "17 repeats, 6 texts with both labels, crawl leftovers."),
    ),
    folder="cn_stock_comments",
    file="comments.parquet",
    columns=("text", "label"),
    build=_text_and_label,
)

CN_CREDIT_RISK = NamedDataset(
    card=DatasetCard(
        name="cn-credit-risk",
        title="Credit-risk sentences of Chinese annual reports",
        task="credit-risk",
        contract=LabelContract(
            kind="single-label",
            names=("neutral", "positive", "risky"),
            meanings=("Neither.", "Speaks of strength or growth.", "Speaks of a risk to repayment."),
        ),
        language="zh",
        licence=Licence(
            name="CC BY 4.0",
            commercial_use=True,
            source="Zhang, Ren et al. (2025, under review), A Domain-Specific Text Dataset for Credit Risk Assessment",
        ),
        origin="repacked copy, 85 % of the 9,811 sentences that were published",
        published_rows=9811,
        traps=(
            "The sheet has no legend: the label names were set after reading samples of 0, 1 and 2.",
            "Sentences come from PDF text: broken numbers, table fragments, one row of 27,900 characters.",
            "57 repeats, 2 of them with two labels; strongly unbalanced.",
        ),
    ),
    folder="cn_credit_risk_sentences",
    file="sentences.parquet",
    columns=("text", "label"),
    build=_text_and_label,
)

CN_FINBERT2_SC2 = NamedDataset(
    card=DatasetCard(
        name="cn-finbert2-sc2",
        title="FinBERT2 SC_2: Chinese news sentiment, tiny",
        task="sentiment",
        contract=NEGATIVE_POSITIVE,
        language="zh",
        licence=Licence(name="MIT (repository)", commercial_use=True, source="github.com/valuesimplex, FinBERT2"),
        origin="repacked copy, 85 % of the published test file",
        published_rows=400,
        traps=(
            "The authors removed digits, letters and punctuation.",
            "Far too small for a result: a smoke test only.",
        ),
    ),
    folder="cn_finbert2_sc2",
    file="news.parquet",
    columns=("text", "label"),
    build=_text_and_label,
)
