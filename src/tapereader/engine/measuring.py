"""How fast a bundle answers, and how much memory that takes: measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tapereader.core.errors import BundleError, ConfigError, DataError
from tapereader.engine.backends import BACKEND_NAMES
from tapereader.engine.engine import Engine
from tapereader.engine.texts import refuse_faults, text_faults

#: Texts asked one by one: the 99th percentile of fewer would be their greatest.
LEAST_SINGLE = 200
_SMALL, _LARGE = 32, 1024
#: Batches of 32 in a round, and rounds of which the median counts: a neighbour on the machine spoils one of three.
_SMALL_CALLS, _ROUNDS = 16, 3
#: Answered before anything is timed, so that the runtime has planned its memory.
_WARM_UP = 32
#: The child imports no more than an application that predicts would: what it takes is what that would take.
_CHILD = "from tapereader.engine.measuring import _answer_parent; _answer_parent()"


@dataclass(frozen=True, kw_only=True)
class EngineSpeed:
    """What one engine took on one machine, tokenising included.

    Parameters
    ----------
    bundle_id, backend : what answered
    threads : processor threads, or None for all the process may use
    load_seconds : from opening the bundle to its first answer, its hashes and sanity sentences checked as always
    p50_ms, p95_ms, p99_ms : of one text at a time
    sentences_per_second_32, sentences_per_second_1024 : in calls of so many texts, the median of the rounds
    rss_mib : greatest resident memory of the whole process, interpreter and libraries included
    n_texts : different texts asked
    """

    bundle_id: str
    backend: str
    threads: int | None
    load_seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    sentences_per_second_32: float
    sentences_per_second_1024: float
    rss_mib: float
    n_texts: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def measure_engine(
    bundle_path: Path | str,
    texts: Sequence[str],
    backend: str | None = None,
    threads: int | None = None,
    *,
    pairs: Sequence[str] | None = None,
    rounds: int = _ROUNDS,
    n_single: int | None = None,
) -> EngineSpeed:
    """Measure a bundle on real texts in a fresh process, which no other engine's thread pool or memory disturbs.

    Where there are fewer texts than a call needs, they are asked again in the same order.

    Parameters
    ----------
    bundle_path : the bundle's folder
    texts : N texts of the kind that will be asked; 1,024 or more give every call texts of its own
    backend : as :class:`tapereader.engine.Engine` takes it
    threads : processor threads, or None for all this process may use
    pairs : N second texts, exactly where the bundle asks about one
    rounds : how often many texts are asked; who measures in several processes needs one in each
    n_single : texts asked one by one; None for all up to 1,024, and 200 at least

    Raises
    ------
    DataError
        If there is no text, or one is unfit to be scored.
    ConfigError
        If the process could not be asked this way.
    BundleError
        If the engine could not be opened or did not answer.
    """
    if not len(texts):
        raise DataError("There must be at least one text to measure an engine on; got none.")
    refuse_faults(text_faults(texts, pairs))
    if threads is not None and threads < 1:
        raise ConfigError(f"`threads` must be at least 1, or left out for all; got {threads!r}.")
    if backend is not None and backend not in BACKEND_NAMES:
        raise ConfigError(f"`backend` must be one of {', '.join(BACKEND_NAMES)}; got {backend!r}.")
    asked = {
        "bundle": str(bundle_path), "texts": list(texts), "pairs": None if pairs is None else list(pairs),
        "backend": backend, "threads": threads, "rounds": rounds,
        "n_single": max(LEAST_SINGLE, min(len(texts), _LARGE)) if n_single is None else n_single,
    }  # fmt: skip
    done = subprocess.run(  # noqa: S603 - this interpreter, a fixed program, no shell
        [sys.executable, "-c", _CHILD], input=json.dumps(asked), capture_output=True, text=True, check=False,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false" if threads == 1 else "true"},
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise BundleError(
            f"The engine must open {str(bundle_path)!r} on {backend or 'its backend'} to be measured; "
            f"its process says: {said[0]}"
        )
    return EngineSpeed(**json.loads(done.stdout))


def median_speed(speeds: Sequence[EngineSpeed]) -> EngineSpeed:
    """Return the median of each number over measurements of one engine.

    Examples
    --------
    >>> one = EngineSpeed(
    ...     bundle_id="7f3a01", backend="onnxruntime", threads=1, load_seconds=0.2, p50_ms=2.0, p95_ms=3.0, p99_ms=4.0,
    ...     sentences_per_second_32=300.0, sentences_per_second_1024=400.0, rss_mib=150.0, n_texts=200,
    ... )
    >>> median_speed([one, replace(one, p50_ms=9.0), replace(one, p50_ms=3.0)]).p50_ms
    3.0
    """
    named = [name for name, value in speeds[0].to_dict().items() if isinstance(value, float)]
    medians: dict[str, Any] = {name: float(np.median([getattr(speed, name) for speed in speeds])) for name in named}
    return replace(speeds[0], **medians)


def _answer_parent() -> None:
    """Measure what stdin asks, and write the numbers to stdout."""
    asked = json.load(sys.stdin)
    sys.stdout.write(json.dumps(_measure(**asked).to_dict()))


def _measure(
    *,
    bundle: str,
    texts: list[str],
    pairs: list[str] | None,
    backend: str | None,
    threads: int | None,
    rounds: int,
    n_single: int,
) -> EngineSpeed:
    def ask(start: int, count: int) -> None:
        positions = [(start + n) % len(texts) for n in range(count)]
        engine.predict(
            [texts[position] for position in positions],
            None if pairs is None else [pairs[position] for position in positions],
        )

    started = time.perf_counter()
    engine = Engine(bundle, backend=backend, threads=threads)
    ask(0, 1)
    loaded = time.perf_counter() - started
    for position in range(_WARM_UP):
        ask(position, 1)
    single = [_seconds(ask, position, 1) for position in range(n_single)]
    small, large = [], []
    for round_number in range(rounds):
        start = round_number * _LARGE
        calls = [_seconds(ask, start + call * _SMALL, _SMALL) for call in range(_SMALL_CALLS)]
        small.append(_SMALL_CALLS * _SMALL / sum(calls))
        large.append(_LARGE / _seconds(ask, start, _LARGE))
    p50, p95, p99 = (float(value) for value in np.percentile(np.asarray(single) * 1000, [50, 95, 99]))
    return EngineSpeed(
        bundle_id=engine.bundle.id, backend=engine.backend, threads=threads, load_seconds=loaded,
        p50_ms=p50, p95_ms=p95, p99_ms=p99,
        sentences_per_second_32=float(np.median(small)), sentences_per_second_1024=float(np.median(large)),
        rss_mib=_peak_mib(), n_texts=len(texts),
    )  # fmt: skip


def _seconds(ask: Callable[[int, int], None], start: int, count: int) -> float:
    began = time.perf_counter()
    ask(start, count)
    return time.perf_counter() - began


def _peak_mib() -> float:
    # Not `getrusage`: its peak holds that of the parent, out of which a child is made.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BundleError("The peak of resident memory must stand in /proc/self/status as VmHWM; got no such line.")
