"""Named data sets: what they state, and, where the data folder is there, what they hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapereader.core.errors import DataError, MissingDataError, UnknownNameError
from tapereader.core.registry import Registry
from tapereader.sources.catalog import (
    corpus_names,
    data_root,
    dataset_names,
    describe,
    describe_corpus,
    load_dataset,
    unlabelled_texts,
)
from tapereader.sources.catalog.chinese import CN_FINFE, CN_FINNSP
from tapereader.sources.catalog.chinese_multilabel import CN_FINESE, CN_FINNL
from tapereader.sources.catalog.english import GOLD_NEWS

DATA = os.environ.get("TAPEREADER_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="TAPEREADER_DATA names no data folder")
REAL = [name for name in dataset_names() if not name.startswith("synthetic-")]


@pytest.mark.parametrize("name", REAL)
def test_a_card_states_what_a_reader_must_know(name: str) -> None:
    card = describe(name)
    assert card.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", card.task)
    assert card.traps
    assert card.origin.startswith("repacked copy")
    assert card.language in ("en", "zh")
    assert card.licence.source
    assert not card.synthetic
    if "NC" in card.licence.name:
        assert card.licence.commercial_use is False


def test_research_only_sets_say_so() -> None:
    forbidden = {name for name in REAL if describe(name).licence.commercial_use is False}
    assert forbidden == {"fomc-stance"} | {name for name in REAL if name.startswith("financial-phrasebank")}


@needs_data
@pytest.mark.parametrize("name", REAL)
def test_rows_keep_the_contract(name: str) -> None:
    data = load_dataset(name)
    frame = data.frame
    targets = data.targets()
    assert len(targets) == len(frame) > 0
    assert frame["row"].is_unique
    assert (frame["row"] >= 1).all()
    assert all(isinstance(text, str) and text.strip() for text in data.texts)
    for split in data.card.official_splits:
        assert set(frame[f"official_{split}"]) <= {"train", "validation", "test"}
    if "known_at" in frame:
        assert str(frame["known_at"].dtype) == "datetime64[us, UTC]"
    if data.card.contract.kind == "regression":
        assert data.card.contract.low is not None
        assert data.card.contract.high is not None
        assert data.card.contract.low <= targets.min() <= targets.max() <= data.card.contract.high
    if data.card.contract.kind == "multi-label":
        assert (targets.sum(axis=0) > 0).all()


@needs_data
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("financial-phrasebank", 4118),
        ("financial-phrasebank-75-agree", 2933),
        ("financial-phrasebank-all-agree", 1923),
        ("fomc-stance", 2480),
        ("semeval2017-headlines", 1142),
        ("stockemotions", 10_000),
        ("gold-news", 10_570),
        ("cn-finfe", 15_453),
        ("cn-finnsp", 3827),
        ("cn-finese", 12_216),
    ],
)
def test_the_shared_copies_have_the_rows_their_readme_counts(name: str, rows: int) -> None:
    assert len(load_dataset(name)) == rows


@needs_data
def test_official_splits_have_their_published_sizes() -> None:
    fomc = load_dataset("fomc-stance").frame
    for split in ("5768", "78516", "944601"):
        assert fomc[f"official_{split}"].value_counts().to_dict() == {"train": 1984, "test": 496}
    posts = load_dataset("stockemotions").frame["official_published"]
    assert posts.value_counts().to_dict() == {"train": 8000, "validation": 1000, "test": 1000}


@needs_data
def test_a_headline_about_two_companies_is_one_group() -> None:
    frame = load_dataset("semeval2017-headlines").frame
    assert (frame.groupby("group")["text"].nunique() == 1).all()
    assert frame["group"].nunique() < len(frame)


@needs_data
@pytest.mark.parametrize("name", corpus_names())
def test_unlabelled_text_is_distinct_and_dated(name: str) -> None:
    frame = unlabelled_texts(name)
    assert frame["text"].is_unique
    assert frame["known_at"].notna().all()
    assert frame["known_at"].is_monotonic_increasing
    assert describe_corpus(name).name == name


def test_a_day_is_known_at_its_end() -> None:
    flags = {
        "price_up": [1, 0],
        "price_constant": [0, 0],
        "price_down": [0, 0],
        "asset_comparison": [0, 0],
        "past_information": [1, 0],
        "future_information": [0, 0],
    }
    table = pd.DataFrame({"text": ["gold up", "gold?"], "date": pd.to_datetime(["2016-08-02", None]), **flags})
    built = GOLD_NEWS.build(table)
    assert built["label"].tolist() == [("price_up", "past_information"), ()]
    assert [str(time) for time in built["known_at"]] == ["2016-08-03 00:00:00+00:00", "NaT"]


def test_event_rows_of_one_text_become_one_row() -> None:
    table = pd.DataFrame(
        {
            "id": ["1", "2", "3", "4"],
            "text": ["甲", "乙", "甲", "丙"],
            "event_type": ["财务造假", "其他", "信批违规", "其他"],
            "subject": ["某公司", "", "某公司", ""],
            "official_split": ["eval", "eval", "train", "train"],
        }
    )
    built = CN_FINESE.build(table)
    assert built["text"].tolist() == ["甲", "乙", "丙"]
    assert built["label"].tolist() == [("信批违规", "财务造假"), (), ()]
    assert built["official_published"].tolist() == ["train", "test", "train"]
    assert built["row"].tolist() == [1, 2, 4]
    assert built["subjects"].tolist() == ["某公司", "", ""]


def test_an_event_type_outside_the_contract_is_not_lost(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": ["1"], "text": ["甲"], "event_type": ["新类型"], "subject": [""], "official_split": ["train"]}
    )
    (tmp_path / "cn_fincuge").mkdir()
    table.to_parquet(tmp_path / "cn_fincuge" / "finese_event_subject.parquet")
    data = CN_FINESE.load(tmp_path)
    assert data.frame["label"].tolist() == [("新类型",)]
    with pytest.raises(DataError, match="got '新类型'"):
        data.targets()


def test_glued_topics_are_parted_and_stray_words_dropped() -> None:
    published = ["中国 公司", "中国公司", "中国 更新", "外国债券 公司、", "去"]
    table = pd.DataFrame({"text": list("abcde"), "labels": published, "official_split": "train"})
    assert CN_FINNL.build(table)["label"].tolist() == [
        ("中国", "公司"),
        ("中国", "公司"),
        ("中国",),
        ("外国", "公司", "债券"),
        (),
    ]


def test_a_title_that_the_text_repeats_is_left_out() -> None:
    table = pd.DataFrame(
        {
            "title": ["某某平台涉嫌非法集资被立案 ...", "", "另一标题"],
            "text": ["某某平台涉嫌非法集资被立案调查", "正文", "正文"],
            "negative": [1, 0, 0],
            "entities": ["某某平台", "", ""],
            "negative_entities": ["某某平台", "", ""],
            "official_split": ["train", "eval", "train"],
        }
    )
    built = CN_FINNSP.build(table)
    assert built["text"].tolist() == ["某某平台涉嫌非法集资被立案调查", "正文", "另一标题\n正文"]
    assert built["label"].tolist() == ["negative", "not-negative", "not-negative"]


def test_no_data_folder_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TAPEREADER_DATA", raising=False)
    message = "TAPEREADER_DATA must name the folder with the data sets; got nothing. Set it, or give `--data DIR`."
    with pytest.raises(MissingDataError, match="^" + re.escape(message) + "$"):
        load_dataset("cn-finfe")
    monkeypatch.setenv("TAPEREADER_DATA", str(tmp_path / "no"))
    with pytest.raises(MissingDataError, match=r"^TAPEREADER_DATA must name a folder; got .*\. Correct it\.$"):
        data_root()


@pytest.mark.parametrize("name", ["adverse-media", "cn-credit-risk", "cn-stock-news"])
def test_an_import_is_advised_only_where_there_is_a_reader(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        load_dataset(name, root=tmp_path)
    assert str(caught.value).endswith(" no such file is there. Correct TAPEREADER_DATA.")


def test_a_missing_damaged_or_foreign_table_is_named(tmp_path: Path) -> None:
    message = (
        f"Data set 'cn-finfe' must be at cn_fincuge/finfe_sentiment.parquet below {str(tmp_path)!r}; no such file is "
        "there. Correct TAPEREADER_DATA, or try `tapereader data import cn-finfe PATH` on the authors' release."
    )
    with pytest.raises(MissingDataError, match="^" + re.escape(message) + "$"):
        load_dataset("cn-finfe", root=tmp_path)
    path = tmp_path / "cn_fincuge" / "finfe_sentiment.parquet"
    path.parent.mkdir()
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"^Data set 'cn-finfe' must be a whole Parquet file; got "):
        load_dataset("cn-finfe", root=tmp_path)
    pd.DataFrame({"text": ["a"]}).to_parquet(path)
    message = f"Data set 'cn-finfe' must have the column 'label'; got text in {str(path)!r}. Import the release again."
    with pytest.raises(DataError, match="^" + re.escape(message) + "$"):
        load_dataset("cn-finfe", root=tmp_path)


def test_names_are_told_apart() -> None:
    registry = Registry("tapereader.sources", {"cn-finfe": CN_FINFE, "not-a-source": 5})
    assert dataset_names(registry) == ("cn-finfe", "not-a-source")
    with pytest.raises(DataError, match=r"^A plug-in of tapereader\.sources must have a `card` and `load\(root\)`;"):
        describe("not-a-source", registry)
    with pytest.raises(UnknownNameError, match="Did you mean 'cn-finfe'"):
        describe("cn-finfee")
    with pytest.raises(
        UnknownNameError,
        match=r"^A data set must have labels; 'corpus-stocknet-tweets' is unlabelled text, for pretraining only\.$",
    ):
        load_dataset("corpus-stocknet-tweets")
    with pytest.raises(UnknownNameError, match=r"got the labelled data set 'cn-finfe'\.$"):
        unlabelled_texts("cn-finfe")


@needs_data
def test_loading_twice_gives_the_same_id() -> None:
    first, second = load_dataset("fomc-stance"), load_dataset("fomc-stance")
    assert first.id == second.id
    np.testing.assert_array_equal(first.targets(), second.targets())
