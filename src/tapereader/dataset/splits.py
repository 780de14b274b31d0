"""Splits at random: stratified, in one cut or in folds, with groups of near-copies kept whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset.parts import Split, check_fractions, make_split, row_hashes, split_groups
from tapereader.dataset.stratify import allocate, strata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapereader.sources.labelled import LabelledText


def train_validation_test(
    labelled: LabelledText,
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Deal the rows into three parts, stratified and with groups kept whole.

    Rows are first put in the order of their contents, so the same rows in another order give the same split.

    Parameters
    ----------
    labelled : N rows
    fractions : shares of train, validation and test, summing to 1; validation may be 0
    seed : same seed, same split
    groups : near-duplicate groups, int array (N,); None finds them

    Raises
    ------
    ConfigError
        If the fractions cannot be used.
    DataError
        If a label stands in fewer groups than there are parts, or a part would be empty.
    """
    check_fractions(fractions)
    whole, hashes = split_groups(labelled, groups), row_hashes(labelled)
    used = [part for part in range(3) if fractions[part] > 0]
    _check_enough(labelled, whole, len(used), f"A split in {len(used)} parts")
    dealt = _deal(strata(labelled), whole, hashes, [fractions[part] for part in used], [seed])
    return make_split(f"stratified, seed {seed}", labelled, np.asarray(used)[dealt], whole, hashes=hashes)


def grouped_folds(
    labelled: LabelledText,
    *,
    k: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    validation: float = 0.1,
) -> tuple[Split, ...]:
    """Deal the rows into k test folds, stratified and with groups kept whole.

    Every row is in exactly one test fold. In each fold the inner validation part, for early stopping and calibration,
    is taken from the training rows the same way, so no choice ever sees a test row or a near-copy of one.

    Parameters
    ----------
    labelled : N rows
    k : folds, at least 2
    seed : same seed, same folds, in whatever order the rows come
    groups : near-duplicate groups, int array (N,); None finds them
    validation : share of the training rows, in [0, 1)

    Raises
    ------
    ConfigError
        If ``k`` or ``validation`` cannot be used.
    DataError
        If there are fewer than ``k`` groups, or a label stands in fewer than ``k``.
    """
    if k < 2:
        raise ConfigError(f"`k` must be at least 2 folds; got {k!r}.")
    whole, hashes = split_groups(labelled, groups), row_hashes(labelled)
    _check_enough(labelled, whole, k, f"A split in {k} folds")
    balance = strata(labelled)
    fold_of_row = _deal(balance, whole, hashes, [1 / k] * k, [seed])
    folds = []
    for fold in range(k):
        part = np.where(fold_of_row == fold, 2, 0)
        part = _take_validation(part, balance, whole, hashes, validation, [seed, fold + 1])
        folds.append(make_split(f"fold {fold + 1} of {k}, seed {seed}", labelled, part, whole, hashes=hashes))
    return tuple(folds)


def with_validation(
    labelled: LabelledText,
    split: Split,
    *,
    fraction: float = 0.1,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Take a validation part out of the training rows of a split that has none.

    Authors' splits often have only train and test; every choice still needs rows of its own.

    Raises
    ------
    ConfigError
        If the split has a validation part already, or ``fraction`` is not in [0, 1).
    DataError
        If no training row would be left.
    """
    if len(split.validation):
        raise ConfigError(f"Validation rows are taken only for a split without them; {split.name!r} has some.")
    whole, hashes = split_groups(labelled, groups), row_hashes(labelled)
    part = np.full(len(labelled), -1, dtype=np.int64)
    part[split.train], part[split.test] = 0, 2
    part = _take_validation(part, strata(labelled), whole, hashes, fraction, [seed])
    found = make_split(split.name, labelled, part, whole, hashes=hashes, cuts=split.cuts)
    return replace(found, rows_overlapping=split.rows_overlapping)


def _take_validation(
    part: NDArray[np.int64],
    balance: NDArray[np.float64],
    groups: NDArray[np.int64],
    hashes: NDArray[np.str_],
    fraction: float,
    seed: list[int],
) -> NDArray[np.int64]:
    if not 0 <= fraction < 1:
        raise ConfigError(f"The validation share must be from 0 to below 1; got {fraction!r}.")
    rows = np.flatnonzero(part == 0)
    if fraction == 0 or len(rows) == 0:
        return part
    inner = np.unique(groups[rows], return_inverse=True)[1].reshape(-1)
    out = part.copy()
    out[rows] = _deal(balance[rows], inner, hashes[rows], [1 - fraction, fraction], seed)
    return out


def _deal(
    balance: NDArray[np.float64],
    groups: NDArray[np.int64],
    hashes: NDArray[np.str_],
    fractions: list[float],
    seed: list[int],
) -> NDArray[np.int64]:
    # In the order of the rows' contents, with groups numbered in that order, so that the order of the file is no input.
    order = np.argsort(hashes, kind="stable")
    _, first, inverse = np.unique(groups[order], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    out = np.empty(len(groups), dtype=np.int64)
    out[order] = allocate(balance[order], rank[inverse.reshape(-1)], fractions, seed=seed)
    return out


def _check_enough(labelled: LabelledText, groups: NDArray[np.int64], least: int, what: str) -> None:
    n_groups = len(np.unique(groups))
    if n_groups < least:
        raise DataError(
            f"{what} needs at least {least} groups of rows that may be parted; data set {labelled.card.name!r} has "
            f"{n_groups} in {len(labelled)} rows. Give more rows, or ask for fewer parts."
        )
    contract = labelled.card.contract
    if contract.kind in ("multi-label", "regression"):
        return
    targets = labelled.targets()
    for position, label in enumerate(contract.names):
        found = len(np.unique(groups[targets == position]))
        if 0 < found < least:
            raise DataError(
                f"{what} needs every label in at least {least} groups; {label!r} stands in {found} "
                f"({int((targets == position).sum())} rows). Merge or drop the label, or ask for fewer parts."
            )
