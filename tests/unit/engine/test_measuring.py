"""The speed of an engine, measured in a process of its own on a network of a few thousand weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tapereader.bundle import Bundle
from tapereader.core import BundleError, ConfigError, DataError
from tapereader.engine import EngineSpeed, measure_engine

TEXTS = ["profit rose", "the loss of the year", "sales flat"]


@pytest.fixture(scope="module")
def ballast() -> bytes:
    """Memory of this process that a child must not be charged with."""
    return b"x" * (512 << 20)


def test_an_engine_is_measured_alone(tiny_bundle: Path, ballast: bytes) -> None:
    found = measure_engine(tiny_bundle, TEXTS, "onnxruntime", 1)
    assert (found.bundle_id, found.backend, found.threads) == (Bundle.load(tiny_bundle).id, "onnxruntime", 1)
    assert found.n_texts == 3
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms < 1000
    # One text at a time cannot be faster than many at once by more than noise, nor take longer than the calls say.
    assert found.sentences_per_second_32 > 500 / found.p50_ms
    assert found.sentences_per_second_1024 > 500 / found.p50_ms
    assert 0 < found.load_seconds < 30
    # An interpreter with numpy and ONNX Runtime takes this much, and the half GiB held here is not in it.
    assert 20 < found.rss_mib < 400
    assert EngineSpeed(**found.to_dict()) == found


def test_an_engine_that_asks_about_a_second_text_gets_one(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", kind="single-label", names=("down", "up"), has_pair=True)
    assert measure_engine(bundle.path, TEXTS, threads=1, pairs=["ACME"] * 3).p50_ms > 0
    with pytest.raises(BundleError, match=r"its process says: .*asks about a second text, a named company; got none"):
        measure_engine(bundle.path, TEXTS, threads=1)


def test_what_cannot_be_measured_is_refused_before_a_process_starts(tiny_bundle: Path) -> None:
    with pytest.raises(DataError) as caught:
        measure_engine(tiny_bundle, [])
    assert str(caught.value) == "There must be at least one text to measure an engine on; got none."
    with pytest.raises(DataError, match="got row 2, where the text is empty"):
        measure_engine(tiny_bundle, ["profit rose", " "])
    with pytest.raises(ConfigError) as wrong:
        measure_engine(tiny_bundle, TEXTS, "onnxruntim")
    assert str(wrong.value) == (
        "`backend` must be one of onnxruntime, onnxruntime-int8, openvino, openvino-bf16, openvino-int8; "
        "got 'onnxruntim'."
    )
    with pytest.raises(ConfigError) as threads:
        measure_engine(tiny_bundle, TEXTS, threads=0)
    assert str(threads.value) == "`threads` must be at least 1, or left out for all; got 0."


def test_a_damaged_bundle_is_named_by_what_is_wrong_with_it(tiny_bundle: Path) -> None:
    (tiny_bundle / "onnx" / "model.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"on its backend to be measured; its process says: .*model\.onnx"):
        measure_engine(tiny_bundle, TEXTS, threads=1)
