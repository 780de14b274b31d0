"""Open, list, describe, check and import labelled text, by name or from the reader's own file."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tapereader.core.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from tapereader.dataset import CheckReport, ContaminationReport, check, contamination
from tapereader.sources import (
    CorpusCard,
    DatasetCard,
    LabelledText,
    corpus_names,
    dataset_names,
    describe,
    describe_corpus,
    import_release,
    import_root,
    load_dataset,
    read_labelled,
)

#: ``ready``: the rows are here; ``absent``: ``data import`` brings them; ``damaged``: they are here and cannot be read.
DataState = Literal["ready", "absent", "damaged"]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How to read a file of one's own; a named data set takes none of them.

    Parameters
    ----------
    text, label, pair, time, group : column names; None leaves the choice to ``read_labelled``
    task_kind : kind of answer, or None to infer it
    labels : label names in the wanted order
    language : of the text
    encoding : of a text file
    """

    text: str | None = None
    label: str | None = None
    pair: str | None = None
    time: str | None = None
    group: str | None = None
    task_kind: Any = None
    labels: tuple[str, ...] | None = None
    language: Any = None
    encoding: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class DatasetDescription:
    """A data set's card, with what was counted where its rows are here.

    Parameters
    ----------
    card : what the set states about itself
    state : whether its rows are here
    id : of the rows
    rows : how many
    columns : of the rows
    label_counts : rows a label; empty for regression
    """

    card: DatasetCard
    state: DataState
    id: str | None = None
    rows: int | None = None
    columns: tuple[str, ...] = ()
    label_counts: dict[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What was found in a data set and, if asked, how much of it another one holds."""

    report: CheckReport
    contamination: ContaminationReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        found = self.contamination
        return self.report.to_dict() | ({} if found is None else {"contamination": found.to_dict()})


def open_labelled(name_or_file: str, *, options: FileOptions = FileOptions(), root: Path | None = None) -> LabelledText:
    """Return a named data set, or a file of one's own.

    Parameters
    ----------
    name_or_file : a name from :func:`list_data`, or a path
    options : for a file
    root : folder of named data sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If options for a file are given with a name.
    UnknownNameError
        If it is neither a name nor a path of something.
    MissingDataError, DataError
        If the rows are not here or cannot be used.
    """
    names = dataset_names()
    if name_or_file in names:
        if options.given():
            given = ", ".join(f"`{name}`" for name in options.given())
            raise ConfigError(
                f"Only a file of your own takes {given}; got the named data set {name_or_file!r}. Leave them out."
            )
        return load_dataset(name_or_file, root=root)
    path = Path(name_or_file)
    if path.suffix or path.exists():
        return read_labelled(path, **options.given())
    near = difflib.get_close_matches(name_or_file, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownNameError(
        f"A data set must be a name from `tapereader data list` or a file; got {name_or_file!r}, neither.{hint}"
    )


def list_data(*, root: Path | None = None) -> tuple[DatasetDescription, ...]:
    """Return the card of every named data set, by name, and whether its rows are here."""
    return tuple(DatasetDescription(card=describe(name), state=_state(name, root)) for name in dataset_names())


def list_corpora() -> tuple[CorpusCard, ...]:
    """Return the card of every named set of unlabelled text, by name."""
    return tuple(describe_corpus(name) for name in corpus_names())


def describe_data(
    name_or_file: str, *, options: FileOptions = FileOptions(), root: Path | None = None
) -> DatasetDescription:
    """Return what a data set states about itself, and count its rows where they are here."""
    try:
        labelled = open_labelled(name_or_file, options=options, root=root)
    except MissingDataError:
        if name_or_file not in dataset_names():
            raise
        return DatasetDescription(card=describe(name_or_file), state="absent")
    contract = labelled.card.contract
    counts = None
    if contract.kind != "regression":
        labels = labelled.frame["label"].tolist()
        names = (name for label in labels for name in ((label,) if isinstance(label, str) else label or ()))
        found = Counter(names)
        counts = {name: found[name] for name in contract.names}
    return DatasetDescription(
        card=labelled.card,
        state="ready",
        id=labelled.id,
        rows=len(labelled),
        columns=tuple(str(name) for name in labelled.frame.columns),
        label_counts=counts,
    )


def check_data(
    name_or_file: str, *, against: str | None = None, options: FileOptions = FileOptions(), root: Path | None = None
) -> DataCheck:
    """Look for everything that would spoil a training, and for texts another data set has too.

    Parameters
    ----------
    name_or_file : what to check
    against : another name or file; a file is read with the same options
    options, root : as :func:`open_labelled`
    """
    labelled = open_labelled(name_or_file, options=options, root=root)
    overlap = None
    if against is not None:
        other_options = FileOptions() if against in dataset_names() else options
        overlap = contamination(labelled, open_labelled(against, options=other_options, root=root))
    return DataCheck(report=check(labelled), contamination=overlap)


def import_data(name: str, path: Path, *, root: Path | None = None) -> Path:
    """Read an original release into the folder of data sets, and return the file that was written.

    Parameters
    ----------
    name : a named data set
    path : the release as its authors publish it
    root : folder to write into, made where it does not exist; None takes ``TAPEREADER_DATA``

    Raises
    ------
    MissingDataError
        If neither is given.
    """
    return import_release(name, path, out=root or import_root())


def _state(name: str, root: Path | None) -> DataState:
    if describe(name).synthetic:
        return "ready"
    try:
        load_dataset(name, root=root)
    except MissingDataError:
        return "absent"
    except DataError:
        return "damaged"
    return "ready"
