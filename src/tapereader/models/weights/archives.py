"""Take named files out of wheels and zips, and hash what was taken."""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tapereader.core.errors import BundleError

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, *, advice: str) -> None:
    """Refuse a file with another hash than the one stated.

    Raises
    ------
    BundleError
        Naming both hashes.
    """
    got = sha256_of(path)
    if got != expected:
        raise BundleError(f"{path.name} must have the SHA-256 {expected}; got {got}, in {path.parent}. {advice}")


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a wheel or zip after checking that no entry points out of the folder it would be unpacked to.

    We only ever take names from our own tables out of it, so such an entry could do nothing here; but an archive that
    has one was made to harm, and nothing in it deserves trust.

    Raises
    ------
    BundleError
        If the file is no zip, or an entry is absolute, climbs with ``..``, names a drive, or is a link.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"An archive of weights must be a readable zip; {path.name}: {error}.") from error
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename).parts
        outside = entry.filename.startswith("/") or ".." in parts or any(mark in entry.filename for mark in "\\:\0")
        if outside or stat.S_ISLNK(entry.external_attr >> 16):
            archive.close()
            raise BundleError(
                f"An archive of weights must hold plain files inside its own folder; {path.name} has the entry "
                f"{entry.filename!r}. Nothing was unpacked."
            )
    return archive


def take(archive: zipfile.ZipFile, name: str, target: BinaryIO) -> None:
    """Append one entry's bytes to an open file.

    Raises
    ------
    BundleError
        If there is no such entry, or its checksum in the zip does not fit.
    """
    try:
        with archive.open(name) as source:
            shutil.copyfileobj(source, target, _CHUNK)
    except KeyError:
        raise BundleError(f"{_title(archive)} must hold {name!r}; it does not.") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise BundleError(f"{_title(archive)} is damaged at {name!r}: {error}.") from error


def join_parts(parts: Iterable[Path], target: Path) -> None:
    """Write the parts of a split file one after the other."""
    with target.open("wb") as joined:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, joined, _CHUNK)


def _title(archive: zipfile.ZipFile) -> str:
    return Path(archive.filename or "the archive").name
