"""Which backend is picked, that the choice is kept and for what, and that nothing about keeping it is an error."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapereader.bundle import Bundle
from tapereader.core import BundleError
from tapereader.engine import Engine, choosing
from tapereader.engine.choosing import choice_path, choose_backend

Make = Callable[..., Bundle]


class Clock:
    """Seconds that pass only where a fake engine spends them."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Fake:
    """Answers what the bundle states, moved by ``gap``, and takes ``cost`` seconds a call."""

    def __init__(self, bundle: Bundle, clock: Clock, cost: float, gap: float, rounding: float) -> None:
        self.stated = {sentence.text: sentence.outputs for sentence in bundle.facts.sanity}
        self.clock, self.cost, self.gap, self.rounding = clock, cost, gap, rounding

    def outputs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        assert pairs is None
        self.clock.now += self.cost
        found = np.array([self.stated[text] for text in texts])
        found[:, 0] += self.gap
        return found


class Bench:
    """Three fake backends of stated speed and gap; counts how often each is opened."""

    def __init__(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundle, self.clock, self.opened = bundle, Clock(), [""][:0]
        self.costs = {"onnxruntime": 0.03, "openvino": 0.02, "openvino-bf16": 0.01}
        self.gaps = {"onnxruntime": 0.0, "openvino": 0.0, "openvino-bf16": 0.015}
        self.hardware: dict[str, Any] = {"processor": "P", "flags": ["avx512_bf16"], "cores": 2}
        monkeypatch.setattr(choosing, "time", self.clock)
        monkeypatch.setattr(choosing, "_hardware", lambda: self.hardware)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name == "openvino" else None)

    def open(self, name: str) -> Fake:
        self.opened.append(name)
        rounding = 0.02 if name == "openvino-bf16" else 0.0
        return Fake(self.bundle, self.clock, self.costs[name], self.gaps[name], rounding)

    def choose(self, threads: int = 2) -> choosing.BackendChoice:
        return choose_backend(self.bundle, self.open, threads=threads)


@pytest.fixture
def bench(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(Bundle.load(tiny_bundle), monkeypatch)


def test_the_fastest_is_picked_with_the_numbers_of_all(bench: Bench) -> None:
    found = bench.choose()
    assert found.backend == "openvino-bf16"
    # One round is a call of 32 and four of one: 36 sentences in five calls.
    assert found.sentences_per_second == {"onnxruntime": 240.0, "openvino": 360.0, "openvino-bf16": 720.0}
    assert found.reason == (
        "openvino-bf16 is the fastest here, in sentences/s: openvino-bf16 720, openvino 360, onnxruntime 240."
    )
    assert (found.refused, found.remembered) == ({}, False)


def test_the_fastest_is_left_out_where_it_answers_otherwise(bench: Bench) -> None:
    bench.gaps["openvino-bf16"] = 0.03
    found = bench.choose()
    assert found.backend == "openvino"
    assert found.reason == (
        "openvino is the fastest here, in sentences/s: openvino 360, onnxruntime 240. openvino-bf16 is left out: an "
        "output lies 0.0300 from what is written in the bundle, and 0.0210 is allowed."
    )


def test_another_label_leaves_a_backend_out_however_small_the_gap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "answers", lambda _, outputs, **__: (outputs[:, 0] * 1e6).round().astype(np.int64))
    assert bench.choose().refused == {"openvino-bf16": "3 labels of sanity sentences differ"}


def test_a_backend_that_cannot_be_opened_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Fake:
        if name.startswith("openvino"):
            raise BundleError("no such operation")
        return Fake(bench.bundle, bench.clock, 0.01, 0.0, 0.0)

    monkeypatch.setattr(bench, "open", refuse)
    found = bench.choose()
    assert found.backend == "onnxruntime"
    assert found.reason == (
        "onnxruntime answers: no other backend answers right here (openvino: no such operation; openvino-bf16: no such "
        "operation)."
    )


def test_without_bf16_in_the_processor_that_backend_is_not_asked(bench: Bench) -> None:
    bench.hardware["flags"] = ["avx2", "avx512f"]
    assert set(bench.choose().sentences_per_second) == {"onnxruntime", "openvino"}


def test_without_openvino_nothing_is_measured_or_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = bench.choose()
    assert (found.backend, found.reason) == (
        "onnxruntime",
        "onnxruntime answers: no other backend is installed or has a network in the bundle.",
    )
    assert bench.opened == []
    assert not choice_path(bench.bundle).exists()


def test_without_sanity_sentences_nothing_can_be_compared(make_bundle: Make, tmp_path: Path, bench: Bench) -> None:
    bench.bundle = make_bundle(tmp_path / "bare", sanity=False)
    assert bench.choose().reason == "onnxruntime answers: without sanity sentences no other backend can be checked."
    assert bench.opened == []


def test_the_choice_is_kept_beside_the_bundle_and_taken_up(bench: Bench) -> None:
    inside = sorted(path for path in bench.bundle.path.rglob("*"))
    first = bench.choose()
    opened = len(bench.opened)
    again = bench.choose()
    assert len(bench.opened) == opened
    assert again.remembered
    assert (again.backend, again.reason) == (first.backend, first.reason)
    assert choice_path(bench.bundle) == bench.bundle.path.parent / "tiny.backend.json"
    assert [path.name for path in bench.bundle.path.parent.iterdir() if path.is_file()] == ["tiny.backend.json"]
    assert sorted(path for path in bench.bundle.path.rglob("*")) == inside
    assert Bundle.load(bench.bundle.path).id == bench.bundle.id


@pytest.mark.parametrize("change", ["processor", "flags", "threads", "version", "bundle"])
def test_elsewhere_it_is_measured_again_and_both_choices_are_kept(
    bench: Bench, change: str, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.choose()
    here, hardware, bundle = len(bench.opened), dict(bench.hardware), bench.bundle
    with monkeypatch.context() as changed:
        if change == "processor":
            bench.hardware["processor"] = "Q"
        if change == "flags":
            bench.hardware["flags"] = ["avx512_bf16", "amx_bf16"]
        if change == "version":
            changed.setattr(choosing, "_version", lambda _: "9.9")
        if change == "bundle":
            bench.bundle = make_bundle(bundle.path, seed=1, replace=True)
        assert not bench.choose(threads=1 if change == "threads" else 2).remembered
        assert len(bench.opened) > here
    bench.hardware, bench.bundle = hardware, bundle
    assert bench.choose().remembered
    assert len(json.loads(choice_path(bench.bundle).read_text(encoding="utf-8"))["choices"]) == 2


def test_at_most_sixteen_choices_are_kept_the_newest_first(bench: Bench) -> None:
    for threads in range(1, 19):
        bench.choose(threads)
    kept = json.loads(choice_path(bench.bundle).read_text(encoding="utf-8"))["choices"]
    assert [entry["key"]["threads"] for entry in kept] == list(range(18, 2, -1))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"[]", b"null", b'{"choices": 3}', b'{"choices": [{"key": {}, "choice": 1}, 7, null]}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_file_is_ignored_and_written_anew(bench: Bench, content: bytes) -> None:
    choice_path(bench.bundle).write_bytes(content)
    assert not bench.choose().remembered
    assert bench.choose().remembered


def test_a_kept_choice_that_could_not_have_been_made_is_not_taken(bench: Bench) -> None:
    bench.choose()
    path = choice_path(bench.bundle)
    path.write_text(path.read_text(encoding="utf-8").replace('"backend": "openvino-bf16"', '"backend": "tensorrt"'))
    assert bench.choose().backend == "openvino-bf16"
    assert "tensorrt" not in path.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_measures_each_time(bench: Bench) -> None:
    choice_path(bench.bundle).mkdir()
    assert bench.choose().backend == "openvino-bf16"
    opened = len(bench.opened)
    assert not bench.choose().remembered
    assert len(bench.opened) == 2 * opened
    assert [path.name for path in bench.bundle.path.parent.iterdir() if path.name.startswith(".")] == []


def test_the_engine_takes_what_was_picked(tiny_bundle: Path) -> None:
    engine = Engine(tiny_bundle, backend="auto", threads=1)
    assert engine.choice is not None
    assert engine.backend == engine.choice.backend
    assert engine.predict(["profit rose"])[0].label == Engine(tiny_bundle, threads=1).predict(["profit rose"])[0].label
    if importlib.util.find_spec("openvino") is not None:
        assert set(engine.choice.sentences_per_second) >= {"onnxruntime", "openvino"}
        again = Engine(tiny_bundle, backend="auto", threads=1).choice
        assert again is not None
        assert again.remembered
    assert Engine(tiny_bundle, threads=1).choice is None


def test_a_damaged_network_is_refused_as_with_a_named_backend(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    bundle.onnx_path.write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"^model\.onnx must be a readable ONNX network; "):
        Engine(bundle, backend="auto", threads=1)
    assert not choice_path(bundle).exists()


def test_members_of_an_ensemble_are_measured_together_as_one(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(bundle: Bundle, open_engine: Any, *, threads: int) -> choosing.BackendChoice:
        asked.append(bundle.id)
        assert open_engine("onnxruntime").rounding == 0.0
        return choosing._unmeasured("because.")

    monkeypatch.setattr("tapereader.engine.engine.choose_backend", choose)
    engine = Engine(tiny_bundle, backend="auto", threads=1)
    assert asked == [engine.bundle.id]
    assert engine.choice == choosing._unmeasured("because.")
