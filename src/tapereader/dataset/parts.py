"""What a split is: row positions of three parts, with what is known about their overlap."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset.documents import near_duplicate_groups

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from tapereader.sources.labelled import LabelledText

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """Row positions of three parts, and what is known about their overlap.

    Parameters
    ----------
    name : which split this is, such as ``fold 2 of 5``
    train, validation, test : int arrays of row positions, ascending, disjoint; validation may be empty
    groups_straddling : groups with rows in more than one part; 0 for every split made here
    id : twelve hex digits over the contents of the rows in each part, whatever their order
    rows_shared : test rows whose group also has training rows
    rows_dropped : rows in no part
    cuts : for a split by time, the first instants of validation and test
    rows_overlapping : rows of earlier parts left out because later ones repeat them; they are among ``rows_dropped``

    Raises
    ------
    ConfigError
        If the parts overlap.
    """

    name: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    groups_straddling: int
    id: str
    rows_shared: int = 0
    rows_dropped: int = 0
    cuts: tuple[datetime, ...] = ()
    rows_overlapping: int = 0

    def __post_init__(self) -> None:
        rows = np.concatenate([self.train, self.validation, self.test])
        if len(np.unique(rows)) != len(rows):
            raise ConfigError(f"The parts of a split must be disjoint; those of {self.name!r} share rows.")


def split_groups(labelled: LabelledText, groups: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the groups that no split may divide.

    Rows belong together if they are in one near-duplicate group or carry one value in the data set's own ``group``
    column (a headline about two companies, a template), directly or through other rows.

    Parameters
    ----------
    labelled : N rows
    groups : int array (N,), the groups of :func:`~tapereader.dataset.documents.near_duplicate_groups` (or any other
        labels); None finds them at the usual threshold

    Returns
    -------
    int array (N,), numbered 0..n-1

    Raises
    ------
    DataError
        If there are no rows, or ``groups`` is not one for each row.
    """
    if len(labelled) == 0:
        raise DataError(f"A split needs rows; data set {labelled.card.name!r} has none.")
    if groups is None:
        groups = near_duplicate_groups(labelled.texts).groups
    if np.shape(groups) != (len(labelled),):
        raise DataError(f"`groups` must hold one group for each of {len(labelled)} rows; got shape {np.shape(groups)}.")
    nodes = np.unique(groups, return_inverse=True)[1].reshape(-1)
    if "group" not in labelled.frame.columns:
        return nodes.astype(np.int64)
    codes, values = pd.factorize(labelled.frame["group"])
    named = codes >= 0
    n = int(nodes.max()) + 1
    edges = coo_array(
        (np.ones(int(named.sum())), (nodes[named], n + codes[named])), shape=(n + len(values), n + len(values))
    )
    component = connected_components(edges, directed=False)[1][nodes]
    return np.unique(component, return_inverse=True)[1].reshape(-1).astype(np.int64)


def row_hashes(labelled: LabelledText) -> NDArray[np.str_]:
    """Return sixteen hex digits for the text, pair and label of each row, array (N,)."""
    pairs = labelled.pairs or [""] * len(labelled)
    rows = zip(labelled.texts, pairs, labelled.frame["label"], strict=True)
    return np.asarray(
        [
            hashlib.sha256(f"{text}\x1f{pair}\x1f{label}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
            for text, pair, label in rows
        ]
    )


def make_split(
    name: str,
    labelled: LabelledText,
    part_of_row: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    hashes: NDArray[np.str_],
    cuts: tuple[datetime, ...] = (),
) -> Split:
    """Build a :class:`Split` from the part of each row: 0, 1, 2 in the order of ``PARTS``, -1 for none.

    Raises
    ------
    DataError
        If no row is left for training or for the test.
    """
    train, validation, test = (np.flatnonzero(part_of_row == part).astype(np.int64) for part in range(3))
    for part, rows in (("train", train), ("test", test)):
        if len(rows) == 0:
            raise DataError(
                f"Every split must have training and test rows; {name!r} of data set {labelled.card.name!r} "
                f"({len(labelled)} rows in {len(np.unique(groups))} groups) has none for {part}. Give more rows, or "
                "cut elsewhere."
            )
    in_part = [np.unique(groups[rows]) for rows in (train, validation, test)]
    straddling = int((np.bincount(np.concatenate(in_part)) > 1).sum())
    digest = hashlib.sha256()
    for part, rows in zip(PARTS, (train, validation, test), strict=True):
        digest.update(f"{part}:{','.join(np.sort(hashes[rows]))};".encode())
    return Split(
        name=name,
        train=train,
        validation=validation,
        test=test,
        groups_straddling=straddling,
        id=digest.hexdigest()[:12],
        rows_shared=int(np.isin(groups[test], in_part[0]).sum()),
        rows_dropped=int((part_of_row < 0).sum()),
        cuts=cuts,
    )


def drop_overlap(part_of_row: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Set to -1 the rows of an earlier part whose group has a row in a later one."""
    part = part_of_row.copy()
    for later in (2, 1):
        part[(part >= 0) & (part < later) & np.isin(groups, groups[part == later])] = -1
    return part


def check_fractions(fractions: tuple[float, float, float]) -> None:
    """Refuse fractions that are not three shares of one whole.

    Raises
    ------
    ConfigError
        If they are not three, do not sum to 1, or leave nothing for train or test.
    """
    usable = len(fractions) == 3 and min(fractions) >= 0 and fractions[0] > 0 and fractions[2] > 0
    if not usable or not np.isclose(sum(fractions), 1.0):
        raise ConfigError(
            f"`fractions` must be the shares of train, validation and test, with sum 1 and only validation allowed "
            f"to be 0; got {fractions!r}."
        )
