"""Authors' releases in English, read into the tables of the data folder."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import Any

import pandas as pd

from tapereader.core.errors import DataError
from tapereader.sources.releases.files import ReleaseFiles, decode, json_of, known, lines_of, table_of
from tapereader.sources.releases.workbook import rows_of_workbook

_SENTIMENTS = {name: name for name in ("negative", "neutral", "positive")}


def phrasebank(files: ReleaseFiles) -> pd.DataFrame:
    """Read Financial PhraseBank: ``sentence@label`` lines, ISO-8859-1, one file for each level of agreement."""
    names = {level: f"Sentences_{'All' if level == 100 else level}Agree.txt" for level in (50, 66, 75, 100)}
    lines = {level: lines_of(decode(files.read(name), name, "iso-8859-1")) for level, name in names.items()}
    # A line that stands twice at one level and once at a higher one is one sentence of each: only so do the levels
    # come out with their published counts.
    left = {level: Counter(found) for level, found in lines.items()}
    rows = []
    for number, line in enumerate(lines[50], start=1):
        text, _, label = line.rpartition("@")
        agreement = max(level for level in left if left[level][line])
        for level in left:
            left[level][line] -= level <= agreement
        rows.append((text.strip(), known(label.strip(), _SENTIMENTS, names[50], number), agreement))
    table = pd.DataFrame(rows, columns=["text", "label", "agreement"])
    return table.astype({"agreement": "int16"})


def semeval(files: ReleaseFiles) -> pd.DataFrame:
    """Read SemEval-2017 Task 5, subtask 2: a JSON list of id, company, title and sentiment."""
    rows = []
    items = json_of(files.read_single(".json"), "The headlines file")
    if not isinstance(items, list):
        raise DataError(f"The headlines file must be a JSON list; got {type(items).__name__}.")
    for number, item in enumerate(items, start=1):
        try:
            score = float(item["sentiment"])
            rows.append((int(item["id"]), str(item["company"]), _repaired(str(item["title"])), score))
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            raise DataError(
                f"Every headline must have id, company, title and sentiment; got {item!r:.80} as item {number}."
            ) from error
    return pd.DataFrame(rows, columns=["id", "company", "text", "score"])


def fiqa(files: ReleaseFiles) -> pd.DataFrame:
    """Read FiQA 2018 Task 1: JSON by post id, with a list of targets, each with score, aspects and snippets."""
    rows = []
    posts = json_of(files.read_single(".json"), "The posts file")
    if not isinstance(posts, dict):
        raise DataError(f"The posts file must be a JSON object by post id; got {type(posts).__name__}.")
    for identity, post in posts.items():
        try:
            rows += [
                (
                    int(identity),
                    str(post["sentence"]),
                    str(view["target"]),
                    _joined(view["aspects"]),
                    _joined(view["snippets"]),
                    float(view["sentiment_score"]),
                )
                for view in post["info"]
            ]
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            raise DataError(
                f"Every post must have sentence and info with target, sentiment_score, aspects, snippets; "
                f"got {post!r:.80} for id {identity!r}."
            ) from error
    return pd.DataFrame(rows, columns=["id", "text", "target", "aspects", "snippets", "score"])


def stockemotions(files: ReleaseFiles) -> pd.DataFrame:
    """Read StockEmotions: three CSV files, one for each part of the authors' split."""
    columns = ("id", "date", "ticker", "emo_label", "senti_label", "original", "processed")
    parts = []
    for part in ("train", "val", "test"):
        name = f"{part}_stockemo.csv"
        rows = table_of(decode(files.read(name), name), name, columns)
        parts.append(pd.DataFrame(rows, columns=list(columns)).assign(official_split=part))
    table = pd.concat(parts, ignore_index=True)
    table = table.rename(
        columns={
            "senti_label": "sentiment",
            "emo_label": "emotion",
            "original": "text",
            "processed": "text_processed",
        }
    )
    table["date"] = pd.to_datetime(table["date"], format="%Y-%m-%d").astype("datetime64[us]")
    order = ["id", "date", "ticker", "sentiment", "emotion", "text", "text_processed", "official_split"]
    return table[order].astype({"id": "int32"}).sort_values(["date", "id"], ignore_index=True)


_GOLD = {
    "price direction up": "price_up",
    "price direction constant": "price_constant",
    "price direction down": "price_down",
    "asset comparision": "asset_comparison",
    "past information": "past_information",
    "future information": "future_information",
}


def gold(files: ReleaseFiles) -> pd.DataFrame:
    """Read the gold headlines: a table separated by tabs or commas, with its header's own spelling."""
    content = files.read_single(".csv", ".tsv")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    name = "The headlines file"
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = table_of(text, name, ("dates", "url", "news", *_GOLD, "price sentiment"), delimiter)
    out = []
    for number, row in enumerate(rows, start=1):
        date, source = _gold_date(row["dates"], row["url"])
        flags = {new: int(known(row[old].strip(), {"0": "0", "1": "1"}, name, number)) for old, new in _GOLD.items()}
        head = {"date": date, "date_source": source, "text": row["news"].strip(), "url": row["url"]}
        out.append(head | flags | {"price_sentiment": row["price sentiment"].strip()})
    table = pd.DataFrame(out)
    return table.astype(dict.fromkeys(_GOLD.values(), "int8") | {"date": "datetime64[us]"})


def _gold_date(written: str, url: str) -> tuple[pd.Timestamp, str]:
    # Day before month in both shapes; a year such as 0201 is a slip, and most addresses end with the true day. A day
    # further inside an address may be another one's, so it is not taken.
    shapes = re.fullmatch(r"(\d{1,2})[-/](\d{1,2})[-/](\d{4})", written.strip())
    if shapes:
        day, month, year = (int(part) for part in shapes.groups())
        if 1990 <= year <= 2030 and 1 <= month <= 12 and 1 <= day <= 31:
            return pd.Timestamp(year, month, day), "file"
    found = re.search(r"((?:19|20)\d{2})-(\d{2})-(\d{2})/?$", url.strip())
    if found:
        return pd.Timestamp("-".join(found.groups())), "url"
    return pd.NaT, "missing"  # type: ignore[return-value]  # NaT is pandas' missing Timestamp


_STANCE = {0: "dovish", 1: "hawkish", 2: "neutral"}


def fomc(files: ReleaseFiles) -> pd.DataFrame:
    """Read the FOMC sentences: six workbooks, the train and test part of the paper's three random splits."""
    splits = {seed: _fomc_split(files, seed) for seed in (5768, 78516, 944601)}
    table = splits[5768].drop(columns="split")
    keys = ["text", "year", "label_id", "copy"]
    for seed, frame in splits.items():
        part = frame[[*keys, "split"]].rename(columns={"split": f"split_{seed}"})
        if len(part) != len(table):
            raise DataError(
                f"The splits must part the same rows; got {len(table)} for seed 5768 and {len(part)} for {seed}."
            )
        table = table.merge(part, on=keys, how="left", validate="one_to_one")
        lost = int(table[f"split_{seed}"].isna().sum())
        if lost:
            raise DataError(f"The splits must part the same rows; {lost} of seed 5768 are not in seed {seed}.")
    table["label"] = [_STANCE[code] for code in table["label_id"]]
    order = ["text", "year", "label", "label_id", "split_5768", "split_78516", "split_944601"]
    table = table[order].astype({"year": "int16", "label_id": "int8"})
    return table.sort_values(["year", "text"], kind="stable", ignore_index=True)


def _fomc_split(files: ReleaseFiles, seed: int) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    copies: Counter[tuple[str, int, int]] = Counter()
    for part in ("train", "test"):
        name = f"lab-manual-split-combine-{part}-{seed}.xlsx"
        for number, row in enumerate(rows_of_workbook(files.read(name), name, ("sentence", "year", "label")), start=1):
            known(row["label"], _STANCE, name, number)
            if not isinstance(row["sentence"], str) or not isinstance(row["year"], int):
                raise DataError(
                    f"Every row of {name} must have a sentence and a year; got {row!r:.80} in row {number}."
                )
            key = (row["sentence"], row["year"], int(row["label"]))
            # A sentence that stands twice is told apart by its place among its copies; each split stays as published.
            rows.append(
                dict(zip(("text", "year", "label_id"), key, strict=True)) | {"copy": copies[key], "split": part}
            )
            copies[key] += 1
    return pd.DataFrame(rows)


def _repaired(text: str) -> str:
    # UTF-8 that was read as a Western one-byte encoding ("Â£100m") turns back exactly, or is left alone.
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _joined(written: Any) -> str:
    # Lists are published as their Python spelling: "['Stock/Price Action']".
    values = ast.literal_eval(written) if isinstance(written, str) and written.startswith("[") else written
    return ";".join(str(value) for value in values) if isinstance(values, list) else str(values)
