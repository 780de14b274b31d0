"""A labelled text data set in memory: what it states about itself, and its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Language = Literal["en", "zh", "mixed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The terms a data set comes under.

    Parameters
    ----------
    name : as its publisher writes it, or ``not stated``
    commercial_use : False where the terms forbid it, None where nothing is stated
    source : where it was published, and the paper
    """

    name: str
    commercial_use: bool | None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What a labelled data set states about itself.

    Parameters
    ----------
    name : lower-case words with hyphens
    title : for people
    task : what is asked, as a registered task name: ``sentiment``, ``stance``, ``risk-events``, ``trend`` ...
    contract : label names, order, meaning
    language : of the text
    licence : travels into every bundle trained on it
    origin : which copy this is: ``repacked copy, 85 % of the published rows``, ``original release``, ``your file``
    published_rows : rows of the authors' release, or None
    traps : what a reader of a table made from it must know
    synthetic : True only for text made by a program
    official_splits : names of the authors' own splits found in the rows
    """

    name: str
    title: str
    task: str
    contract: LabelContract
    language: Language
    licence: Licence
    origin: str
    published_rows: int | None = None
    traps: tuple[str, ...] = ()
    synthetic: bool = False
    official_splits: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LabelledText:
    """Rows of text with their labels, in one fixed set of columns.

    ``frame`` always has ``row`` (int, position in the source counted from 1) and ``text`` (str), and ``label``:
    a name (single-label, ordinal, generation), a tuple of names (multi-label; may be empty) or a float (regression).
    It may have ``pair`` (str, the named target of the question), ``known_at`` (UTC timestamps), ``group`` (str: rows
    that must stay on one side of any split, such as one headline about two companies), ``official_<name>`` (str:
    ``train``, ``validation`` or ``test``, one column for each of the authors' splits) and any further columns, which
    are kept for slicing (``agreement``, ``source``, ``ticker`` ...).

    Parameters
    ----------
    card : what the set states about itself
    frame : N rows, fresh 0..N-1 index
    """

    card: DatasetCard
    frame: pd.DataFrame
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        missing = [name for name in ("row", "text", "label") if name not in self.frame.columns]
        if missing:
            raise DataError(f"A labelled data set must have the columns row, text and label; {missing} are missing.")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def texts(self) -> list[str]:
        """The N texts."""
        return self.frame["text"].tolist()

    @property
    def pairs(self) -> list[str] | None:
        """The N second texts, or None where the task has none."""
        return self.frame["pair"].tolist() if "pair" in self.frame.columns else None

    @property
    def id(self) -> str:
        """Twelve hex digits over text, pair and label of all rows, in order."""
        if "id" not in self._cache:
            digest = hashlib.sha256(self.card.contract.id.encode())
            pairs = self.pairs or [""] * len(self)
            for text, pair, label in zip(self.texts, pairs, self.frame["label"], strict=True):
                digest.update(f"{text}\x1f{pair}\x1f{label}\x1e".encode("utf-8", "surrogatepass"))
            self._cache["id"] = digest.hexdigest()[:12]
        return str(self._cache["id"])

    def targets(self) -> NDArray[Any]:
        """Labels as numbers.

        Returns
        -------
        int array (N,) of contract positions for single-label, ordinal and generation; float array (N, C) of 0 and 1
        for multi-label; float array (N,) for regression

        Raises
        ------
        UnknownNameError, DataError
            If a label is not in the contract.
        """
        contract = self.card.contract
        labels = self.frame["label"].tolist()
        if contract.kind == "regression":
            return np.asarray(labels, dtype=np.float64)
        position = {name: index for index, name in enumerate(contract.names)}
        try:
            if contract.kind == "multi-label":
                out = np.zeros((len(labels), len(contract.names)))
                for n, names in enumerate(labels):
                    out[n, [position[name] for name in names]] = 1.0
                return out
            return np.asarray([position[name] for name in labels], dtype=np.int64)
        except KeyError as error:
            raise DataError(
                f"Every label must be one of {', '.join(contract.names)}; got {error.args[0]!r}. "
                "Run `tapereader data check` for the rows."
            ) from None

    def take(self, positions: NDArray[np.int64] | list[int]) -> Self:
        """Return the rows at those positions, in that order, under the same card."""
        return replace(self, frame=self.frame.iloc[np.asarray(positions)].reset_index(drop=True), _cache={})
