"""The first sheet of an .xlsx workbook, by the standard library alone."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any
from xml.etree import ElementTree

from tapereader.core.errors import DataError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_REFERENCE = re.compile(r"([A-Z]+)\d+")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def rows_of_workbook(content: bytes, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rows of the first sheet, as text and numbers; formulas give their stored value.

    Dates and styles are not read: a release that needs them needs a spreadsheet library.

    Parameters
    ----------
    content : bytes of the file
    name : for messages
    columns : names the header row must have

    Returns
    -------
    one dict a row, by header; an empty cell is None

    Raises
    ------
    DataError
        If it is no workbook, or lacks a column.

    References
    ----------
    ECMA-376, Office Open XML, part 1, chapter 18 (SpreadsheetML).
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            shared = _shared(archive.read("xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in names else []
            sheets = sorted(entry for entry in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", entry))
            sheet = ElementTree.fromstring(archive.read(sheets[0]))  # noqa: S314 expat refuses entity bombs
        rows = [_cells(row, shared) for row in sheet.iter(f"{_MAIN}row")]
    except (zipfile.BadZipFile, ElementTree.ParseError, IndexError, KeyError, ValueError) as error:
        raise DataError(f"{name} must be an .xlsx workbook; got another or a damaged file: {error}.") from error
    header = {index: str(title) for index, title in (rows[0] if rows else {}).items()}
    missing = [column for column in columns if column not in header.values()]
    if missing:
        found = ", ".join(header.values()) or "an empty sheet"
        raise DataError(f"{name} must have the column {missing[0]!r}; got {found}.")
    return [{title: row.get(index) for index, title in header.items()} for row in rows[1:] if row]


def _shared(content: bytes) -> list[str]:
    root = ElementTree.fromstring(content)  # noqa: S314 expat refuses entity bombs
    # A string may come in runs of different looks; phonetic hints (rPh) beside it are not part of it.
    return [_text(item) for item in root.iter(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    direct = item.findall(f"{_MAIN}t") + item.findall(f"{_MAIN}r/{_MAIN}t")
    joined = "".join(part.text or "" for part in direct)
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), joined)


def _cells(row: ElementTree.Element, shared: list[str]) -> dict[int, Any]:
    out: dict[int, Any] = {}
    for position, cell in enumerate(row.iter(f"{_MAIN}c")):
        match = _REFERENCE.match(cell.get("r", ""))
        index = _column(match.group(1)) if match else position
        kind, value = cell.get("t", "n"), cell.findtext(f"{_MAIN}v")
        inline = cell.find(f"{_MAIN}is")
        if kind == "inlineStr" and inline is not None:
            out[index] = _text(inline)
        elif value is None:
            continue
        elif kind == "s":
            out[index] = shared[int(value)]
        elif kind in ("str", "e"):
            out[index] = value
        else:
            number = float(value)
            out[index] = int(number) if number.is_integer() else number
    return out


def _column(letters: str) -> int:
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1
