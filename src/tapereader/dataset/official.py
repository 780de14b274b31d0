"""The authors' own splits: as they were published, and without the texts that their parts share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tapereader.core.errors import DataError, UnknownNameError
from tapereader.dataset.parts import PARTS, Split, drop_overlap, make_split, row_hashes, split_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapereader.sources.labelled import LabelledText


def official_split(labelled: LabelledText, name: str, *, groups: NDArray[np.int64] | None = None) -> Split:
    """Return an authors' split as it was published, with its overlap counted and left in.

    Parameters
    ----------
    labelled : rows with the column ``official_<name>``
    name : which of the card's ``official_splits``
    groups : near-duplicate groups, int array (N,); None finds them

    Raises
    ------
    UnknownNameError
        If the rows have no such split.
    DataError
        If the column holds anything but train, validation, test or nothing.
    """
    column = f"official_{name}"
    if column not in labelled.frame.columns:
        known = ", ".join(c.removeprefix("official_") for c in labelled.frame.columns if c.startswith("official_"))
        raise UnknownNameError(
            f"Data set {labelled.card.name!r} has no authors' split {name!r}; known: {known or 'none'}."
        )
    values = labelled.frame[column]
    part = values.map({value: number for number, value in enumerate(PARTS)})
    strange = values.notna() & part.isna()
    if strange.any():
        raise DataError(
            f"Column {column!r} must hold train, validation or test; got {values[strange].iloc[0]!r} in row "
            f"{labelled.frame['row'][strange].iloc[0]}."
        )
    whole = split_groups(labelled, groups)
    numbers = part.fillna(-1).to_numpy().astype(np.int64)
    return make_split(f"official {name}", labelled, numbers, whole, hashes=row_hashes(labelled))


def without_overlap(labelled: LabelledText, split: Split, *, groups: NDArray[np.int64] | None = None) -> Split:
    """Drop what a split's earlier parts share with its later ones; the test rows stay as they are.

    Training rows whose group has a validation or test row go, then validation rows whose group has a test row. So the
    score is on the same test rows as the published one, and the difference is what the shared texts were worth.

    Raises
    ------
    DataError
        If no training row is left.
    """
    whole = split_groups(labelled, groups)
    part = np.full(len(labelled), -1, dtype=np.int64)
    part[split.train], part[split.validation], part[split.test] = 0, 1, 2
    kept = drop_overlap(part, whole)
    clean = make_split(
        f"{split.name}, without overlap", labelled, kept, whole, hashes=row_hashes(labelled), cuts=split.cuts
    )
    return replace(clean, rows_overlapping=int(((part >= 0) & (kept < 0)).sum()))
