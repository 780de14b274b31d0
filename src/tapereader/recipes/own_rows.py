"""The rows a bundle was made from, found and dealt again as they were dealt then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle
from tapereader.core.errors import BundleError, ConfigError
from tapereader.dataset.choice import SplitConfig, choose_split, find_groups
from tapereader.dataset.parts import Split
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.sources import LabelledText


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnRows:
    """What a bundle learnt from, was calibrated on and was judged on.

    Parameters
    ----------
    labelled : all rows
    split : how they were dealt
    groups : int array (N,), one number for rows that are no evidence apart
    """

    labelled: LabelledText
    split: Split
    groups: NDArray[np.int64]


def open_own_rows(
    bundle: Bundle, dataset: str | None, *, options: FileOptions | None = None, data_root: Path | None = None
) -> OwnRows:
    """Open the data set a bundle was made from, and deal its rows as they were dealt then.

    Parameters
    ----------
    bundle : loaded
    dataset : its name or file; None takes the name that the bundle states, which finds named sets only
    options : how to read a file, or None to go by its obvious names
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If these are not the rows the bundle was made from.
    BundleError
        If they cannot be dealt as they were.
    """
    stated = bundle.manifest.get("data_ids", {})
    if dataset is None:
        if len(stated) != 1:
            raise ConfigError(f"Bundle {bundle.id!r} does not say what it was made from. Name the data set or file.")
        dataset = next(iter(stated))
    labelled = open_labelled(dataset, options=options or FileOptions(), root=data_root)
    if labelled.id not in stated.values():
        raise ConfigError(
            f"The rows must be those bundle {bundle.id!r} was made from, {dict(stated)}; got {dataset!r} with the "
            f"content id {labelled.id!r}. Name the same data set, or the file as it was then."
        )
    split, groups = deal_again(bundle, labelled)
    return OwnRows(labelled=labelled, split=split, groups=groups)


def deal_again(bundle: Bundle, labelled: LabelledText) -> tuple[Split, NDArray[np.int64]]:
    """Deal a bundle's own rows as they were dealt then; also return the groups of all rows.

    Raises
    ------
    BundleError
        If the split is not to the row the one the bundle holds.
    """
    config = SplitConfig.from_mapping(bundle.manifest["config"]["split"])
    groups = find_groups(labelled, config)
    split = choose_split(labelled, config, groups)
    if split.id not in bundle.manifest["split_ids"].values():
        raise BundleError(
            f"The split of bundle {bundle.id!r} must be made again to the row; got {split.id!r}, and the bundle holds "
            f"{list(bundle.manifest['split_ids'].values())}. It was made by another version; judge with `--split all`."
        )
    return split, groups
