"""Authors' releases, in small files written as the authors write them; every sentence here is invented."""

from __future__ import annotations

import hashlib
import io
import json
import re
import resource
import signal
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd
import pytest

from tapereader.core.errors import DataError, MissingDataError, UnknownNameError
from tapereader.sources.catalog import dataset_names, load_dataset
from tapereader.sources.releases import import_release, importable_names
from tapereader.sources.releases.workbook import rows_of_workbook


def workbook(rows: list[list[Any]]) -> bytes:
    """Write a sheet with shared strings, as spreadsheet programs do."""
    strings: dict[str, int] = {}
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = []
        for letter, value in zip("ABCDEFGH", row, strict=False):
            if isinstance(value, str):
                index = strings.setdefault(value, len(strings))
                cells.append(f'<c r="{letter}{number}" t="s"><v>{index}</v></c>')
            elif value is not None:
                cells.append(f'<c r="{letter}{number}"><v>{value}</v></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in strings)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>"
        )
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
    return out.getvalue()


PHRASES = {
    50: "ACME 's profit fell .@negative\r\nBolt 's caf\xe9 opened .@neutral\r\nCore mails a@b more .@positive\r\n"
    "Same line .@neutral\r\nSame line .@neutral\r\nNEL\x85inside .@neutral\r\n",
    66: "Bolt 's caf\xe9 opened .@neutral\r\nCore mails a@b more .@positive\r\nSame line .@neutral\r\n",
    75: "Core mails a@b more .@positive\r\nSame line .@neutral\r\n",
    100: "Core mails a@b more .@positive\r\n",
}


def phrasebank(folder: Path) -> Path:
    path = folder / "FinancialPhraseBank-v1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for level, text in PHRASES.items():
            name = f"Sentences_{'All' if level == 100 else level}Agree.txt"
            archive.writestr(f"FinancialPhraseBank-v1.0/{name}", text.encode("iso-8859-1"))
            archive.writestr(f"__MACOSX/FinancialPhraseBank-v1.0/{name}", b"shadow")
    return path


def test_phrasebank_zip_gives_each_sentence_its_highest_agreement(tmp_path: Path) -> None:
    path = import_release("financial-phrasebank", phrasebank(tmp_path), out=tmp_path / "data")
    assert path == tmp_path / "data" / "financial_phrasebank" / "sentences.parquet"
    table = pd.read_parquet(path)
    assert list(zip(table["text"], table["label"], table["agreement"], strict=True)) == [
        ("ACME 's profit fell .", "negative", 50),
        ("Bolt 's café opened .", "neutral", 66),
        ("Core mails a@b more .", "positive", 100),
        ("Same line .", "neutral", 75),
        ("Same line .", "neutral", 50),
        ("NEL\x85inside .", "neutral", 50),
    ]
    data = load_dataset("financial-phrasebank-all-agree", root=tmp_path / "data")
    assert (data.texts, data.card.origin) == (["Core mails a@b more ."], "original release")
    assert data.frame["row"].tolist() == [3]


def test_the_unpacked_release_gives_the_same_table(tmp_path: Path) -> None:
    archive = phrasebank(tmp_path)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    inner = tmp_path / "unpacked" / "FinancialPhraseBank-v1.0"
    tables = [
        pd.read_parquet(import_release("financial-phrasebank", path, out=tmp_path / str(n)))
        for n, path in enumerate((archive, inner, inner / "Sentences_50Agree.txt"))
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_origin_names_rows_and_files_of_every_table_in_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "data"
    for task, rows in (("finfe", [["涨", 2], ["跌", 0]]), ("finnl", [["甲公司公告", "中国 公司"]])):
        folder = tmp_path / "FinCUGE_Publish" / task
        folder.mkdir(parents=True)
        for part in ("train", "eval"):
            (folder / f"{part}_list.json").write_text(json.dumps(rows), encoding="utf-8")
    import_release("cn-finfe", tmp_path / "FinCUGE_Publish", out=out)
    import_release("cn-finnl", tmp_path / "FinCUGE_Publish", out=out)
    notes = json.loads((out / "cn_fincuge" / "origin.json").read_text())
    assert set(notes) == {"finfe_sentiment.parquet", "finnl_topics.parquet"}
    content = (tmp_path / "FinCUGE_Publish" / "finfe" / "train_list.json").read_bytes()
    assert notes["finfe_sentiment.parquet"]["rows"] == 4
    assert notes["finfe_sentiment.parquet"]["sha256"]["finfe/train_list.json"] == hashlib.sha256(content).hexdigest()
    data = load_dataset("cn-finfe", root=out)
    assert data.frame["official_published"].tolist() == ["train", "train", "test", "test"]
    assert data.targets().tolist() == [2, 0, 2, 0]
    assert load_dataset("cn-finnl", root=out).frame["label"].tolist() == [("中国", "公司")] * 2


def test_semeval_headlines_lose_their_mojibake(tmp_path: Path) -> None:
    items = [
        {"id": 1, "company": "ACME", "title": "ACME wins Â£5m order", "sentiment": 0.4},
        {"id": 2, "company": "Bolt", "title": "ACME wins £5m order", "sentiment": 0},
    ]
    path = tmp_path / "Headline_Trainingdata.json"
    path.write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")
    import_release("semeval2017-headlines", path, out=tmp_path / "data")
    data = load_dataset("semeval2017-headlines", root=tmp_path / "data")
    assert data.texts == ["ACME wins £5m order"] * 2
    assert (data.pairs, data.targets().tolist()) == (["ACME", "Bolt"], [0.4, 0.0])


def test_fiqa_posts_give_a_row_for_each_target(tmp_path: Path) -> None:
    view = {"snippets": "['going up']", "target": "ACME", "sentiment_score": "0.5", "aspects": "['Stock/Price Action']"}
    posts = {"12": {"sentence": "$ACME going up, $BOLT not", "info": [view, view | {"target": "BOLT"}]}}
    (tmp_path / "posts.json").write_text(json.dumps(posts))
    import_release("fiqa-posts", tmp_path / "posts.json", out=tmp_path / "data")
    data = load_dataset("fiqa-posts", root=tmp_path / "data")
    assert data.pairs == ["ACME", "BOLT"]
    assert data.frame["aspects"].tolist() == ["Stock/Price Action"] * 2
    assert data.frame["group"].nunique() == 1


def test_stockemotions_keeps_the_authors_parts(tmp_path: Path) -> None:
    head = "id,date,ticker,emo_label,senti_label,original,processed\n"
    for number, part in enumerate(("train", "val", "test")):
        row = f'10{number},2020-02-0{3 - number},ACME,anger,bearish,"$ACME 🤯\nagain","Acme [exploding head]"\n'
        (tmp_path / f"{part}_stockemo.csv").write_text(head + row, encoding="utf-8")
    import_release("stockemotions", tmp_path, out=tmp_path / "data")
    data = load_dataset("stockemotions-emotions", root=tmp_path / "data")
    assert data.frame["official_published"].tolist() == ["test", "validation", "train"]
    assert data.texts == ["$ACME 🤯\nagain"] * 3
    assert str(data.frame["known_at"][0]) == "2020-02-02 00:00:00+00:00"


GOLD_HEADER = [
    "Dates", "URL", "News", "Price Direction Up", "Price Direction Constant", "Price Direction Down",
    "Asset Comparision", "Past Information", "Future Information", "Price Sentiment",
]  # fmt: skip


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_gold_dates_come_from_the_file_or_the_address(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["28-01-2016", "http://x/a-2016-01-28", "gold up", "1", "0", "0", "0", "1", "0", "positive"],
        ["6/9/2017", "http://x/b", "gold flat ", "0", "1", "0", "0", "1", "0", "neutral"],
        ["0201-04-27", "http://x/c-2015-04-27", "gold down", "0", "0", "1", "1", "0", "1", "negative"],
        ["0201-04-27", "http://x/d", "gold?", "0", "0", "0", "0", "0", "0", "none"],
    ]
    text = "\n".join(delimiter.join(row) for row in [GOLD_HEADER, *rows]) + "\n"
    (tmp_path / "gold.csv").write_text(text)
    table = pd.read_parquet(import_release("gold-news", tmp_path / "gold.csv", out=tmp_path / "data"))
    assert table["date_source"].tolist() == ["file", "file", "url", "missing"]
    assert [str(day)[:10] for day in table["date"]] == ["2016-01-28", "2017-09-06", "2015-04-27", "NaT"]
    labels = load_dataset("gold-news", root=tmp_path / "data").frame["label"].tolist()
    assert labels[2] == ("price_down", "asset_comparison", "future_information")
    assert labels[3] == ()


def fomc(folder: Path, *, lost: bool = False) -> Path:
    sentences = [
        ["Rates may rise & stay.", 2018, 1],
        ["Slack persists.", 2010, 0],
        ["We met.", 2010, 2],
        ["We met.", 2010, 2],
    ]
    for seed, test in ((5768, {0}), (78516, {1}), (944601, {2})):
        for part in ("train", "test"):
            rows = [row for n, row in enumerate(sentences) if (n in test) == (part == "test")]
            if lost and seed == 944601:
                rows = [["Another.", *row[1:]] for row in rows]
            name = f"lab-manual-split-combine-{part}-{seed}.xlsx"
            (folder / name).write_bytes(
                workbook([["sentence", "year", "label", "orig_index"], *[[*r, 7] for r in rows]])
            )
    return folder


def test_fomc_workbooks_give_three_official_splits(tmp_path: Path) -> None:
    import_release("fomc-stance", fomc(tmp_path), out=tmp_path / "data")
    frame = load_dataset("fomc-stance", root=tmp_path / "data").frame
    assert frame["text"].tolist() == ["Slack persists.", "We met.", "We met.", "Rates may rise & stay."]
    assert frame["label"].tolist() == ["dovish", "neutral", "neutral", "hawkish"]
    assert frame["official_5768"].tolist() == ["train", "train", "train", "test"]
    assert frame["official_78516"].tolist() == ["test", "train", "train", "train"]
    assert sorted(frame["official_944601"]) == ["test", "train", "train", "train"]


def test_fomc_splits_of_other_sentences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^The splits must part the same rows; 4 of seed 5768 are not in seed 944601\.$"
    ):
        import_release("fomc-stance", fomc(tmp_path, lost=True), out=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_chinese_event_and_news_lists(tmp_path: Path) -> None:
    events = [["1", "甲公司被查", "信批违规", "甲公司"], ["2", "天气", "其他", "NaN"]]
    news = [
        ["id", "title", "text", "entity", "negative", "key_entity"],
        ["a", "", "甲平台跑路", "甲平台", "1", "甲平台"],
    ]
    pairs = [["甲", "乙", "收购", "甲收购乙"], ["乙", "甲", "被收购", "甲收购乙"]]
    for task, rows in (("finese", events), ("finnsp", news), ("finre", pairs)):
        (tmp_path / task).mkdir()
        for part in ("train", "eval"):
            (tmp_path / task / f"{part}_list.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        import_release(f"cn-{task}", tmp_path / task, out=tmp_path / "data")
    assert load_dataset("cn-finese", root=tmp_path / "data").frame["label"].tolist() == [("信批违规",), ()]
    assert load_dataset("cn-finnsp", root=tmp_path / "data").frame["label"].tolist() == ["negative", "negative"]
    relations = load_dataset("cn-finre", root=tmp_path / "data")
    assert relations.pairs == ["甲 → 乙", "乙 → 甲"] * 2


def test_chinese_comments_and_finbert2(tmp_path: Path) -> None:
    (tmp_path / "positive.txt").write_text("利好 出\n\n", encoding="utf-8")
    (tmp_path / "negative.txt").write_text("大 跌\n", encoding="utf-8")
    (tmp_path / "test_SC_2.csv").write_text("text,label\n净利润增长,1\n亏损,0\n", encoding="utf-8")
    import_release("cn-stock-comments", tmp_path, out=tmp_path / "data")
    import_release("cn-finbert2-sc2", tmp_path / "test_SC_2.csv", out=tmp_path / "data")
    assert load_dataset("cn-stock-comments", root=tmp_path / "data").texts == ["利好出", "大跌"]
    assert load_dataset("cn-finbert2-sc2", root=tmp_path / "data").targets().tolist() == [1, 0]


def test_every_benchmark_set_can_be_imported() -> None:
    wanted = {"financial-phrasebank", "fomc-stance", "gold-news", "semeval2017-headlines", "stockemotions"}
    assert wanted | {"cn-finfe", "cn-finnsp", "cn-finese"} <= set(importable_names()) <= set(dataset_names())


def test_a_release_with_a_file_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Sentences_50Agree.txt").write_bytes(b"A .@neutral\r\n")
    message = (
        f"The release must have the file Sentences_66Agree.txt; got Sentences_50Agree.txt at {str(tmp_path)!r}. "
        "Name the folder or archive as its authors publish it."
    )
    with pytest.raises(MissingDataError, match="^" + re.escape(message) + "$"):
        import_release("financial-phrasebank", tmp_path, out=tmp_path / "data")
    with pytest.raises(
        MissingDataError, match=r"^A release must be a folder, a zip archive or a file; got '.*': not there\.$"
    ):
        import_release("financial-phrasebank", tmp_path / "no", out=tmp_path / "data")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[["a", 3]]', "Every label of finfe/train_list.json must be one of 0, 1, 2; got 3 in row 1."),
        ('[["a", 1], ["b"]]', "Every row of finfe/train_list.json must be a list of 2; got ['b'] in row 2."),
        ('{"a": 1}', "finfe/train_list.json must be a list of lists; got dict."),
        (
            '[["a", 1',
            "finfe/train_list.json must be valid JSON; got Expecting ',' delimiter: line 1 column 9 (char 8). "
            "Download it again.",
        ),
        ("[]", "A release must have rows; got none in {path!r} for 'cn-finfe'."),
    ],
)
def test_a_release_that_is_not_as_published_is_refused(tmp_path: Path, content: str, message: str) -> None:
    release = tmp_path / "release"
    release.mkdir()
    for part in ("train", "eval"):
        (release / f"{part}_list.json").write_text(content)
    with pytest.raises(DataError, match="^" + re.escape(message.format(path=str(release))) + "$"):
        import_release("cn-finfe", release, out=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_copy_that_was_not_imported_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "data"
    target = out / "financial_phrasebank" / "sentences.parquet"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"a copy")
    message = f"An import must not overwrite a copy that was not imported; got {str(target)!r}. Choose another `out`."
    with pytest.raises(DataError, match="^" + re.escape(message) + "$"):
        import_release("financial-phrasebank", phrasebank(tmp_path), out=out)
    target.unlink()
    import_release("financial-phrasebank", phrasebank(tmp_path), out=out)
    import_release("financial-phrasebank", phrasebank(tmp_path), out=out)
    assert sorted(path.name for path in target.parent.iterdir()) == ["origin.json", "sentences.parquet"]


def test_an_unwritable_folder_is_named_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"^The data folder must be writable; got '.*sentences\.parquet': "):
        import_release("financial-phrasebank", phrasebank(tmp_path), out=tmp_path / "data")
    blocked = tmp_path / "other" / "financial_phrasebank" / "origin.json"
    blocked.mkdir(parents=True)
    with pytest.raises(DataError, match=r"^origin\.json must be JSON with an `origin` for each table; got "):
        import_release("financial-phrasebank", phrasebank(tmp_path), out=tmp_path / "other")
    assert [path.name for path in blocked.parent.iterdir()] == ["origin.json"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    release = phrasebank(tmp_path)
    out = tmp_path / "data"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file-size limit fails the write half-way, as a full disk does.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(DataError, match=r"^The data folder must be writable; got '.*sentences\.parquet': "):
            import_release("financial-phrasebank", release, out=out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list((out / "financial_phrasebank").iterdir()) == []


def test_a_damaged_origin_note_is_named(tmp_path: Path) -> None:
    import_release("financial-phrasebank", phrasebank(tmp_path), out=tmp_path / "data")
    (tmp_path / "data" / "financial_phrasebank" / "origin.json").write_text('{"sentences.parquet": {}}')
    with pytest.raises(DataError, match=r": KeyError 'origin'\. Remove it and import the release again\.$"):
        load_dataset("financial-phrasebank", root=tmp_path / "data")


def test_a_set_without_a_reader_names_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^A release can be imported for cn-finbert2-sc2, .*; got 'adverse-media'\.$"
    ):
        import_release("adverse-media", tmp_path, out=tmp_path / "data")


def test_workbooks_with_inline_strings_runs_and_gaps() -> None:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = (
        f'<worksheet {space}><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>sentence</t></is></c>'
        '<c r="AA1" t="str"><v>label</v></c></row><row r="2"><c r="A2" t="s"><v>0</v></c>'
        '<c r="AA2"><v>2.5</v></c></row><row r="3"><c r="A3" t="s"><v>0</v></c></row></sheetData></worksheet>'
    )
    shared = f"<sst {space}><si><r><t>We </t></r><r><t>met_x000D_.</t></r><rPh><t>hint</t></rPh></si></sst>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        archive.writestr("xl/sharedStrings.xml", shared)
    rows = rows_of_workbook(out.getvalue(), "a.xlsx", ("sentence", "label"))
    assert rows == [{"sentence": "We met\r.", "label": 2.5}, {"sentence": "We met\r.", "label": None}]
    with pytest.raises(DataError, match=r"^a\.xlsx must have the column 'year'; got sentence, label\.$"):
        rows_of_workbook(out.getvalue(), "a.xlsx", ("sentence", "year"))
    with pytest.raises(DataError, match=r"^b\.xlsx must be an \.xlsx workbook; got another or a damaged file: "):
        rows_of_workbook(b"no zip", "b.xlsx", ("sentence",))


def test_an_import_is_advised_for_exactly_the_tables_that_have_a_reader() -> None:
    from tapereader.sources.catalog.named import IMPORTABLE
    from tapereader.sources.releases import importing

    assert set(importing._READERS) == IMPORTABLE
