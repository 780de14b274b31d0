"""Everything that can be wrong with labelled text, found before training and told with row numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tapereader.dataset.documents import NearDuplicates, near_duplicate_groups, normalise
from tapereader.dataset.findings import CheckReport, Findings, counted
from tapereader.dataset.label_checks import NUMBER, check_classes, check_labels, check_targets, is_missing, label_key

if TYPE_CHECKING:
    from tapereader.sources.labelled import LabelledText

#: Characters above which a text is worth a word; a median earnings call has about 10,000.
HUGE_TEXT = 100_000
# UTF-8 read as Latin-1 or Windows-1252, UTF-8 damaged on the way through GBK, the replacement character itself, a byte
# order mark read as three letters, and control characters other than tab and line ends.
_MOJIBAKE = re.compile(
    "\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|\u00c3[\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]|\u00e2\u20ac[\u0080-\u00bf\u0152\u0153"
    "\u02dc\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u00a0-\u00bf\u2122]|\u00ef\u00bb\u00bf|锟斤拷"
    "|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]"
)


def check(
    labelled: LabelledText, *, threshold: float = 0.8, parts: int = 3, near: NearDuplicates | None = None
) -> CheckReport:
    """Look for everything that would stop training, spoil it or flatter its score.

    Errors: ``missing-label``, ``unknown-label``, ``empty-text``, ``mixed-types`` (values that are not text),
    ``one-class``, ``rare-class`` (fewer rows than parts), ``non-finite-target``, ``target-out-of-range``. Warnings:
    ``huge-text``, ``mojibake``, ``mixed-types`` (numbers where words are usual), ``rare-class`` (below 10 rows),
    ``conflicting-labels``, ``exact-duplicates``, ``near-duplicates``.

    Parameters
    ----------
    labelled : N rows
    threshold : Jaccard similarity that makes two texts near, see
        :func:`~tapereader.dataset.documents.near_duplicate_groups`
    parts : parts or folds the rows will be split into; a label with fewer rows cannot be in each
    near : near-duplicates of the same rows at the same threshold, if they are known already
    """
    texts, labels = labelled.frame["text"].tolist(), labelled.frame["label"].tolist()
    found = Findings(labelled.frame["row"].to_numpy())
    _check_texts(found, texts)
    usable = check_labels(found, labelled, labels)
    if labelled.card.contract.kind == "regression":
        check_targets(found, labelled, labels, usable)
    else:
        check_classes(found, labelled, labels, usable, parts)
    plain = [text if isinstance(text, str) else "" for text in texts]
    _check_copies(found, plain, labelled.pairs, labels, usable)
    near = near if near is not None else near_duplicate_groups(plain, threshold=threshold)
    _check_near_copies(found, plain, near)
    return CheckReport(name=labelled.card.name, n_rows=len(labelled), findings=found.sorted())


def _check_texts(found: Findings, texts: list[Any]) -> None:
    if not texts:
        found.add("empty-text", "error", "A data set must have rows; got none.")
        return
    empty = [n for n, text in enumerate(texts) if is_missing(text) or (isinstance(text, str) and not text.strip())]
    if empty:
        message = (
            f"Every row must have a text; got none in {counted(len(empty), 'row')}. Drop them, or name another text "
            "column."
        )
        found.add("empty-text", "error", message, empty)
    foreign = [n for n, text in enumerate(texts) if not isinstance(text, str) and not is_missing(text)]
    if foreign:
        example = texts[foreign[0]]
        message = (
            f"The text column must hold text; got {type(example).__name__} values such as {example!r} in "
            f"{counted(len(foreign), 'row')}. Name another text column."
        )
        found.add("mixed-types", "error", message, foreign)
    words = [(n, text) for n, text in enumerate(texts) if isinstance(text, str)]
    bare = [n for n, text in words if NUMBER.fullmatch(text)]
    if bare:
        message = (
            f"A text should hold words; got only a number in {counted(len(bare), 'row')}. Check that the text column "
            "is the right one."
        )
        found.add("mixed-types", "warning", message, bare)
    huge = [n for n, text in words if len(text) > HUGE_TEXT]
    if huge:
        longest = max(len(texts[n]) for n in huge)
        message = (
            f"Texts above {HUGE_TEXT:,} characters are read in chunks and pooled, which is slow; got {len(huge):,}, "
            f"the longest with {longest:,}."
        )
        found.add("huge-text", "warning", message, huge)
    damaged = [(n, match.group()) for n, text in words if (match := _MOJIBAKE.search(text))]
    if damaged:
        message = (
            "Text should be read in its own encoding; got damaged or control characters such as "
            f"{damaged[0][1]!a} in {counted(len(damaged), 'row')}. Read the file again with "
            "the right encoding, or accept the damage."
        )
        found.add("mojibake", "warning", message, [n for n, _ in damaged])


def _check_copies(
    found: Findings, texts: list[str], pairs: list[str] | None, labels: list[Any], usable: list[int]
) -> None:
    with_label = set(usable)
    where: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n, text in enumerate(texts):
        key = normalise(text)
        if key:
            where[key, normalise(str(pairs[n])) if pairs is not None else ""].append(n)
    copies = [group for group in where.values() if len(group) > 1]
    conflicting = [group for group in copies if len({label_key(labels[n]) for n in group if n in with_label}) > 1]
    if conflicting:
        rows = sorted(n for group in conflicting for n in group)
        message = (
            f"One text should have one label; got several for {counted(len(conflicting), 'text')} in {len(rows):,} "
            "rows, so no model can get all of them right."
        )
        found.add("conflicting-labels", "warning", message, rows)
    if copies:
        rows = sorted(n for group in copies for n in group[1:])
        message = (
            f"A text should stand once; got {counted(len(rows), 'row')} repeating an earlier text (one stands "
            f"{max(map(len, copies)):,} times). Copies are kept on one side of every split."
        )
        found.add("exact-duplicates", "warning", message, rows)


def _check_near_copies(found: Findings, texts: list[str], near: NearDuplicates) -> None:
    # Groups of one repeated text are exact duplicates and told there.
    members: dict[int, list[int]] = defaultdict(list)
    for n, group in enumerate(near.groups.tolist()):
        if texts[n].strip():
            members[group].append(n)
    groups = [group for group in members.values() if len({normalise(texts[n]) for n in group}) > 1]
    if not groups:
        return
    rows = sorted(n for group in groups for n in group)
    largest = max(groups, key=len)
    message = (
        f"A text should be new, numbers aside; got {len(rows):,} rows in {counted(len(groups), 'group')} with a "
        f"Jaccard similarity of {near.threshold:g} or more, the largest with {len(largest):,}, such as "
        f"{texts[largest[0]][:60]!r}. Groups are kept on one side of every split."
    )
    if near.n_pairs_across:
        left = counted(near.n_pairs_across, "near pair")
        message += f" Still in different groups, because those are not near as wholes: {left}."
    if not near.complete:
        message += " So many texts look alike that they were compared in blocks; there may be more."
    found.add("near-duplicates", "warning", message, rows)
