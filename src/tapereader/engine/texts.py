"""What a text must be to get an answer, and the name its answer is stored under."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tapereader.core.errors import DataError


def text_hash(text: str, pair: str | None = None) -> str:
    """Return the name under which a prediction for this text is stored: SHA-256, 16 hex digits.

    Examples
    --------
    >>> text_hash("Profit rose.") == text_hash("Profit rose.", "ACME")
    False
    """
    payload = text if pair is None else f"{text}\x1f{pair}"
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


def text_faults(texts: Sequence[object], pairs: Sequence[object] | None = None) -> list[str | None]:
    """Return what makes each text unfit to be scored, in words, or None where it is fit.

    Examples
    --------
    >>> text_faults(["Profit rose.", " ", None])
    [None, 'the text is empty', 'the text is missing']
    """
    faults = [_fault("text", text) for text in texts]
    if pairs is None:
        return faults
    return [fault or _fault("pair", pair) for fault, pair in zip(faults, pairs, strict=True)]


def refuse_faults(faults: list[str | None]) -> None:
    """Refuse unfit texts, naming the first row and how many there are.

    Raises
    ------
    DataError
        If any entry is not None.
    """
    rows = [(row, fault) for row, fault in enumerate(faults, start=1) if fault is not None]
    if rows:
        row, fault = rows[0]
        more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        raise DataError(
            f"Every text must have words in it; got row {row}, where {fault}{more}. Leave such rows out, or pass "
            "`skip_empty=True` to `predict`."
        )


def _fault(role: str, value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return f"the {role} is missing"
    if not isinstance(value, str):
        return f"the {role} is {repr(value)[:60]}, not words"
    if not value.strip():
        return f"the {role} is empty"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"the {role} holds half a surrogate pair, which is no character"
    return None
