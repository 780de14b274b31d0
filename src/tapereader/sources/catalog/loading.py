"""Named data sets: listed, described, and loaded from the data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from tapereader.core.errors import DataError, MissingDataError, UnknownNameError
from tapereader.core.registry import Registry
from tapereader.sources.catalog.named import CorpusCard, LabelledSource, NamedCorpus
from tapereader.sources.labelled import DatasetCard, LabelledText

DATA_VARIABLE = "TAPEREADER_DATA"
#: Unlabelled text is registered in the same group under this prefix, so that listing either kind imports nothing.
_CORPUS = "corpus-"
_GROUP = "tapereader.sources"


def data_root() -> Path:
    """Return the data folder that ``TAPEREADER_DATA`` names; the only place that reads it.

    Raises
    ------
    MissingDataError
        If the variable is not set, or names no folder.
    """
    value = os.environ.get(DATA_VARIABLE, "").strip()
    if not value:
        raise MissingDataError(
            f"{DATA_VARIABLE} must name the folder with the data sets; got nothing. Set it, or give `--data DIR`."
        )
    root = Path(value).expanduser()
    if not root.is_dir():
        raise MissingDataError(f"{DATA_VARIABLE} must name a folder; got {value!r}. Correct it.")
    return root


def import_root() -> Path:
    """Return the folder that imports are written into: what ``TAPEREADER_DATA`` names, whether or not it exists yet.

    Raises
    ------
    MissingDataError
        If the variable is not set.
    """
    value = os.environ.get(DATA_VARIABLE, "").strip()
    if not value:
        raise MissingDataError(
            f"An import must know the folder to write into; got neither `--data DIR` nor {DATA_VARIABLE}. Give one of "
            "them; a folder that does not exist yet is made."
        )
    return Path(value).expanduser()


def dataset_names(registry: Registry | None = None) -> tuple[str, ...]:
    """Return the names of all labelled data sets, sorted; imports none of them."""
    return tuple(name for name in _registry(registry).names() if not name.startswith(_CORPUS))


def corpus_names(registry: Registry | None = None) -> tuple[str, ...]:
    """Return the names of all sets of unlabelled text, sorted; imports none of them."""
    return tuple(name for name in _registry(registry).names() if name.startswith(_CORPUS))


def describe(name: str, registry: Registry | None = None) -> DatasetCard:
    """Return what a data set states about itself, without reading its rows.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    """
    return _labelled(name, registry).card


def describe_corpus(name: str, registry: Registry | None = None) -> CorpusCard:
    """Return what a set of unlabelled text states about itself.

    Raises
    ------
    UnknownNameError
        If there is no such set.
    """
    return _corpus(name, registry).card


def load_dataset(name: str, *, root: Path | None = None, registry: Registry | None = None) -> LabelledText:
    """Load a labelled data set by name.

    Parameters
    ----------
    name : one of :func:`dataset_names`
    root : data folder; None takes the one that ``TAPEREADER_DATA`` names
    registry : instead of the installed data sets

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    MissingDataError
        If its table, or the data folder, is not there.
    """
    source = _labelled(name, registry)
    # A set made by a program needs no folder; whoever has none must still be able to load it.
    return source.load(root or (Path() if source.card.synthetic else data_root()))


def unlabelled_texts(name: str, *, root: Path | None = None, registry: Registry | None = None) -> pd.DataFrame:
    """Load unlabelled text for domain-adaptive pretraining.

    Parameters
    ----------
    name : one of :func:`corpus_names`
    root : data folder; None takes the one that ``TAPEREADER_DATA`` names
    registry : instead of the installed sets

    Returns
    -------
    frame with ``text`` (each once), ``known_at`` (UTC) and further columns, in order of ``known_at``

    Raises
    ------
    UnknownNameError
        If there is no such set.
    MissingDataError
        If its table, or the data folder, is not there.
    """
    return _corpus(name, registry).load(root or data_root())


def _registry(registry: Registry | None) -> Registry:
    return registry or Registry(_GROUP)


def _labelled(name: str, registry: Registry | None) -> LabelledSource:
    source: Any = _registry(registry).find(name)
    if isinstance(source, NamedCorpus):
        raise UnknownNameError(f"A data set must have labels; {name!r} is unlabelled text, for pretraining only.")
    if not isinstance(getattr(source, "card", None), DatasetCard):
        raise DataError(f"A plug-in of {_GROUP} must have a `card` and `load(root)`; {name!r} is {source!r}.")
    return source  # type: ignore[no-any-return]  # the registry finds by name; what it found was checked above


def _corpus(name: str, registry: Registry | None) -> NamedCorpus:
    source = _registry(registry).find(name)
    if not isinstance(source, NamedCorpus):
        known = ", ".join(corpus_names(registry))
        raise UnknownNameError(f"Unlabelled text must be one of {known}; got the labelled data set {name!r}.")
    return source
