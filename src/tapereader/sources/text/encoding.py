"""Bytes to text: which encoding a file is in, and what to say when it is not the one expected."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from tapereader.core.errors import ConfigError, DataError, MissingDataError

#: Byte-order marks, longest first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PROBE_BYTES = 65_536


def check_file(path: Path) -> None:
    """Refuse a path that is not a file with something in it.

    Raises
    ------
    MissingDataError
        If nothing is there.
    DataError
        If it is a folder, empty, or not readable.
    """
    if not os.path.exists(path):  # unlike Path.exists, False for a name too long to be one
        raise MissingDataError(
            f"A text file must exist; got {str(path)!r:.200}. Check the path; no such file is there."
        )
    if path.is_dir():
        raise DataError(f"A text file must be one file; got the folder {str(path)!r}. Name a file inside it.")
    try:
        with path.open("rb") as handle:
            if not handle.read(1):
                raise DataError(f"A text file must have rows; got {str(path)!r} with 0 bytes.")
    except OSError as error:
        raise DataError(f"A text file must be readable; got {str(path)!r}: {error.strerror}.") from error


def check_encoding(encoding: str | None) -> None:
    """Refuse a name that is no text encoding.

    Raises
    ------
    ConfigError
        If Python knows no such encoding.
    """
    try:
        "a".encode(encoding or "utf-8")
    except LookupError:
        raise ConfigError(
            f"`encoding` must be one Python knows, such as utf-8, utf-16 or gb18030; got {encoding!r}."
        ) from None


def encoding_of(path: Path, encoding: str | None) -> str:
    """Return the encoding to read with: the one asked for, the byte-order mark's, or UTF-8.

    A byte-order mark is a statement by the file itself, so it is followed; without one nothing is guessed, since a
    wrong guess reads as words that nobody wrote.
    """
    check_encoding(encoding)
    with path.open("rb") as handle:
        head = handle.read(4)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        return marked or "utf-8"
    # Asked for by its plain name, the mark would arrive as a character of the first column's name.
    plain = codecs.lookup(encoding).name
    return "utf-8-sig" if plain == "utf-8" and marked == "utf-8-sig" else encoding


@contextmanager
def open_text(path: Path, encoding: str | None, *, newline: str | None = None) -> Iterator[Iterator[str]]:
    """Open a file as checked lines of text.

    Parameters
    ----------
    path : an existing file
    encoding : or None for the byte-order mark's, else UTF-8
    newline : as in :func:`open`; ``""`` for CSV, whose cells may hold line breaks

    Raises
    ------
    DataError
        While reading, at the first byte that is not in the encoding or the first NUL.
    """
    chosen = encoding_of(path, encoding)
    with path.open(encoding=chosen, newline=newline) as handle:
        try:
            yield checked_lines(handle, str(path))
        except UnicodeError as error:
            raise _undecodable(path, chosen, asked=encoding is not None) from error


def checked_lines(handle: TextIO | Iterator[str], name: str) -> Iterator[str]:
    """Yield lines, refusing NUL characters: they mean a binary file or UTF-16 without its mark.

    Raises
    ------
    DataError
        At the first line with a NUL.
    """
    for number, line in enumerate(handle, start=1):
        if "\0" in line:
            wide = line.count("\0") * 3 >= len(line)
            hint = (
                " It looks like UTF-16 without a byte-order mark: give `encoding='utf-16-le'` (`--encoding utf-16-le`)."
                if wide
                else ""
            )
            raise DataError(f"A text file must hold no NUL bytes; got one in line {number} of {name!r}.{hint}")
        yield line


def likely_encoding(sample: bytes) -> str:
    """Name the encoding that bytes which are not UTF-8 are most likely in.

    Chinese text in GB18030 is nearly all pairs of high bytes that decode to ideographs; Western text in a one-byte
    encoding has single high bytes between ASCII letters, which GB18030 refuses or turns into rare signs.

    Parameters
    ----------
    sample : bytes from the file, cut anywhere

    Returns
    -------
    a name Python knows

    Examples
    --------
    >>> likely_encoding("营业利润同比下降".encode("gbk")), likely_encoding("Zürich rückläufig".encode("latin-1"))
    ('gb18030', 'cp1252')
    """
    if sample.count(0) * 3 >= len(sample) > 0:
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    decoder = codecs.getincrementaldecoder("gb18030")()
    try:
        wide = [sign for sign in decoder.decode(sample) if ord(sign) > 127]
    except UnicodeDecodeError:
        wide = []
    common = sum("\u4e00" <= sign <= "\u9fff" or "\u3000" <= sign <= "\u303f" or sign >= "\uff00" for sign in wide)
    # Two bytes an ideograph: a one-byte encoding that happens to decode gives few and isolated ones.
    if wide and common >= 0.8 * len(wide) and _runs_of_two(sample):
        return "gb18030"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "iso-8859-1"
    return "cp1252"


def _runs_of_two(sample: bytes) -> bool:
    # Share of high bytes that stand next to another high byte.
    high = [index for index, byte in enumerate(sample) if byte > 127]
    paired = sum(1 for a, b in pairwise(high) if b == a + 1)
    return paired >= 0.5 * max(1, len(high) - 1)


def _undecodable(path: Path, encoding: str, *, asked: bool) -> DataError:
    # The text layer reports places inside its buffer; the place in the file is found by reading once more.
    decoder = codecs.getincrementaldecoder(encoding)()
    line, sample = 1, b""
    with path.open("rb") as handle:
        while True:
            raw = handle.readline()
            try:
                decoder.decode(raw, final=not raw)
            except UnicodeError:
                sample = raw + handle.read(_PROBE_BYTES)
                break
            if not raw:
                break
            line += 1
    place = f"line {line} of {str(path)!r}"
    label = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8"}.get(encoding, encoding)
    if asked:
        return DataError(f"Text must be in the `encoding` that was given; got bytes in {place} that are not {label}.")
    likely = likely_encoding(sample)
    return DataError(
        f"Text must be UTF-8, or start with a byte-order mark; got other bytes in {place}. "
        f"They look like {likely}: give `encoding={likely!r}` (`--encoding {likely}`), or save the file as UTF-8."
    )
