"""What the outputs of a model mean, in what order: the label contract."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from tapereader.core.errors import BundleError, ConfigError

TaskKind = Literal["single-label", "multi-label", "ordinal", "regression", "generation"]
TASK_KINDS: tuple[TaskKind, ...] = ("single-label", "multi-label", "ordinal", "regression", "generation")
#: An answer of a generating model that names no label, or several. It is an outcome, never a class.
UNPARSED = "unparsed"


@dataclass(frozen=True, kw_only=True)
class LabelContract:
    """Names, order and meaning of what a model answers.

    Column ``c`` of every probability array belongs to ``names[c]``, for the life of the model. Two contracts are
    compatible only if kind, names and order agree: a swapped order is the commonest silent error of published models,
    so the order is part of the ``id`` and is checked wherever two things meet.

    Parameters
    ----------
    kind : what is asked: one of ``TASK_KINDS``
    names : label names in the order of the output columns; low to high for ``ordinal``; the one target's name for
        ``regression``
    meanings : one sentence for each name, or empty
    low, high : bounds of a regression target, if it has any

    Raises
    ------
    ConfigError
        If names repeat, are empty, or do not fit the kind.

    Examples
    --------
    >>> LabelContract(kind="single-label", names=("negative", "positive")).index("positive")
    1
    """

    kind: TaskKind
    names: tuple[str, ...]
    meanings: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in TASK_KINDS:
            raise ConfigError(f"A label contract's `kind` must be one of {', '.join(TASK_KINDS)}; got {self.kind!r}.")
        if any(not isinstance(name, str) or not name.strip() for name in self.names):
            raise ConfigError(f"Label names must be non-empty text; got {self.names!r}.")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"Label names must differ; got {self.names!r}.")
        least = 1 if self.kind in ("regression", "multi-label") else 2
        if len(self.names) < least or (self.kind == "regression" and len(self.names) != 1):
            count = "exactly 1 name" if self.kind == "regression" else f"at least {least} name(s)"
            raise ConfigError(f"A {self.kind} contract must have {count}; got {self.names!r}.")
        if UNPARSED in self.names:
            raise ConfigError(f"{UNPARSED!r} is the outcome of an answer that cannot be read; it cannot be a label.")
        if self.meanings and len(self.meanings) != len(self.names):
            raise ConfigError(f"`meanings` must be empty or one for each of {len(self.names)} names.")

    @property
    def id(self) -> str:
        """Twelve hex digits over kind, names and order; meanings are words for people and take no part."""
        payload = json.dumps([self.kind, list(self.names), self.low, self.high], ensure_ascii=False)
        return hashlib.sha256(payload.encode()).hexdigest()[:12]

    def index(self, name: str) -> int:
        """Return the output column of a label.

        Raises
        ------
        ConfigError
            If the contract has no such label.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise ConfigError(f"A label must be one of {', '.join(self.names)}; got {name!r}.") from None

    def check_same(self, other: LabelContract, *, ours: str, theirs: str) -> None:
        """Refuse a contract that differs, naming what differs.

        Raises
        ------
        BundleError
            If kind, names or order differ.
        """
        if self.kind != other.kind:
            raise BundleError(f"{ours} answers {self.kind} questions; {theirs} is {other.kind}.")
        if self.names == other.names:
            return
        if set(self.names) == set(other.names):
            raise BundleError(
                f"{ours} has the label order {list(self.names)}; {theirs} has {list(other.names)}. The same labels in "
                "another order would swap every answer. Restore the original files."
            )
        raise BundleError(f"{ours} has the labels {list(self.names)}; {theirs} has {list(other.names)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        BundleError
            If a field is missing or of the wrong type.
        """
        try:
            return cls(
                kind=values["kind"],
                names=tuple(values["names"]),
                meanings=tuple(values.get("meanings", ())),
                low=values.get("low"),
                high=values.get("high"),
            )
        except (KeyError, TypeError) as error:
            raise BundleError(f"A label contract must hold `kind` and `names`; got {values!r}.") from error
