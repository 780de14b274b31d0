"""What can be wrong with labels and targets, whatever the kind of task."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tapereader.dataset.findings import MAX_ROWS, Findings, counted

if TYPE_CHECKING:
    from tapereader.sources.labelled import LabelledText

#: Rows of a label below which its scores are mostly chance.
RARE_CLASS = 10
_SHOWN_RARE = 5
#: A cell that is a number and nothing else.
NUMBER = re.compile(r"[-+]?[\d.,:/%\s]*\d[\d.,:/%\s]*")


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NA or NaT."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def label_key(label: Any) -> str | numbers.Real | frozenset[Any]:
    """Return what makes two labels the same: the name, the number, or the set of names."""
    return label if isinstance(label, str | numbers.Real) else frozenset(label)


def check_labels(found: Findings, labelled: LabelledText, labels: list[Any]) -> list[int]:
    """Look for missing, foreign and unknown labels.

    Returns
    -------
    the positions whose labels later checks can use
    """
    contract = labelled.card.contract
    missing = [
        n for n, label in enumerate(labels) if is_missing(label) or (isinstance(label, str) and not label.strip())
    ]
    if missing:
        message = (
            f"Every row must have a label; got none in {counted(len(missing), 'row')}. Fill them in, or drop the rows."
        )
        found.add("missing-label", "error", message, missing)
    without = set(missing)
    rest = [n for n in range(len(labels)) if n not in without]
    wanted, noun = _wanted_type(contract.kind)
    wrong = [n for n in rest if not isinstance(labels[n], wanted) or isinstance(labels[n], bool)]
    if wrong:
        example = labels[wrong[0]]
        message = (
            f"Every label of a {contract.kind} data set must be {noun}; got {type(example).__name__} values such as "
            f"{example!r} in {counted(len(wrong), 'row')}. Make the label column one type."
        )
        found.add("mixed-types", "error", message, wrong)
        refused = set(wrong)
        rest = [n for n in rest if n not in refused]
    if contract.kind == "regression":
        return rest
    numeric = [name for name in contract.names if NUMBER.fullmatch(name)]
    if numeric and len(numeric) < len(contract.names):
        other = next(name for name in contract.names if name not in numeric)
        message = (
            f"Labels should be all words or all numbers; got {numeric[0]!r} beside {other!r}. Check the label column."
        )
        found.add("mixed-types", "warning", message)
    known = set(contract.names)
    unknown = [n for n in rest if not known.issuperset(_names(labels[n]))]
    if unknown:
        strange = Counter(name for n in unknown for name in _names(labels[n]) if name not in known)
        name = strange.most_common(1)[0][0]
        near = difflib.get_close_matches(str(name), contract.names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Correct them, drop the rows, or declare the label."
        message = (
            f"Every label must be one of {_list(contract.names)}; got another in {counted(len(unknown), 'row')}, "
            f"most often {name!r}.{hint}"
        )
        found.add("unknown-label", "error", message, unknown)
        refused = set(unknown)
        rest = [n for n in rest if n not in refused]
    return rest


def _wanted_type(kind: str) -> tuple[type | tuple[type, ...], str]:
    if kind == "regression":
        return numbers.Real, "a number"
    if kind == "multi-label":
        return (tuple, list, set, frozenset, np.ndarray), "a tuple of names"
    return str, "a name"


def _names(label: Any) -> tuple[Any, ...]:
    return (label,) if isinstance(label, str) else tuple(label)


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:MAX_ROWS])
    return shown if len(names) <= MAX_ROWS else f"{shown} and {len(names) - MAX_ROWS} more"


def check_targets(found: Findings, labelled: LabelledText, labels: list[Any], usable: list[int]) -> None:
    """Look at the numbers of a regression target."""
    contract = labelled.card.contract
    infinite = [n for n in usable if not math.isfinite(labels[n])]
    if infinite:
        message = (
            f"Every target must be a finite number; got {labels[infinite[0]]!r} in {counted(len(infinite), 'row')}. "
            "Correct or drop them."
        )
        found.add("non-finite-target", "error", message, infinite)
    low = -math.inf if contract.low is None else contract.low
    high = math.inf if contract.high is None else contract.high
    finite = [n for n in usable if math.isfinite(labels[n])]
    outside = [n for n in finite if not low <= labels[n] <= high]
    if outside:
        message = (
            f"Every target must be from {low:g} to {high:g}; got {counted(len(outside), 'row')} outside, such "
            f"as {labels[outside[0]]!r}. Correct them, or declare other bounds."
        )
        found.add("target-out-of-range", "error", message, outside)
    if finite and len({float(labels[n]) for n in finite}) == 1:
        message = f"Targets must differ to be learnt; all {len(finite):,} are {labels[finite[0]]!r}."
        found.add("one-class", "error", message)


def check_classes(found: Findings, labelled: LabelledText, labels: list[Any], usable: list[int], parts: int) -> None:
    """Look at how many rows each label has."""
    contract = labelled.card.contract
    multi = contract.kind == "multi-label"
    where: dict[str, list[int]] = defaultdict(list)
    for n in usable:
        for name in set(_names(labels[n])):
            where[name].append(n)
    distinct = {frozenset(_names(labels[n])) for n in usable}
    if len(distinct) == 1:
        only = ", ".join(sorted(next(iter(distinct)))) or "no label"
        message = f"A data set must have at least two different labels; all {len(usable):,} rows have {only!r}."
        found.add("one-class", "error", message)
        return
    # With several labels a row, a rare one cannot be dealt evenly without tearing others; it is only told.
    few = [] if multi else [name for name in contract.names if 0 < len(where[name]) < parts]
    if few:
        message = (
            f"A split in {parts} parts needs at least {parts} rows of every label; {_rare(few, where)}. Merge "
            f"{'it' if len(few) == 1 else 'them'} with another label, or drop {'it' if len(few) == 1 else 'them'}."
        )
        found.add("rare-class", "error", message, sorted(n for name in few for n in where[name]))
    rare = [name for name in contract.names if name not in set(few) and len(where[name]) < RARE_CLASS]
    if rare:
        message = (
            f"A label should have {RARE_CLASS} rows or more; {_rare(rare, where)}: "
            f"{'its' if len(rare) == 1 else 'their'} scores are mostly chance."
        )
        found.add("rare-class", "warning", message, sorted(n for name in rare for n in where[name]))


def _rare(names: list[str], where: dict[str, list[int]]) -> str:
    """Say how few rows labels have; one line, however many there are (an id taken for a label has thousands)."""
    if len(names) == 1:
        return f"{names[0]!r} has {len(where[names[0]])}"
    shown = ", ".join(f"{name!r} has {len(where[name])}" for name in names[:_SHOWN_RARE])
    more = f" and {len(names) - _SHOWN_RARE:,} more have too few" if len(names) > _SHOWN_RARE else ""
    return f"{shown}{more}"
