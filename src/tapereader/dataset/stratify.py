"""Deal groups of rows into parts so that every part has its share of every kind of row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tapereader.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tapereader.sources.labelled import LabelledText

_MAX_BINS = 10
_ROWS_IN_A_BIN = 15


def strata(labelled: LabelledText) -> NDArray[np.float64]:
    """Return what a split should balance, one column a stratum.

    Single-label, ordinal and generation: one column a label. Multi-label: one column a label, and one for rows
    without any, so that rare labels are spread as well as common ones. Regression: quantile bins of the target, at
    most 10 and each of about 15 rows or more.

    Returns
    -------
    array (N, S) of 0 and 1

    Raises
    ------
    DataError
        If a label is not in the contract or a target is not finite.
    """
    kind, targets = labelled.card.contract.kind, labelled.targets()
    if kind == "multi-label":
        return np.column_stack([targets, targets.sum(axis=1) == 0]).astype(np.float64)
    if kind == "regression":
        if not np.isfinite(targets).all():
            rows = labelled.frame["row"].to_numpy()[~np.isfinite(targets)]
            raise DataError(
                f"Every regression target must be a finite number; got {len(rows)} that are not, first in row "
                f"{rows[0]}. Run `tapereader data check` for all rows."
            )
        bins = max(1, min(_MAX_BINS, len(targets) // _ROWS_IN_A_BIN))
        edges = np.unique(np.quantile(targets, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)
        codes = np.searchsorted(edges, targets, side="right")
        return np.asarray(np.eye(len(edges) + 1)[codes], dtype=np.float64)
    return np.asarray(np.eye(len(labelled.card.contract.names))[targets], dtype=np.float64)


def allocate(
    balance: NDArray[np.float64], groups: NDArray[np.int64], fractions: Sequence[float], *, seed: Sequence[int]
) -> NDArray[np.int64]:
    """Deal whole groups into parts, greedily, keeping every stratum close to the asked fractions.

    Groups come in the order of how much they can upset the balance: large ones and those with rare strata first,
    equal ones shuffled by the seed. Each goes where it adds least to the chi-square distance between the rows that
    the parts hold and should hold, over all strata and the number of rows. scikit-learn's ``StratifiedGroupKFold``
    does the same for equal parts and single labels; this also takes unequal parts and several labels a row.

    Parameters
    ----------
    balance : array (N, S), see :func:`strata`
    groups : int array (N,), numbered 0..n-1
    fractions : share of each of the P parts, each above 0, summing to 1
    seed : integers that seed the shuffle

    Returns
    -------
    int array (N,), the part of each row

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas (2011), On the Stratification of Multi-label Data, ECML PKDD, sec. 3.
    """
    n_groups = int(groups.max()) + 1
    columns = np.column_stack([balance, np.ones(len(groups))])
    columns = columns[:, columns.any(axis=0)]
    counts = np.column_stack([np.bincount(groups, weights=column, minlength=n_groups) for column in columns.T])
    total = counts.sum(axis=0)
    shares = np.asarray(fractions, dtype=np.float64)
    excess = -shares[:, None] * total
    upset = (counts**2 / total).sum(axis=1)
    shuffled = np.random.default_rng(list(seed)).permutation(n_groups)
    order = np.lexsort((shuffled, -np.round(upset, 12)))
    part_of_group = np.empty(n_groups, dtype=np.int64)
    scaled = counts / total
    for group in order.tolist():
        added = ((2.0 * excess + counts[group]) @ scaled[group]) / shares
        part = int(added.argmin())
        part_of_group[group] = part
        excess[part] += counts[group]
    return part_of_group[groups]
