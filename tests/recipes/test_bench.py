"""`tapereader bench`: every backend and variant in its own process, in turn, with what a machine can do beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapereader.bundle import Bundle
from tapereader.cli.app import main
from tapereader.core import BundleError, ConfigError, DataError
from tapereader.engine import EngineSpeed, measure_engine
from tapereader.engine.peak import flops_a_token, matrix_peak, precision_of
from tapereader.recipes import bench as module
from tapereader.recipes.bench import BenchResult, bench

Make = Callable[..., Bundle]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Make measurements instant and known, the n-th of an engine n times its first; return who was asked, in order."""
    asked: list[tuple[str, str]] = []

    def fake(path: Path, texts: Sequence[str], backend: str, threads: int, **options: Any) -> EngineSpeed:
        name = Path(path).name
        assert options["rounds"] == 1
        if backend == "openvino-bf16":
            raise BundleError("it is of another processor.")
        asked.append((name, backend))
        times = asked.count((name, backend))
        return EngineSpeed(
            bundle_id=Bundle.load(path).id, backend=backend, threads=threads, load_seconds=0.5 * times,
            p50_ms=1.0 * times, p95_ms=2.0, p99_ms=3.0, sentences_per_second_32=100.0 * times,
            sentences_per_second_1024=200.0 * times, rss_mib=50.0, n_texts=len(texts),
        )  # fmt: skip

    monkeypatch.setattr(module, "measure_engine", fake)
    monkeypatch.setattr(module, "matrix_peak", lambda threads: {"float32": 1.0 * threads})
    return asked


def names_of(found: BenchResult) -> list[tuple[str, str]]:
    return [(line.bundle, line.backend) for line in found.lines]


def test_engines_take_turns_and_each_round_begins_with_the_next(
    tiny_bundle: Path, make_bundle: Make, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    other = make_bundle(tmp_path / "other", seed=1).path
    found = bench([tiny_bundle, other], backends=["onnxruntime", "openvino"], threads=2, rounds=3)
    engines = [("tiny", "onnxruntime"), ("tiny", "openvino"), ("other", "onnxruntime"), ("other", "openvino")]
    assert measured == [*engines, *engines[1:], engines[0], *engines[2:], *engines[:2]]
    assert names_of(found) == engines
    line = found.lines[0]
    assert (line.sentences_per_second_32.median, line.p50_ms.low, line.p50_ms.high) == (200.0, 1.0, 3.0)
    assert (found.threads, found.rounds, found.texts) == (2, 3, "sanity sentences of the bundle")


def test_an_engine_that_fails_is_left_out_with_its_reason(tiny_bundle: Path, measured: list[tuple[str, str]]) -> None:
    found = bench([tiny_bundle], backends=["openvino-bf16", "onnxruntime"], threads=1, rounds=2)
    assert names_of(found) == [("tiny", "onnxruntime")]
    assert found.skipped == ("tiny on openvino-bf16: it is of another processor.",)
    assert measured == [("tiny", "onnxruntime")] * 2


def test_the_share_of_the_peak_is_needed_products_over_possible_ones(
    tiny_bundle: Path, measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds of 200 and 400 sentences/s, 10 tokens each at 100,000 operations, on a peak of 1 GFLOP/s."""
    monkeypatch.setattr(module, "flops_a_token", lambda _: 100_000.0)
    monkeypatch.setattr(module, "_tokens_a_text", lambda *_: 10.0)
    (line,) = bench([tiny_bundle], backends=["onnxruntime"], threads=1, rounds=2).lines
    assert line.share_of_peak == pytest.approx(300 * 10 * 100_000 / 1e9)
    monkeypatch.setattr(module, "flops_a_token", lambda _: None)
    (line,) = bench([tiny_bundle], backends=["onnxruntime"], threads=1, rounds=1).lines
    assert line.share_of_peak is None


def test_texts_come_from_a_file_without_the_rows_that_have_none(
    tiny_bundle: Path, tmp_path: Path, measured: list[tuple[str, str]]
) -> None:
    news = tmp_path / "news.csv"
    news.write_text('headline\nprofit rose\n" "\nloss fell\nloss fell\n', encoding="utf-8")
    found = bench([tiny_bundle], texts=news, text_column="headline", backends=["onnxruntime"], threads=1, rounds=1)
    # [CLS], two words and [SEP]
    assert (found.n_texts, found.tokens_a_text, found.texts) == (2, 4.0, "news.csv")
    news.write_text('headline\n" "\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        bench([tiny_bundle], texts=news, text_column="headline")
    assert str(caught.value) == "There must be texts to ask; 'news.csv' has none. Give another file."


def test_what_cannot_be_measured_is_refused(tiny_bundle: Path, make_bundle: Make, tmp_path: Path) -> None:
    def refusal(kind: type[Exception], *paths: Path, **options: Any) -> str:
        with pytest.raises(kind) as caught:
            bench(paths, **options)
        return str(caught.value)

    assert refusal(ConfigError) == "There must be at least one bundle to measure; got none."
    assert refusal(ConfigError, tiny_bundle, rounds=0) == "`rounds` must be at least 1; got 0."
    assert refusal(ConfigError, tiny_bundle, backends=["tensorrt"]) == (
        "`backends` must be some of onnxruntime, onnxruntime-int8, openvino, openvino-bf16, openvino-int8; "
        "got ['tensorrt']."
    )
    bare = make_bundle(tmp_path / "bare", sanity=False)
    assert refusal(DataError, bare.path) == (
        f"There must be texts to ask; got no file, and bundle {bare.id!r} keeps no sanity sentences. Give a file of "
        "texts."
    )


def test_products_are_counted_from_the_weights_and_whole_numbers_found_in_the_network(
    tiny_bundle: Path,
) -> None:
    """Two matrices of 3 x 4 and 4 x 2 are 20 weights, 40 operations a token; the table of words is looked up."""
    save = pytest.importorskip("safetensors.numpy", reason="safetensors writes the weights of this test").save_file
    bundle = Bundle.load(tiny_bundle)
    assert flops_a_token(bundle) is None
    shapes = {
        "layer.a.weight": (3, 4),
        "layer.b.weight": (4, 2),
        "layer.b.bias": (2,),
        "embeddings.word.weight": (9, 3),
    }
    save({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, tiny_bundle / "model/model.safetensors")
    assert flops_a_token(bundle) == 40.0
    assert [precision_of(bundle, name) for name in ("onnxruntime", "openvino", "openvino-bf16")] == [
        "float32", "float32", "bfloat16",
    ]  # fmt: skip
    with bundle.onnx_path.open("ab") as network:
        network.write(b"MatMulInteger")
    assert precision_of(bundle, "openvino-bf16") == "int8"


def test_the_peak_of_the_machine_is_measured_in_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found = matrix_peak(threads=1)
    assert set(found) <= {"float32", "bfloat16", "int8"}
    assert all(1 < value < 1e6 for value in found.values())
    assert "float32" in found
    monkeypatch.setattr("tapereader.engine.peak._CHILD", "raise SystemExit('no processor')")
    with pytest.raises(BundleError) as caught:
        matrix_peak(threads=1)
    assert str(caught.value) == "The matrix peak must be measured in a process of its own, which says: no processor"


def test_a_measurement_takes_as_many_rounds_and_single_texts_as_asked(tiny_bundle: Path) -> None:
    found = measure_engine(tiny_bundle, ["profit rose"], threads=1, rounds=1, n_single=10)
    assert found.sentences_per_second_1024 > 0


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(("bench", *words))
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


def test_the_terminal_shows_a_table_and_json_the_whole_answer(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, measured: list[tuple[str, str]]
) -> None:
    options = (str(tiny_bundle), "--threads", "1", "--rounds", "2", "--backend", "onnxruntime")
    code, out, err = call(capsys, *options, "--backend", "openvino-bf16")
    assert (code, err) == (0, "Left out: tiny on openvino-bf16: it is of another processor.\n")
    assert "tiny    onnxruntime" in out
    assert "150 (100-200)" in out
    assert "1 threads; medians of 2 rounds, lowest and highest in brackets." in out
    _, out, _ = call(capsys, *options, "--json")
    (line,) = json.loads(out)["lines"]
    assert line["sentences_per_second_32"]["high"] == 400.0
    assert line["size_mib"] >= line["network_mib"]
    assert len(measured) == 4


def test_words_that_do_not_fit_together_are_refused(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path
) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in files:
        path.write_text("text\nprofit rose\n", encoding="utf-8")
    assert call(capsys, str(tiny_bundle), *map(str, files)) == (
        2, "", "Error: The texts must stand in one file; got a.csv, b.csv.\n",
    )  # fmt: skip
    assert call(capsys, str(tiny_bundle), "--text", "headline") == (
        2,
        "",
        "Error: --text, --pair and --encoding describe a file of texts; got none. Give one, or leave them out.\n",
    )  # fmt: skip
