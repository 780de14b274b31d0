"""Authors' releases in Chinese, read into the tables of the data folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tapereader.sources.releases.files import ReleaseFiles, decode, known, lines_of, lists_of, table_of

_PARTS = ("train", "eval")


def _fincuge(files: ReleaseFiles, task: str, width: int) -> Iterator[tuple[str, str, int, list[Any]]]:
    # Part, file, row number, row. The published test list carries no answers and is not read.
    for part in _PARTS:
        ending = f"{part}_list.json"
        content = files.read(f"{task}/{ending}", ending)
        for number, row in enumerate(lists_of(content, f"{task}/{ending}", width), start=1):
            yield part, f"{task}/{ending}", number, row


def finfe(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinFE: ``[text, code]`` with 0 negative, 1 neutral, 2 positive."""
    names = {0: "negative", 1: "neutral", 2: "positive"}
    rows = [
        (str(text), known(code, names, file, number), code, part)
        for part, file, number, (text, code) in _fincuge(files, "finfe", 2)
    ]
    table = pd.DataFrame(rows, columns=["text", "label", "label_id", "official_split"])
    return table.astype({"label_id": "int8"})


def finnsp(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinNSP: ``[id, title, text, entities, negative, negative entities]``, with a header row in one list."""
    codes = {"0": "0", "1": "1", 0: "0", 1: "1"}
    rows = [
        (*(str(cell or "") for cell in row[:4]), int(known(row[4], codes, file, number)), str(row[5] or ""), part)
        for part, file, number, row in _fincuge(files, "finnsp", 6)
        if row[0] != "id"
    ]
    columns = ["id", "title", "text", "entities", "negative", "negative_entities", "official_split"]
    return pd.DataFrame(rows, columns=columns).astype({"negative": "int8"})


def finnl(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinNL: ``[text, topics joined by spaces]``."""
    rows = [(str(text), str(labels), part) for part, _, _, (text, labels) in _fincuge(files, "finnl", 2)]
    return pd.DataFrame(rows, columns=["text", "labels", "official_split"])


def finese(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinESE: ``[id, text, event type, firm]``; a firm that is not there is published as the word NaN."""
    rows = [
        (*(str(cell) for cell in row[:3]), "" if row[3] in ("NaN", None) or row[3] != row[3] else str(row[3]), part)
        for part, _, _, row in _fincuge(files, "finese", 4)
    ]
    return pd.DataFrame(rows, columns=["id", "text", "event_type", "subject", "official_split"])


def finre(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinRE: ``[head, tail, relation, text]``."""
    rows = [(*(str(cell) for cell in row), part) for part, _, _, row in _fincuge(files, "finre", 4)]
    return pd.DataFrame(rows, columns=["head", "tail", "relation", "text", "official_split"])


def stock_comments(files: ReleaseFiles) -> pd.DataFrame:
    """Read the forum comments: one a line, its words parted by spaces, one file for each label."""
    rows = [
        (line.replace(" ", ""), line, label)
        for label in ("positive", "negative")
        for line in lines_of(decode(files.read(f"{label}.txt"), f"{label}.txt"))
    ]
    return pd.DataFrame(rows, columns=["text", "text_segmented", "label"])


def finbert2_sc2(files: ReleaseFiles) -> pd.DataFrame:
    """Read FinBERT2 SC_2's test file: a CSV of text and 0 or 1."""
    names = {"0": "negative", "1": "positive"}
    name = "test_SC_2.csv"
    parsed = table_of(decode(files.read_single(".csv"), name), name, ("text", "label"))
    rows = [
        (row["text"], known(row["label"].strip(), names, name, number), int(row["label"]))
        for number, row in enumerate(parsed, start=1)
    ]
    return pd.DataFrame(rows, columns=["text", "label", "label_id"]).astype({"label_id": "int8"})
