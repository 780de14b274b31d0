"""A user's own labelled file: its columns found, its kind of answer inferred, its labels put in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tapereader.bundle.contract import TASK_KINDS, LabelContract, TaskKind
from tapereader.core.errors import ConfigError, DataError
from tapereader.sources.labelled import DatasetCard, LabelledText, Language, Licence
from tapereader.sources.text.columns import find_column, keep_others, rows_phrase, text_cells
from tapereader.sources.text.table import read_table
from tapereader.sources.text.times import known_at

#: How programs write "nothing" into a CSV. ``none`` and ``NA`` may be labels that mean something: they are kept.
_MISSING_WORDS = frozenset({"", "nan", "NaN", "null", "NULL", "N/A", "#N/A"})


def read_labelled(
    path: Path | str,
    *,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
    time: str | None = None,
    group: str | None = None,
    task: str | None = None,
    task_kind: TaskKind | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    language: Language = "unknown",
    licence: Licence | None = None,
    encoding: str | None = None,
) -> LabelledText:
    """Read a user's own file as labelled text.

    Nothing is dropped: a missing label stays None (NaN for regression) and a missing text stays ``""``, so that the
    checks can name their rows. The order of the labels in the contract is the sorted order of their names (numbers by
    value) unless ``labels`` gives another; it fixes the output columns for the life of a model.

    Parameters
    ----------
    path : a file as :func:`read_table` reads
    text, label : column names; None takes a column only where its name leaves no doubt
    pair : column with the named target of the question
    time : column of times; becomes ``known_at`` in UTC (a day without a time of day: the end of that day)
    group : column whose equal values must stay on one side of any split
    task : what is asked, a registered task name; None takes the kind's general one
    task_kind : None infers: numbers with fractions are a regression target, all else is single-label. Multi-label
        (lists, or names joined by ``|``) and ordinal (needs ``labels``, low to high) must be asked for
    labels : label names in the wanted order; a label outside them is kept, for the checks to report
    language, licence : stated on the card
    encoding : of a text file; None follows a byte-order mark and otherwise demands UTF-8

    Raises
    ------
    MissingDataError, DataError
        If the file, a text, a label or a time cannot be used.
    UnknownNameError
        If a column is not there, or must be named.
    ConfigError
        If the options contradict each other.
    """
    path = Path(path)
    if task_kind is not None and task_kind not in TASK_KINDS:
        raise ConfigError(f"`task_kind` must be one of {', '.join(TASK_KINDS)}; got {task_kind!r}.")
    where = str(path)
    frame = read_table(path, encoding=encoding)
    text_name = find_column(frame, text, role="text", where=where)
    label_name = find_column(frame, label, role="label", where=where)
    if text_name == label_name:
        raise ConfigError(f"Text and label must be two columns; got {text_name!r} for both, in {where!r}.")
    kind = task_kind or _infer_kind(frame[label_name], where)
    if kind == "ordinal" and labels is None:
        raise ConfigError("An ordinal task must give `labels` in their order, low to high; got none.")
    if kind == "regression" and labels is not None:
        raise ConfigError(f"A regression target has no label names; got `labels` {tuple(labels)!r}. Leave it out.")
    out: dict[str, Any] = {
        "row": np.arange(1, len(frame) + 1),
        "text": text_cells(frame[text_name], role="text", where=where, first_row=1),
        "label": _read_labels(frame[label_name], kind, where),
    }
    used = {text_name, label_name}
    if pair is not None:
        used.add(find_column(frame, pair, role="pair", where=where))
        out["pair"] = text_cells(frame[pair], role="pair", where=where, first_row=1)
    if time is not None:
        used.add(find_column(frame, time, role="time", where=where))
        out["known_at"] = known_at(frame[time], where=where)
    if group is not None:
        used.add(find_column(frame, group, role="group", where=where))
        out["group"] = _groups(frame[group], where)
    guessed = [f"{name!r} was taken as the {role} column, by its name" for role, name, asked in
               (("text", text_name, text), ("label", label_name, label)) if asked is None]  # fmt: skip
    card = DatasetCard(
        name=re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "your-file",
        title=path.name,
        task=task or {"regression": "regression", "multi-label": "multi-label"}.get(kind, "classification"),
        contract=_contract(kind, out["label"], labels, label_name, where),
        language=language,
        licence=licence or Licence(name="not stated", commercial_use=None, source=path.name),
        origin="your file",
        traps=tuple(guessed),
    )
    return LabelledText(card=card, frame=pd.DataFrame(out | keep_others(frame, used)))


def _infer_kind(column: pd.Series, where: str) -> TaskKind:
    cells = [cell for cell in column.tolist() if not _missing(cell)]
    if any(isinstance(cell, list | tuple | np.ndarray) for cell in cells):
        raise DataError(
            f"A column of lists must be asked for as `task_kind='multi-label'`; got one in {where!r}, "
            f"column {str(column.name)!r}."
        )
    numbers = [_number(cell) for cell in cells]
    fractions = any(number is not None and number % 1 for number in numbers)
    return "regression" if fractions and None not in numbers else "single-label"


def _read_labels(column: pd.Series, kind: TaskKind, where: str) -> pd.Series:
    cells = column.tolist()
    place = f"of {where!r}, column {str(column.name)!r}"
    if kind == "regression":
        numbers = [float("nan") if _missing(cell) else _number(cell) for cell in cells]
        wrong = [index for index, number in enumerate(numbers) if number is None or number in (np.inf, -np.inf)]
        if wrong:
            raise DataError(
                f"Every regression target must be a finite number; got {cells[wrong[0]]!r} "
                f"in {rows_phrase(wrong, 1)} {place}."
            )
        return pd.Series(numbers, dtype="float64")
    if kind == "multi-label":
        return pd.Series([_name_set(cell, index, place) for index, cell in enumerate(cells)], dtype="object")
    kinds = {_family(cell) for cell in cells if not _missing(cell)}
    if len(kinds) > 1:
        present = [index for index, cell in enumerate(cells) if not _missing(cell)]
        second = next(index for index in present if _family(cells[index]) != _family(cells[present[0]]))
        raise DataError(
            f"Labels must be of one type; got {' and '.join(sorted(kinds))}, the change at {cells[second]!r} "
            f"in row {second + 1} {place}."
        )
    if kinds == {"list"}:
        raise DataError(f"A {kind} row must have one label; got a list {place}. Ask for `task_kind='multi-label'`.")
    return pd.Series([None if _missing(cell) else _name(cell) for cell in cells], dtype="object")


def _name_set(cell: Any, index: int, place: str) -> tuple[str, ...] | None:
    if isinstance(cell, list | tuple | np.ndarray):
        parts = list(cell)
        if any(not isinstance(part, str) for part in parts):
            raise DataError(f"Every list of labels must hold strings; got {parts!r:.60} in row {index + 1} {place}.")
    elif isinstance(cell, str):
        # An empty cell is an answer here: none of the labels. A missing value is not.
        parts = [part for part in cell.split("|") if part.strip()]
    elif _missing(cell):
        return None
    else:
        raise DataError(f"Labels must be names joined by '|', or lists; got {cell!r} in row {index + 1} {place}.")
    return tuple(dict.fromkeys(part.strip() for part in parts))


def _contract(
    kind: TaskKind, values: pd.Series, labels: tuple[str, ...] | list[str] | None, column: str, where: str
) -> LabelContract:
    if kind == "regression":
        if values.isna().all():
            raise DataError(f"A regression target must have numbers; got none in column {column!r} of {where!r}.")
        return LabelContract(kind=kind, names=(column,))
    if labels is not None:
        return LabelContract(kind=kind, names=tuple(labels))
    present = values.dropna().tolist()
    found = {name for names in present for name in names} if kind == "multi-label" else set(present)
    least = 1 if kind == "multi-label" else 2
    if len(found) < least:
        got = f"only {next(iter(found))!r}" if found else "none"
        raise DataError(
            f"A {kind} column must have at least {least} different label(s); got {got} in column {column!r} of "
            f"{where!r}. Give all names by `labels=` if the others are just not in this file."
        )
    return LabelContract(kind=kind, names=tuple(sorted(found, key=_by_value)))


def _groups(column: pd.Series, where: str) -> list[str]:
    cells = column.tolist()
    missing = [index for index, cell in enumerate(cells) if _missing(cell)]
    if missing:
        raise DataError(
            f"Every row must have a group; got none in {rows_phrase(missing, 1)} of {where!r}, "
            f"column {str(column.name)!r}. Fill it, or leave `group` out."
        )
    return [_name(cell) for cell in cells]


def _missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip() in _MISSING_WORDS
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _family(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true/false"
    if isinstance(cell, int | float):
        return "numbers"
    return "list" if isinstance(cell, list | tuple | np.ndarray) else "text" if isinstance(cell, str) else "others"


def _name(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    # A column of whole numbers with a gap comes back from Parquet as floats; 1.0 is the label 1.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _by_value(name: str) -> tuple[float, str]:
    number = _number(name)
    return (float("inf") if number is None else number, name)
