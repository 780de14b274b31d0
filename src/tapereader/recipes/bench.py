"""``bench``: every backend and every variant of a bundle on one machine, each in processes of its own, in turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tapereader.bundle import Bundle
from tapereader.core.errors import ConfigError, DataError, TapereaderError
from tapereader.engine import BACKEND_NAMES, EngineSpeed, measure_engine, text_faults
from tapereader.engine.backends import network_path, thread_count, usable_backends
from tapereader.engine.measuring import LEAST_SINGLE
from tapereader.engine.peak import flops_a_token, matrix_peak, precision_of
from tapereader.governance import collect_hardware
from tapereader.sources.text import stream_texts

#: Texts that are read from a file: enough for every call to have its own.
MOST_TEXTS = 2048

#: Told what is measured now, how many measurements are done, and of how many.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A number over the rounds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class BenchLine:
    """What one backend does with one bundle.

    Parameters
    ----------
    bundle : name of the folder
    bundle_id, backend : what answered
    precision : of the products: ``float32``, ``bfloat16`` or ``int8``
    sentences_per_second_32, sentences_per_second_1024 : in calls of so many texts
    p50_ms, p95_ms, p99_ms : of one text at a time
    load_seconds : from opening to the first answer
    rss_mib : greatest resident memory of the process
    size_mib, network_mib : the bundle on disk, and the network that the engine reads
    share_of_peak : products needed for 1,024 texts in a call, padding not counted, over the machine's peak in that
        precision; None where the peak or the network's weights are not known
    """

    bundle: str
    bundle_id: str
    backend: str
    precision: str
    sentences_per_second_32: Spread
    sentences_per_second_1024: Spread
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    load_seconds: Spread
    rss_mib: Spread
    size_mib: float
    network_mib: float
    share_of_peak: float | None


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What was measured, and on what.

    Parameters
    ----------
    lines : one for each bundle and backend that answered
    skipped : what did not answer, and why
    texts : where the texts came from
    n_texts, tokens_a_text : how many different ones, and their mean length
    threads, rounds : processor threads of each engine, and processes it was measured in
    peak_gflops : greatest speed of large products by precision
    hardware : the machine
    """

    lines: tuple[BenchLine, ...]
    skipped: tuple[str, ...]
    texts: str
    n_texts: int
    tokens_a_text: float
    threads: int
    rounds: int
    peak_gflops: dict[str, float]
    hardware: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def bench(
    bundles: Sequence[Path | str],
    *,
    texts: Path | str | None = None,
    text_column: str | None = None,
    pair_column: str | None = None,
    encoding: str | None = None,
    backends: Sequence[str] | None = None,
    threads: int | None = None,
    rounds: int = 3,
    report: Report | None = None,
) -> BenchResult:
    """Measure what opening, single texts and batches take, for each backend and bundle.

    A round opens each of them once, in a fresh process, one after the other; the next round begins with the next one.
    So a busy moment of the machine hits all alike, and no engine meets the thread pool or memory of another.

    Parameters
    ----------
    bundles : the bundle's folder, and those of its variants, which are asked the same texts
    texts : a file of texts as :func:`tapereader.recipes.predict.predict` reads it, of which the first 2,048 are taken;
        None repeats the sanity sentences of the first bundle
    text_column, pair_column, encoding : of the file
    backends : names; None for all that are installed, at home on this processor and have a network in a bundle
    threads : processor threads, or None for all this process may use
    rounds : processes each engine is measured in
    report : told what is being measured

    Raises
    ------
    ConfigError
        If no bundle is given, or a backend, the threads or the rounds cannot be.
    DataError
        If there is no text to ask.
    BundleError
        If a bundle is damaged.
    """
    _check_request(bundles, backends, rounds)
    used = thread_count(threads)
    opened = [Bundle.load(path) for path in bundles]
    origin, asked, pairs = _texts(opened[0], texts, text_column, pair_column, encoding)
    hardware = collect_hardware()
    engines = [
        (bundle, name)
        for bundle in opened
        for name in (backends if backends is not None else usable_backends(bundle, hardware["flags"]))
    ]
    tell = report or (lambda _what, _done, _of: None)
    steps = rounds * len(engines) + 1
    tell("matrix peak", 0, steps)
    peak = matrix_peak(threads=used)
    found: dict[int, list[EngineSpeed]] = {number: [] for number in range(len(engines))}
    faults: dict[int, str] = {}
    done = 1
    for turn in range(rounds):
        for number in _rotated(range(len(engines)), turn):
            bundle, name = engines[number]
            tell(f"{bundle.path.name} on {name}", done, steps)
            done += 1
            if number in faults:
                continue
            try:
                speed = measure_engine(
                    bundle.path, asked, name, used, pairs=pairs if bundle.has_pair else None, rounds=1,
                    n_single=LEAST_SINGLE,
                )  # fmt: skip
                found[number].append(speed)
            except TapereaderError as error:
                faults[number] = f"{bundle.path.name} on {name}: {error}"
    tokens = _tokens_a_text(opened[0], asked, pairs)
    return BenchResult(
        lines=tuple(
            _line(*engines[number], speeds, tokens, peak) for number, speeds in found.items() if number not in faults
        ),
        skipped=tuple(faults.values()),
        texts=origin,
        n_texts=len(set(asked)),
        tokens_a_text=round(tokens, 1),
        threads=used,
        rounds=rounds,
        peak_gflops=peak,
        hardware=hardware,
    )


def _check_request(bundles: Sequence[Path | str], backends: Sequence[str] | None, rounds: int) -> None:
    if not bundles:
        raise ConfigError("There must be at least one bundle to measure; got none.")
    if rounds < 1:
        raise ConfigError(f"`rounds` must be at least 1; got {rounds!r}.")
    unknown = [name for name in backends or () if name not in BACKEND_NAMES]
    if unknown or (backends is not None and not backends):
        raise ConfigError(f"`backends` must be some of {', '.join(BACKEND_NAMES)}; got {list(backends or ())!r}.")


def _texts(
    bundle: Bundle, source: Path | str | None, text: str | None, pair: str | None, encoding: str | None
) -> tuple[str, list[str], list[str] | None]:
    """Return where the texts came from, the texts, and their second texts where the bundle asks about some."""
    if source is None:
        sentences = bundle.facts.sanity
        if not sentences:
            raise DataError(
                f"There must be texts to ask; got no file, and bundle {bundle.id!r} keeps no sanity sentences. Give a "
                "file of texts."
            )
        pairs = [sentence.pair or "" for sentence in sentences] if bundle.has_pair else None
        return "sanity sentences of the bundle", [sentence.text for sentence in sentences], pairs
    second = (pair or "pair") if bundle.has_pair else None
    found: list[tuple[str, str | None]] = []
    for frame in stream_texts(source, text=text, pair=second, encoding=encoding):
        seconds: Sequence[str | None] = frame["pair"].tolist() if second is not None else [None] * len(frame)
        rows = list(zip(frame["text"].tolist(), seconds, strict=True))
        faults = text_faults([first for first, _ in rows], None if second is None else [other for _, other in rows])
        found += [row for row, fault in zip(rows, faults, strict=True) if fault is None]
        if len(found) >= MOST_TEXTS:
            break
    if not found:
        raise DataError(f"There must be texts to ask; {Path(source).name!r} has none. Give another file.")
    found = found[:MOST_TEXTS]
    return Path(source).name, [first for first, _ in found], (
        None if second is None else [other or "" for _, other in found]
    )  # fmt: skip


def _rotated(numbers: Sequence[int], turn: int) -> list[int]:
    first = turn % len(numbers)
    return [*numbers[first:], *numbers[:first]]


def _tokens_a_text(bundle: Bundle, texts: Sequence[str], pairs: Sequence[str] | None) -> float:
    reader = (bundle.members or (bundle,))[0].tokenizer()
    chunks = reader.encode(list(texts), None if pairs is None else list(pairs))
    return sum(len(chunk.ids) for chunk in chunks) / len(texts)


def _line(
    bundle: Bundle, backend: str, speeds: Sequence[EngineSpeed], tokens: float, peak: dict[str, float]
) -> BenchLine:
    def spread(name: str) -> Spread:
        values = [getattr(speed, name) for speed in speeds]
        return Spread(median=statistics.median(values), low=min(values), high=max(values))

    precision, needed = precision_of(bundle, backend), flops_a_token(bundle)
    many = spread("sentences_per_second_1024")
    known = needed is not None and precision in peak
    networks = [network_path(one, backend) for one in bundle.members or (bundle,)]
    return BenchLine(
        bundle=bundle.path.name,
        bundle_id=bundle.id,
        backend=backend,
        precision=precision,
        sentences_per_second_32=spread("sentences_per_second_32"),
        sentences_per_second_1024=many,
        p50_ms=spread("p50_ms"),
        p95_ms=spread("p95_ms"),
        p99_ms=spread("p99_ms"),
        load_seconds=spread("load_seconds"),
        rss_mib=spread("rss_mib"),
        size_mib=_mib([path for path in bundle.path.rglob("*") if path.is_file()]),
        network_mib=_mib(networks),
        share_of_peak=many.median * tokens * (needed or 0.0) / (peak[precision] * 1e9) if known else None,
    )


def _mib(paths: Sequence[Path]) -> float:
    return round(sum(path.stat().st_size for path in paths) / 2**20, 2)
