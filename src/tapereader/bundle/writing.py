"""Writing a bundle so that it appears whole, under its final name, or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from tapereader.bundle.calibration import Calibration
from tapereader.bundle.facts import ContractFacts
from tapereader.bundle.folder import (
    CALIBRATION,
    CONTRACT,
    ENSEMBLE,
    FORMAT,
    MANIFEST,
    TOKENIZER,
    Bundle,
    bundle_id,
    file_hash,
    list_files,
)
from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.core.errors import ConfigError, DataError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Native writers (safetensors, torch) lose the error number and keep the operating system's words.
# torch counts the bytes it could write and says which number it had hoped for.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "unexpected pos")


def write_bundle(
    out: Path | str,
    *,
    contract_facts: ContractFacts,
    calibration: Calibration,
    manifest: dict[str, Any],
    fill: Callable[[Path], None],
    check: Callable[[Bundle], object] | None = None,
    replace: bool = False,
) -> Bundle:
    """Write a bundle beside ``out``, check it, and rename it into place in one step.

    Everything is on the disk before the rename, so that neither ``kill -9`` nor a power cut leaves half a bundle under
    ``out``. What an interrupted run left beside it is removed by the next one.

    Parameters
    ----------
    out : the folder to make; must not exist, or be empty
    contract_facts, calibration : become ``contract.json`` and ``calibration.json``
    manifest : how the model was made, plain JSON types
    fill : writes everything else (``model/``, ``onnx/``, the card ...) into the folder it is given
    check : called with the finished bundle before it is renamed; what it raises stops the writing.
        ``check=Engine`` runs the sanity sentences
    replace : put the new bundle in the place of an older one; the older one stays until the new one is complete

    Returns
    -------
    the bundle, loaded from ``out``

    Raises
    ------
    ConfigError
        If ``out`` is taken, or ``manifest`` is not plain JSON.
    DataError
        If the folder cannot be written or the disk is full; nothing is left behind.
    BundleError
        If what ``fill`` wrote does not fit together.
    """
    out = Path(out).resolve()
    refuse_taken(out, replace)
    with reported_writing(out), _draft(out) as draft:
        fill(draft)
        fingerprint = contract_facts.tokenizer_fingerprint or _fingerprint(draft, contract_facts)
        facts = replaced(contract_facts, tokenizer_fingerprint=fingerprint)
        _write_json(draft / CONTRACT, facts.to_dict())
        _write_json(draft / CALIBRATION, calibration.to_dict())
        files = {name: file_hash(draft / name) for name in list_files(draft)}
        stated = {"format": FORMAT, "bundle_id": bundle_id(files, manifest), "files": files, "manifest": manifest}
        _write_json(draft / MANIFEST, stated)
        bundle = Bundle.load(draft, verify=False)
        if check is not None:
            check(bundle)
        _sync(draft)
        refuse_taken(out, replace)
        _place(draft, out)
    return _moved(bundle, draft, out)


def _moved(bundle: Bundle, old: Path, new: Path) -> Bundle:
    members = tuple(_moved(member, old, new) for member in bundle.members)
    return replaced(bundle, path=new / bundle.path.relative_to(old.resolve()), members=members)


def _fingerprint(draft: Path, facts: ContractFacts) -> str:
    if (draft / ENSEMBLE).is_file():  # its members have their own
        return ""
    return ChunkingTokenizer(draft / TOKENIZER, max_length=facts.max_length, prefix=facts.prefix).fingerprint


def refuse_taken(out: Path, replace: bool) -> None:
    """Refuse a place that holds something a bundle may not replace; long work asks before it begins.

    Raises
    ------
    ConfigError
        If ``out`` is a file, holds files that are not to be replaced, or holds something other than a bundle.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"`out` must be a folder to make; got {str(out)!r}, which is a file.")
    if not any(out.iterdir()):
        return
    if not replace:
        raise ConfigError(
            f"`out` must not exist yet; got {str(out)!r}, which holds files. Give another name, or ask to replace it."
        )
    if not (out / MANIFEST).is_file():
        raise ConfigError(
            f"Only a bundle can be replaced; {str(out)!r} holds files and no {MANIFEST}. Give another name."
        )


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``out``, locked while we live, and remove it whatever happens."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    draft = out.parent / f".{out.name}.{secrets.token_hex(4)}.tmp"
    draft.mkdir()
    handle = os.open(draft, os.O_RDONLY)
    try:
        _lock(handle)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(handle)


def _sweep(out: Path) -> None:
    # A draft whose lock is free belongs to a run that was killed: a living one holds its lock until the end.
    for left in out.parent.glob(f".{out.name}.????????.tmp"):
        handle = os.open(left, os.O_RDONLY)
        try:
            if _lock(handle):
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by a living run, or a file system without locks: leave the folder alone
        return False
    return True


def _write_json(path: Path, value: dict[str, Any]) -> None:
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path.name} must be made of plain, finite JSON values: {error}.") from error
    path.write_text(text + "\n", encoding="utf-8")


def _sync(root: Path) -> None:
    for folder, _, names in os.walk(root, topdown=False):
        for path in (*(Path(folder) / name for name in names), Path(folder)):
            _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _place(draft: Path, out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not _exchange(draft, out):
            # No exchange on this file system: two renames, the first undone if the second fails.
            old = draft.with_name(draft.name.replace(".tmp", ".old.tmp"))
            out.rename(old)
            try:
                draft.rename(out)
            except OSError:
                old.rename(out)
                raise
            shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(out)
    _sync_one(out.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step (Linux ``renameat2``); False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    at_cwd, exchange = -100, 2
    return bool(renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange) == 0)


@contextmanager
def reported_writing(out: Path) -> Iterator[None]:
    """Turn what the operating system says of writing ``out`` into a message; anything else passes through.

    Raises
    ------
    DataError
        If a folder cannot be written to, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise _write_error(out, error) from error
    except Exception as error:
        if any(words in str(error) for words in _FULL_WORDS):
            raise _full_error(out) from error
        raise


def _write_error(out: Path, error: OSError) -> DataError:
    if error.errno in _FULL:
        return _full_error(out)
    if error.errno in _DENIED:
        return DataError(
            f"The folder {str(out.parent)!r} must be writable to make the bundle {out.name!r}; got "
            f"{error.strerror!r}. Nothing was written: choose another `out`."
        )
    return DataError(f"The bundle {str(out)!r} could not be written: {error}. Nothing was left behind.")


def _full_error(out: Path) -> DataError:
    return DataError(
        f"The disk must have room for the bundle {str(out)!r}; it is full. Nothing was left behind: free some space, "
        "or choose another `out`."
    )
