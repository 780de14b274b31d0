"""Which columns hold the text, the label and the rest: by name, or by the few names that leave no doubt."""

from __future__ import annotations

import difflib

import pandas as pd

from tapereader.core.errors import DataError, UnknownNameError

#: Names that say what they hold. One match is taken; several are a question for the user.
TEXT_NAMES = (
    "text",
    "sentence",
    "headline",
    "content",
    "title",
    "body",
    "tweet",
    "post",
    "news",
    "文本",
    "内容",
    "标题",
)
LABEL_NAMES = ("label", "sentiment", "target", "class", "category", "score", "y", "标签", "情感")
#: Names with a fixed meaning in labelled text; a user's own column of that name is kept as ``source_<name>``.
RESERVED = ("row", "text", "label", "pair", "known_at", "group")


def find_column(frame: pd.DataFrame, wanted: str | None, *, role: str, where: str) -> str:
    """Return the column a user named, or the one whose name leaves no doubt.

    Parameters
    ----------
    frame : rows of a file
    wanted : the name asked for, or None to go by ``TEXT_NAMES`` or ``LABEL_NAMES``
    role : ``text``, ``label``, ``pair``, ``time`` or ``group``; the word used in messages
    where : the file, for messages

    Raises
    ------
    UnknownNameError
        If the name is not there, or none or several names could be meant.

    Examples
    --------
    >>> find_column(pd.DataFrame(columns=["id", "Headline"]), None, role="text", where="news.csv")
    'Headline'
    """
    columns = [str(name) for name in frame.columns]
    known = ", ".join(columns)
    if wanted is not None:
        if wanted in columns:
            return wanted
        near = difflib.get_close_matches(wanted, columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"The {role} column must be one of {known}; got {wanted!r} for {where!r}.{hint}")
    names = TEXT_NAMES if role == "text" else LABEL_NAMES
    fits = [name for name in columns if name.strip().lower() in names]
    exact = [name for name in fits if name.strip().lower() == role]
    if len(fits) == 1 or len(exact) == 1:
        return exact[0] if exact else fits[0]
    what = f"both {' and '.join(repr(name) for name in fits)} could be meant" if fits else "none has a telling name"
    raise UnknownNameError(
        f"The {role} column of {where!r} must be named, since {what}; the columns are {known}. Give "
        f"`{role}=` (`--{role}`)."
    )


def text_cells(values: pd.Series, *, role: str, where: str, first_row: int) -> list[str]:
    """Return cells as text, a missing one as ``""``.

    Parameters
    ----------
    values : one column
    role, where : for messages
    first_row : row number of the first cell

    Raises
    ------
    DataError
        If a cell is a number or a list: turning it into words is the user's decision.
    """
    cells = values.tolist()
    out = [cell if isinstance(cell, str) else "" if _missing(cell) else None for cell in cells]
    wrong = [index for index, cell in enumerate(out) if cell is None]
    if wrong:
        cell = cells[wrong[0]]
        raise DataError(
            f"Every {role} must be a string; got {cell!r:.40} ({type(cell).__name__}) in "
            f"{rows_phrase(wrong, first_row)} of {where!r}, column {str(values.name)!r}."
        )
    return [cell for cell in out if cell is not None]


def rows_phrase(positions: list[int], first_row: int) -> str:
    """Say which rows, at most five by number.

    Examples
    --------
    >>> rows_phrase([0, 4], 1), rows_phrase([2], 1), rows_phrase(list(range(8)), 1)
    ('rows 1, 5', 'row 3', '8 rows (1, 2, 3, 4, 5, ...)')
    """
    numbers = [str(position + first_row) for position in positions[:5]]
    if len(positions) == 1:
        return f"row {numbers[0]}"
    if len(positions) <= 5:
        return f"rows {', '.join(numbers)}"
    return f"{len(positions):,} rows ({', '.join(numbers)}, ...)"


def keep_others(frame: pd.DataFrame, used: set[str]) -> dict[str, pd.Series]:
    """Return the columns not used yet; one with a reserved name comes back as ``source_<name>``."""
    out: dict[str, pd.Series] = {}
    for name in frame.columns:
        if str(name) in used:
            continue
        reserved = str(name) in RESERVED or str(name).startswith("official_")
        out[f"source_{name}" if reserved else str(name)] = frame[name].reset_index(drop=True)
    return out


def _missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)
