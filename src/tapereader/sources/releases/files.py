"""The files of an authors' release, wherever they lie: in a folder, in a zip archive, or one by one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from tapereader.core.errors import DataError, MissingDataError

#: No file of these releases comes near; an archive that claims more is not one of them.
_GREATEST_BYTES = 2**30


class ReleaseFiles:
    """What was downloaded, read file by file, each with its SHA-256 noted.

    Parameters
    ----------
    path : a folder (searched with its sub-folders), a .zip archive, or one file (its neighbours are seen too)

    Raises
    ------
    MissingDataError
        If nothing is there.
    DataError
        If an archive is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256: dict[str, str] = {}
        self._archive: zipfile.ZipFile | None = None
        if not path.exists():
            raise MissingDataError(
                f"A release must be a folder, a zip archive or a file; got {str(path)!r}: not there."
            )
        if path.is_dir():
            self._names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
            self._root = path
        elif path.suffix.lower() == ".zip":
            try:
                self._archive = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise DataError(f"A release archive must be a whole zip file; got {str(path)!r}: {error}.") from error
            names = (info.filename for info in self._archive.infolist() if not info.is_dir())
            # macOS adds a shadow of every file.
            self._names = sorted(name for name in names if not name.startswith("__MACOSX/"))
            self._root = path
        else:
            self._names = sorted(file.name for file in path.parent.iterdir() if file.is_file())
            self._root = path.parent

    def read(self, *endings: str) -> bytes:
        """Return the one file whose path ends so; the first ending that any file has is taken.

        Raises
        ------
        MissingDataError
            If there is none.
        DataError
            If there are several, or it cannot be read.
        """
        for ending in endings:
            parts = PurePosixPath(ending.lower()).parts
            fits = [name for name in self._names if PurePosixPath(name.lower()).parts[-len(parts) :] == parts]
            if len(fits) > 1:
                raise DataError(
                    f"The release must have one {ending}; got {len(fits)} below {str(self.path)!r}: "
                    f"{', '.join(fits[:3])}. Name the folder of the one that is meant."
                )
            if fits:
                return self._bytes(fits[0])
        seen = ", ".join(self._names[:5]) + (", ..." if len(self._names) > 5 else "") or "nothing"
        raise MissingDataError(
            f"The release must have the file {endings[0]}; got {seen} at {str(self.path)!r}. "
            "Name the folder or archive as its authors publish it."
        )

    def read_single(self, *suffixes: str) -> bytes:
        """Return the file that was named itself, whatever its name, or the only one with such a suffix.

        Raises
        ------
        MissingDataError, DataError
            If it cannot be told which file is meant.
        """
        if self.path.is_file() and self._archive is None:
            return self._bytes(self.path.name)
        fits = [name for name in self._names if name.lower().endswith(suffixes)]
        if len(fits) != 1:
            raise DataError(
                f"The release must be one {' or '.join(suffixes)} file; got {len(fits)} at {str(self.path)!r}. "
                "Name the file itself."
            )
        return self._bytes(fits[0])

    def _bytes(self, name: str) -> bytes:
        try:
            if self._archive is not None:
                if self._archive.getinfo(name).file_size > _GREATEST_BYTES:
                    raise DataError(f"A file of a release must be below 1 GiB; {name} in {str(self.path)!r} is not.")
                content = self._archive.read(name)
            else:
                content = (self._root / name).read_bytes()
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"A file of a release must be readable; got {name} of {str(self.path)!r}: {error}."
            ) from error
        self.sha256[name] = hashlib.sha256(content).hexdigest()
        return content


def decode(content: bytes, name: str, encoding: str = "utf-8-sig") -> str:
    """Return the text of a release file.

    Raises
    ------
    DataError
        If it is in another encoding than its authors use.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{name} must be {encoding} as published; got other bytes at {error.start:,}.") from error


def json_of(content: bytes, name: str) -> Any:
    """Return the value of a JSON file.

    Raises
    ------
    DataError
        If it is damaged.
    """
    try:
        return json.loads(decode(content, name))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name} must be valid JSON; got {error}. Download it again.") from error


def lists_of(content: bytes, name: str, width: int) -> list[list[Any]]:
    """Return the rows of a JSON file that is a list of lists of one width.

    Raises
    ------
    DataError
        With the first row that is not.
    """
    rows = json_of(content, name)
    if not isinstance(rows, list):
        raise DataError(f"{name} must be a list of lists; got {type(rows).__name__}.")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != width:
            raise DataError(f"Every row of {name} must be a list of {width}; got {row!r:.60} in row {number}.")
    return rows


def table_of(text: str, name: str, columns: tuple[str, ...], delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a delimited file that has at least these columns, names folded to lower case.

    Raises
    ------
    DataError
        If a column is missing or a row is ragged.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [title.strip().lower() for title in next(reader, [])]
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(f"{name} must have the column {missing[0]!r}; got {', '.join(header) or 'an empty file'}.")
    rows = []
    for number, cells in enumerate((cells for cells in reader if cells), start=1):
        if len(cells) != len(header):
            raise DataError(f"Every row of {name} must have {len(header)} cells; got {len(cells)} in row {number}.")
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def lines_of(text: str) -> list[str]:
    """Return the lines that hold something.

    Only line feeds end a line: ``str.splitlines`` would also cut at the NEL and other signs that stand inside old
    one-byte text.
    """
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def known(value: Any, names: dict[Any, str], name: str, row: int) -> str:
    """Return the label name of a published code.

    Raises
    ------
    DataError
        If the authors' release has no such code.
    """
    try:
        return names[value]
    except (KeyError, TypeError):
        codes = ", ".join(repr(code) for code in names)
        raise DataError(f"Every label of {name} must be one of {codes}; got {value!r} in row {row}.") from None
