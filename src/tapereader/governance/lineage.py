"""What made an artefact: the manifest that every run leaves behind."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from tapereader.core.errors import DataError

#: Libraries whose version can change a result.
_LIBRARIES = (
    "accelerate",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "peft",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)
#: Processor features that decide which kernels run, and so the last digits and the speed.
_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "avx_vnni_int8",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
)
_ABSOLUTE = re.compile(r"^(?:/|~/|~$|[A-Za-z]:[\\/]|\\\\)")


@dataclass(frozen=True, kw_only=True)
class RunManifest:
    """Everything needed to say how an artefact came to be, and to make it again.

    It holds plain JSON values and no absolute path: whatever path a config carries is cut to its last part, since a
    manifest travels and a machine's folders do not.

    Parameters
    ----------
    kind : what ran: ``train``, ``pretrain``, ``search`` ...
    config_id, config : of the run
    data_ids : data set name to content id
    split_ids : split name (``train``, ``held_out``, ``test`` ...) to id
    seed : of the run
    code : ``version`` of the package, ``commit`` and ``modified`` where it ran from a checkout (else None)
    libraries : name to version
    hardware : ``processor``, ``cores``, ``flags``, ``memory_gib``, ``system``
    started_at, finished_at : UTC, ISO 8601
    minutes : between the two
    parents : what it was made from: ``kind`` (``backbone``, ``bundle``), ``name``, ``sha256``, ``cutoff`` ...
    licences : of data and parents: ``of``, ``name``, ``commercial_use``, ``source``
    non_commercial : True where any of them forbids commercial use
    synthetic : True where it learnt from text made by a program

    Raises
    ------
    DataError
        If a time is not UTC, or the run ends before it starts.
    """

    kind: str
    config_id: str
    config: Mapping[str, Any]
    data_ids: Mapping[str, str]
    split_ids: Mapping[str, str]
    seed: int
    code: Mapping[str, Any]
    libraries: Mapping[str, str]
    hardware: Mapping[str, Any]
    started_at: str
    finished_at: str
    minutes: float = field(default=-1.0)
    parents: tuple[Mapping[str, Any], ...] = ()
    licences: tuple[Mapping[str, Any], ...] = ()
    non_commercial: bool = False
    synthetic: bool = False

    def __post_init__(self) -> None:
        started, finished = _instant("started_at", self.started_at), _instant("finished_at", self.finished_at)
        minutes = (finished - started).total_seconds() / 60
        if minutes < 0:
            raise DataError(f"`finished_at` must not be before `started_at`; got {self.finished_at!r}.")
        object.__setattr__(self, "minutes", round(minutes, 3))
        forbids = any(licence.get("commercial_use") is False for licence in self.licences)
        object.__setattr__(self, "non_commercial", self.non_commercial or forbids)
        for name in ("config", "parents", "licences", "data_ids", "split_ids", "code", "hardware"):
            object.__setattr__(self, name, without_paths(getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        DataError
            If a field is missing or unknown.
        """
        try:
            read = dict(values)
            read["parents"], read["licences"] = tuple(read["parents"]), tuple(read["licences"])
            return cls(**read)
        except (KeyError, TypeError) as error:
            raise DataError(f"A run manifest must hold exactly the fields of its version; {error}.") from error


def collect_environment() -> dict[str, Any]:
    """Return the fields of a manifest that the machine knows: ``code``, ``libraries`` and ``hardware``.

    Examples
    --------
    >>> sorted(collect_environment())
    ['code', 'hardware', 'libraries']
    """
    libraries = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"code": _code(), "libraries": libraries, "hardware": collect_hardware()}


def collect_hardware() -> dict[str, Any]:
    """Return what the machine is: ``processor``, ``cores`` this process may use, ``flags``, ``memory_gib``, ``system``.

    The flags are those of the processor's instruction sets that decide how fast a network runs.
    """
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    flags = set(facts.get("flags", "").split())
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": allowed,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def without_paths(value: Any) -> Any:
    """Return plain JSON values with every absolute path cut to its last part.

    Examples
    --------
    >>> without_paths({"source": "/home/ann/news.csv", "horizon": "5/20"})
    {'source': 'news.csv', 'horizon': '5/20'}
    """
    if isinstance(value, Mapping):
        return {str(key): without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(without_paths(inner) for inner in value)
    if isinstance(value, Path):
        return without_paths(str(value)) if value.is_absolute() else value.as_posix()
    if isinstance(value, str) and _ABSOLUTE.match(value) and "\n" not in value:
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1] or "root"
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _instant(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise DataError(f"`{name}` must be an ISO 8601 instant in UTC; got {text!r}.") from None
    offset = instant.utcoffset()
    if offset is None or offset.total_seconds() != 0:
        raise DataError(f"`{name}` must be an ISO 8601 instant in UTC; got {text!r}.")
    return instant


def _code() -> dict[str, Any]:
    try:
        release = version("tapereader")
    except PackageNotFoundError:
        release = "unknown"
    found: dict[str, Any] = {"version": release, "commit": None, "modified": None}
    here = Path(__file__)
    # A package installed inside somebody else's checkout is not part of that checkout: it must be tracked there.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return found
    found["commit"] = _git(here.parent, "rev-parse", "HEAD")
    changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no", ":/src")
    found["modified"] = None if changed is None else bool(changed)
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell, program found on the path
            [program, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None
