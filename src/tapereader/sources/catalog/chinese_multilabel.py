"""The labelled data sets in Chinese that ask for a set of labels: topics and risk events."""

from __future__ import annotations

import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.sources.catalog.chinese import EVAL_IS_TEST, FINCUGE_LICENCE, PART, official
from tapereader.sources.catalog.named import NamedDataset
from tapereader.sources.labelled import DatasetCard

_TOPICS = (
    "中国", "外国", "国际", "公司", "行业", "大盘", "经济", "政策",
    "政治", "期货", "债券", "房地产", "外汇", "虚拟货币", "新冠", "能源",
)  # fmt: skip


def _topic_set(published: str) -> tuple[str, ...]:
    # Some names were published glued together (中国公司). A word made only of known names is those names; any other
    # word is a slip of the annotators' editor and names no topic.
    found: list[str] = []
    for word in published.replace("、", " ").split():
        rest = word
        parts: list[str] = []
        while rest:
            name = next((topic for topic in _TOPICS if rest.startswith(topic)), None)
            if name is None:
                parts = []
                break
            parts.append(name)
            rest = rest[len(name) :]
        found += parts
    return tuple(topic for topic in _TOPICS if topic in found)


def _finnl(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": table["text"],
            "label": pd.Series([_topic_set(names) for names in table["labels"]], index=table.index, dtype="object"),
            "official_published": official(table["official_split"]),
            "published_labels": table["labels"],
        }
    )


CN_FINNL = NamedDataset(
    card=DatasetCard(
        name="cn-finnl",
        title="FinCUGE FinNL: topics of Chinese financial news",
        task="topics",
        contract=LabelContract(kind="multi-label", names=_TOPICS),
        language="zh",
        licence=FINCUGE_LICENCE,
        origin=PART,
        published_rows=7955,
        traps=(
            "About 30 stray label words (such as 更新) are dropped and glued ones (such as 中国公司) parted; "
            "the column published_labels keeps what was published.",
            "144 published rows repeat a text.",
            EVAL_IS_TEST,
        ),
        official_splits=("published",),
    ),
    folder="cn_fincuge",
    file="finnl_topics.parquet",
    columns=("text", "labels", "official_split"),
    build=_finnl,
)

#: The published name for "none of these"; here it is the empty set.
_NO_EVENT = "其他"
_EVENTS = {
    "信批违规": "Breach of disclosure rules.",
    "实控人股东变更": "Change of controlling owner or shareholder.",
    "交易违规": "Breach of trading rules.",
    "涉嫌非法集资": "Suspected illegal fund-raising.",
    "不能履职": "An executive cannot serve.",
    "重组失败": "A restructuring has failed.",
    "评级调整": "A rating was changed.",
    "业绩下滑": "Results have fallen.",
    "涉嫌违法": "Suspected breach of the law.",
    "财务造假": "False accounts.",
    "涉嫌传销": "Suspected pyramid selling.",
    "涉嫌欺诈": "Suspected fraud.",
    "资金账户风险": "Funds or accounts at risk.",
    "高管负面": "Bad news about an executive.",
    "资产负面": "Bad news about assets.",
    "投诉维权": "Customers complain or sue.",
    "产品违规": "A product breaks the rules.",
    "提现困难": "Customers cannot withdraw money.",
    "失联跑路": "The operators have fled.",
    "歇业停业": "Business has stopped.",
    "公司股市异常": "The share trades abnormally.",
}


def _finese(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.assign(row=table.index + 1)
    grouped = rows.groupby("text", sort=False)
    out = grouped.agg(row=("row", "first"), id=("id", "first")).reset_index()
    types = grouped["event_type"].agg(set)
    # A name the contract does not have must reach the checks, not vanish into the empty set.
    names = [*_EVENTS, *sorted(set().union(*types) - set(_EVENTS) - {_NO_EVENT})]
    out["label"] = pd.Series([tuple(name for name in names if name in found) for found in types], dtype="object")
    # A text that the authors have in both parts was seen in training: it is train.
    in_train = grouped["official_split"].agg(lambda split: "train" in set(split)).to_numpy(dtype=bool)
    out["official_published"] = ["train" if seen else "test" for seen in in_train]
    subjects = grouped["subject"].agg(lambda names: ";".join(dict.fromkeys(name for name in names if name)))
    out["subjects"] = subjects.to_numpy()
    return out[["row", "text", "label", "official_published", "id", "subjects"]]


CN_FINESE = NamedDataset(
    card=DatasetCard(
        name="cn-finese",
        title="FinCUGE FinESE: risk events in Chinese financial news",
        task="risk-events",
        contract=LabelContract(kind="multi-label", names=tuple(_EVENTS), meanings=tuple(_EVENTS.values())),
        language="zh",
        licence=FINCUGE_LICENCE,
        origin=PART,
        published_rows=16_033,
        traps=(
            "One row here is one text: the published rows (text, type, firm) of a text are joined to its set of types.",
            "其他 (none of these types) is the empty set; where a text also has a type, the type stands.",
            "公司股市异常 has a single published row: it can be neither learned nor judged. "
            "歇业停业, 失联跑路, 提现困难 and 产品违规 have 32 to 59.",
            "Texts the authors have in both parts (174 of the copy) count as train. " + EVAL_IS_TEST,
        ),
        official_splits=("published",),
    ),
    folder="cn_fincuge",
    file="finese_event_subject.parquet",
    columns=("id", "text", "event_type", "subject", "official_split"),
    build=_finese,
)
