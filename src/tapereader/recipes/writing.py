"""Writing one file so that it appears whole, or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tapereader.core.errors import DataError


def write_text(path: Path, text: str) -> None:
    """Write beside the name and rename into place.

    Raises
    ------
    DataError
        If the file cannot be written; nothing is left behind.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the name and rename into place.

    Raises
    ------
    DataError
        If the file cannot be written; nothing is left behind.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DataError(f"{str(path)!r} could not be written: {error.strerror or error}. Nothing was left.") from error
