"""The frozen records that stages hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text from the outside world, with the first instant it could have been used.

    Parameters
    ----------
    text : the words
    pair : a second text the question is about (the named company), or None
    known_at : UTC instant, or None for text without a date
    source : where it came from, in words
    row : position in that source, counted from 1
    """

    text: str
    pair: str | None = None
    known_at: datetime | None = None
    source: str = ""
    row: int | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one bundle said about one text.

    Parameters
    ----------
    text_hash : SHA-256 of the text (and pair), 16 hex digits
    bundle_id : the bundle that answered
    label : the answer's name; names joined by ``|`` for multi-label; empty for regression
    probabilities : one per contract name, in contract order, calibrated; empty for regression
    value : the number, for regression; else None
    prediction_set : labels that the promised coverage cannot exclude; empty where not calibrated
    abstained : True where the model's stated rule says a person should look
    """

    text_hash: str
    bundle_id: str
    label: str
    probabilities: tuple[float, ...]
    value: float | None = None
    prediction_set: tuple[str, ...] = ()
    abstained: bool = False
