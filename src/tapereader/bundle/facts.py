"""What ``contract.json`` of a bundle holds: the labels, how text is cut, and sentences with known answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import BundleError, ConfigError

Pooling = Literal["mean", "first", "last"]
POOLINGS: tuple[Pooling, ...] = ("mean", "first", "last")


@dataclass(frozen=True, kw_only=True)
class SanitySentence:
    """One text whose calibrated answer was written down when the bundle was made.

    Parameters
    ----------
    text, pair : as they were given to the model
    outputs : calibrated outputs in contract order: C probabilities, or the one value for regression
    """

    text: str
    outputs: tuple[float, ...]
    pair: str | None = None


@dataclass(frozen=True, kw_only=True)
class ContractFacts:
    """Everything a reader of a bundle must know before it may ask the model anything.

    On disk the sanity outputs are stored under their label names, not by position: names that are put in another order
    later then no longer fit what the network answers, even where every hash was made to agree.

    Parameters
    ----------
    contract : label names, order and kind
    task : registered task name
    language : ``en``, ``zh``, ``mixed`` or ``unknown``
    has_pair : True where the question is about a second text (a named company)
    max_length : tokens in a chunk, special tokens included
    prefix : put before every text
    pooling : how token states become one embedding, inside the network
    tokenizer_fingerprint : of ``model/tokenizer.json``; empty means: take it when the bundle is written
    sanity : texts with their known answers
    outputs_tolerance : greatest difference from a known answer; in probability, or in units of a regression target

    Raises
    ------
    ConfigError
        If a length, tolerance or answer does not fit the contract.
    """

    contract: LabelContract
    task: str
    language: str
    has_pair: bool
    max_length: int
    prefix: str = ""
    pooling: Pooling = "mean"
    tokenizer_fingerprint: str = ""
    sanity: tuple[SanitySentence, ...] = ()
    outputs_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if self.max_length < 8:
            raise ConfigError(f"`max_length` must be at least 8 tokens; got {self.max_length!r}.")
        if self.pooling not in POOLINGS:
            raise ConfigError(f"`pooling` must be one of {', '.join(POOLINGS)}; got {self.pooling!r}.")
        if not (math.isfinite(self.outputs_tolerance) and self.outputs_tolerance > 0):
            raise ConfigError(f"`outputs_tolerance` must be above 0; got {self.outputs_tolerance!r}.")
        for number, sentence in enumerate(self.sanity, start=1):
            if len(sentence.outputs) != len(self.contract.names) or not all(map(math.isfinite, sentence.outputs)):
                raise ConfigError(
                    f"Sanity sentence {number} must have one finite output for each of "
                    f"{list(self.contract.names)}; got {sentence.outputs!r}."
                )
            if (sentence.pair is not None) != self.has_pair:
                raise ConfigError(
                    f"Sanity sentence {number} must {'have' if self.has_pair else 'not have'} a `pair`, as its bundle "
                    f"{'asks' if self.has_pair else 'does not ask'} about one; got {sentence.pair!r}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, as ``contract.json`` holds them."""
        names = self.contract.names
        return {
            "contract": self.contract.to_dict(),
            "task": self.task,
            "language": self.language,
            "has_pair": self.has_pair,
            "max_length": self.max_length,
            "prefix": self.prefix,
            "pooling": self.pooling,
            "tokenizer_fingerprint": self.tokenizer_fingerprint,
            "outputs_tolerance": self.outputs_tolerance,
            "sanity": [
                {"text": s.text, "pair": s.pair, "outputs": dict(zip(names, map(float, s.outputs), strict=True))}
                for s in self.sanity
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        BundleError
            If a field is missing, unknown or does not fit the others.
        """
        try:
            rest = dict(values)
            contract = LabelContract.from_dict(rest.pop("contract"))
            sanity = tuple(
                SanitySentence(
                    text=entry["text"],
                    pair=entry["pair"],
                    outputs=tuple(float(entry["outputs"][name]) for name in contract.names),
                )
                for entry in rest.pop("sanity")
            )
            return cls(contract=contract, sanity=sanity, **rest)
        except KeyError as error:
            raise BundleError(f"contract.json must hold {error.args[0]!r}, and it is missing.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"contract.json must hold what a bundle states about itself: {error}") from error
