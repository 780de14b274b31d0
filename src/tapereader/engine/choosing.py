"""Which backend is the fastest here that still answers right: measured once on each machine, and kept."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.conformal import answers
from tapereader.bundle.folder import Bundle
from tapereader.core.errors import TapereaderError
from tapereader.engine.backends import usable_backends

#: What is asked for where the fastest is wanted.
AUTO = "auto"
#: Always installed, and exact: what answers where nothing can be compared.
_PLAIN = "onnxruntime"
#: Their versions decide how fast a backend is.
_LIBRARIES = ("tapereader", "onnxruntime", "openvino", "numpy")
#: One round of a backend: so many texts at once, and so many one by one.
_BATCH, _SINGLE = 32, 4
#: Every backend gets at least so many rounds, in turn with the others, and then until it had so much time.
_LEAST_ROUNDS, _SECONDS = 3, 0.4
#: How many choices a file keeps: of other machines, threads and versions.
_KEPT = 16
_SUFFIX = ".backend.json"


class _Asked(Protocol):
    """What is measured: an engine on one backend."""

    @property
    def rounding(self) -> float: ...

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> FloatArray: ...


@dataclass(frozen=True, kw_only=True)
class BackendChoice:
    """Which backend answers, and why.

    Parameters
    ----------
    backend : its name
    reason : one sentence for people
    sentences_per_second : of each backend that was measured, its median over the rounds
    refused : of each backend that is installed and must not answer, why
    remembered : True where an earlier process measured
    """

    backend: str
    reason: str
    sentences_per_second: Mapping[str, float]
    refused: Mapping[str, str]
    remembered: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def choose_backend(bundle: Bundle, open_engine: Callable[[str], _Asked], *, threads: int) -> BackendChoice:
    """Return the fastest installed backend whose answers are right, measuring only where nobody has.

    Right means what opening a bundle means by it: on every sanity sentence the label that was written down, and no
    output further from it than the bundle's tolerance and the backend's own rounding. Speed is that of the sanity
    sentences, many at once and one by one, each backend in turn with the others for some tenths of a second.

    The choice is kept beside the bundle, in ``<folder>.backend.json``, and holds for this bundle on this processor
    with these libraries and threads. Where it cannot be kept it is measured each time.

    Parameters
    ----------
    bundle : a loaded bundle
    open_engine : opens an engine for the bundle on the backend of a name, without asking the sanity sentences
    threads : processor threads the engine uses
    """
    hardware = _hardware()
    names = usable_backends(bundle, hardware["flags"])
    if len(names) == 1:
        return _unmeasured(f"{_PLAIN} answers: no other backend is installed or has a network in the bundle.")
    if not bundle.facts.sanity:
        return _unmeasured(f"{_PLAIN} answers: without sanity sentences no other backend can be checked.")
    key = _key(bundle, hardware, names, threads)
    path = choice_path(bundle)
    kept = _read(path)
    for entry in kept:
        if entry["key"] == key:
            return BackendChoice(**entry["choice"], remembered=True)
    found = _measure(bundle, open_engine, names)
    if found is None:
        return _unmeasured(f"{_PLAIN} is asked: no backend could be opened and answered right.")
    said = {name: value for name, value in found.to_dict().items() if name != "remembered"}
    _write(path, [{"key": key, "choice": said}, *kept][:_KEPT])
    return found


def choice_path(bundle: Bundle) -> Path:
    """Return where the choice for a bundle is kept: beside its folder, in which nothing may change."""
    return bundle.path.with_name(f"{bundle.path.name}{_SUFFIX}")


def _hardware() -> dict[str, Any]:
    # Here and not above: only who lets choose pays for importing it.
    from tapereader.governance.lineage import collect_hardware

    return collect_hardware()


def _key(bundle: Bundle, hardware: Mapping[str, Any], names: Sequence[str], threads: int) -> dict[str, Any]:
    return {
        "bundle_id": bundle.id,
        "processor": hardware["processor"],
        "flags": list(hardware["flags"]),
        "cores": hardware["cores"],
        "threads": threads,
        "backends": list(names),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _measure(bundle: Bundle, open_engine: Callable[[str], _Asked], names: Sequence[str]) -> BackendChoice | None:
    refused: dict[str, str] = {}
    engines: dict[str, _Asked] = {}
    for name in names:
        try:
            engine = open_engine(name)
            fault = _fault(bundle, engine)
        except TapereaderError as error:
            fault = str(error)
        if fault:
            refused[name] = fault
        else:
            engines[name] = engine
    if not engines:
        return None
    if len(engines) == 1:
        (name,) = engines
        others = "; ".join(f"{other}: {why}" for other, why in refused.items())
        return BackendChoice(
            backend=name, reason=f"{name} answers: no other backend answers right here ({others}).",
            sentences_per_second={}, refused=refused,
        )  # fmt: skip
    speeds = _speeds(bundle, engines)
    ranked = sorted(speeds, key=speeds.__getitem__, reverse=True)
    compared = ", ".join(f"{name} {speeds[name]:,.0f}" for name in ranked)
    reason = f"{ranked[0]} is the fastest here, in sentences/s: {compared}."
    reason += "".join(f" {name} is left out: {why}." for name, why in refused.items())
    return BackendChoice(backend=ranked[0], reason=reason, sentences_per_second=speeds, refused=refused)


def _fault(bundle: Bundle, engine: _Asked) -> str | None:
    """Return why an engine's answers to the sanity sentences are not right, or None where they are."""
    facts = bundle.facts
    stated = np.array([sentence.outputs for sentence in facts.sanity], dtype=np.float64)
    found = engine.outputs(*_sanity(bundle)).reshape(stated.shape)
    gap, allowed = float(np.abs(found - stated).max()), facts.outputs_tolerance + engine.rounding
    if not gap <= allowed:
        return f"an output lies {gap:.4f} from what is written in the bundle, and {allowed:.4f} is allowed"
    if facts.contract.kind == "regression":
        return None
    threshold = bundle.calibration.threshold
    wrong = (
        answers(facts.contract, found, threshold=threshold) != answers(facts.contract, stated, threshold=threshold)
    ).sum()
    return f"{int(wrong)} labels of sanity sentences differ" if wrong else None


def _sanity(bundle: Bundle) -> tuple[list[str], list[str] | None]:
    sentences = bundle.facts.sanity
    texts = [sentence.text for sentence in sentences]
    return texts, [sentence.pair or "" for sentence in sentences] if bundle.has_pair else None


def _speeds(bundle: Bundle, engines: Mapping[str, _Asked]) -> dict[str, float]:
    """Return sentences a second of each engine; a busy moment of the machine hits all alike."""
    texts, pairs = _sanity(bundle)
    many = [number % len(texts) for number in range(_BATCH)]

    def ask(engine: _Asked) -> float:
        began = time.perf_counter()
        engine.outputs([texts[n] for n in many], None if pairs is None else [pairs[n] for n in many])
        for n in many[:_SINGLE]:
            engine.outputs([texts[n]], None if pairs is None else [pairs[n]])
        return time.perf_counter() - began

    for engine in engines.values():
        ask(engine)  # plans of the shapes are made once, and not measured
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    order = list(engines)
    while not all(len(taken) >= _LEAST_ROUNDS and sum(taken) >= _SECONDS for taken in seconds.values()):
        for name in order:
            seconds[name].append(ask(engines[name]))
        order.append(order.pop(0))
    return {name: round((_BATCH + _SINGLE) / statistics.median(taken), 1) for name, taken in seconds.items()}


def _unmeasured(reason: str) -> BackendChoice:
    return BackendChoice(backend=_PLAIN, reason=reason, sentences_per_second={}, refused={})


def _read(path: Path) -> list[dict[str, Any]]:
    """Return what is kept; a damaged or foreign file holds nothing."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["choices"]
        return [entry for entry in entries if _is_sound(entry)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _is_sound(entry: Any) -> bool:
    choice = entry.get("choice") if isinstance(entry, dict) and isinstance(entry.get("key"), dict) else None
    return (
        isinstance(choice, dict)
        and set(choice) == {"backend", "reason", "sentences_per_second", "refused"}
        and choice["backend"] in entry["key"].get("backends", ())
        and isinstance(choice["reason"], str)
        and isinstance(choice["sentences_per_second"], dict)
        and all(isinstance(speed, int | float) for speed in choice["sentences_per_second"].values())
        and isinstance(choice["refused"], dict)
    )


def _write(path: Path, choices: list[dict[str, Any]]) -> None:
    """Keep the choices where that can be done; where it cannot, the next process measures again."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.write_text(json.dumps({"choices": choices}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError:
        try:
            draft.unlink(missing_ok=True)
        except OSError:
            return
