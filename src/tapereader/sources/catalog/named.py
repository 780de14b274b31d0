"""What a named data set is: a card, a place under the data folder, and how its table becomes rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from tapereader.core.errors import DataError, MissingDataError
from tapereader.sources.labelled import DatasetCard, LabelledText, Language, Licence

#: Tables that an import can write from their authors' release; ``sources.releases`` has a reader for exactly these.
IMPORTABLE = frozenset({
    "cn_finbert2_sc2/news.parquet", "cn_fincuge/finese_event_subject.parquet", "cn_fincuge/finfe_sentiment.parquet",
    "cn_fincuge/finnl_topics.parquet", "cn_fincuge/finnsp_negative_news.parquet", "cn_fincuge/finre_relations.parquet",
    "cn_stock_comments/comments.parquet", "financial_phrasebank/sentences.parquet", "fiqa_posts/posts.parquet",
    "fomc_stance/sentences.parquet", "gold_news/headlines.parquet", "semeval2017_headlines/headlines.parquet",
    "stockemotions/posts.parquet",
})  # fmt: skip
#: Written beside an imported table: file name -> where its rows came from.
ORIGIN_FILE = "origin.json"
NOT_STATED = "not stated"


class LabelledSource(Protocol):
    """What a plug-in of the group ``tapereader.sources`` offers when it has labels."""

    @property
    def card(self) -> DatasetCard:
        """What the set states about itself, without reading it."""
        ...

    def load(self, root: Path) -> LabelledText:
        """Read the rows from below the data folder."""
        ...


@dataclass(frozen=True, kw_only=True)
class NamedDataset:
    """A labelled data set of the catalog.

    Parameters
    ----------
    card : for the copy in the data folder
    folder, file : where its table is, below the data folder
    columns : columns the table must have
    build : table to the columns of :class:`LabelledText`; ``row`` is added here where it is not built
    """

    card: DatasetCard
    folder: str
    file: str
    columns: tuple[str, ...]
    build: Callable[[pd.DataFrame], pd.DataFrame]

    def load(self, root: Path) -> LabelledText:
        """Read the rows from below the data folder.

        Raises
        ------
        MissingDataError
            If the table is not there.
        DataError
            If it is damaged or lacks a column.
        """
        table = read_stored(self.card.name, root, self.folder, self.file, self.columns)
        frame = self.build(table)
        if "row" not in frame.columns:
            # The build keeps the table's index, so a row number still points into the stored file.
            frame.insert(0, "row", frame.index.to_numpy() + 1)
        origin = stated_origin(root / self.folder, self.file) or self.card.origin
        return LabelledText(card=replace(self.card, origin=origin), frame=frame.reset_index(drop=True))


@dataclass(frozen=True, kw_only=True)
class CorpusCard:
    """What a set of unlabelled text states about itself.

    Parameters
    ----------
    name, title, language, licence, origin, traps : as on a :class:`DatasetCard`
    dates : first and last day of the text in the copy, as words
    """

    name: str
    title: str
    language: Language
    licence: Licence
    origin: str
    dates: str
    traps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NamedCorpus:
    """A set of unlabelled text, for domain-adaptive pretraining.

    Parameters
    ----------
    card : what it states about itself
    folder, file, columns, build : as for :class:`NamedDataset`; ``build`` gives ``text``, ``known_at`` and others
    """

    card: CorpusCard
    folder: str
    file: str
    columns: tuple[str, ...]
    build: Callable[[pd.DataFrame], pd.DataFrame]

    def load(self, root: Path) -> pd.DataFrame:
        """Read the texts, each once: of equal ones the earliest known stays.

        Returns
        -------
        frame with ``text``, ``known_at`` (UTC) and further columns, in order of ``known_at``

        Raises
        ------
        MissingDataError, DataError
            If the table is not there, or cannot be read.
        """
        frame = self.build(read_stored(self.card.name, root, self.folder, self.file, self.columns))
        frame = frame[frame["text"].str.strip() != ""].sort_values("known_at", kind="stable")
        return frame.drop_duplicates("text").reset_index(drop=True)


def read_stored(name: str, root: Path, folder: str, file: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read one table of the data folder.

    Raises
    ------
    MissingDataError
        If it is not there.
    DataError
        If it is damaged or lacks a column.
    """
    path = root / folder / file
    readable = f"{folder}/{file}" in IMPORTABLE
    if not path.is_file():
        way = f", or try `tapereader data import {name} PATH` on the authors' release" if readable else ""
        raise MissingDataError(
            f"Data set {name!r} must be at {folder}/{file} below {str(root)!r}; no such file is there. "
            f"Correct TAPEREADER_DATA{way}."
        )
    try:
        table = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"Data set {name!r} must be a whole Parquet file; got {str(path)!r}: {first}.") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            f"Data set {name!r} must have the column {missing[0]!r}; got {', '.join(map(str, table.columns))} "
            f"in {str(path)!r}. {'Import the release again' if readable else 'Restore the table'}."
        )
    return table


def stated_origin(folder: Path, file: str) -> str | None:
    """Return what ``origin.json`` says of a table, or None where it says nothing.

    Raises
    ------
    DataError
        If ``origin.json`` is there and cannot be read.
    """
    note = origin_notes(folder).get(file)
    return None if note is None else str(note["origin"])


def origin_notes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what ``origin.json`` of a folder holds: file name -> note with at least ``origin``; empty without one.

    Raises
    ------
    DataError
        If it is there and is not that.
    """
    path = folder / ORIGIN_FILE
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(note["origin"], str) for note in notes.values()):
            return dict(notes)
        fault = "an origin is not text"
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        fault = f"{type(error).__name__} {error}"
    raise DataError(
        f"{ORIGIN_FILE} must be JSON with an `origin` for each table; got {str(path)!r}: {fault}. "
        "Remove it and import the release again."
    )
