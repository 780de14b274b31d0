"""Which backend answers where nobody names one, and what OpenVINO keeps in eight bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tapereader.bundle import Bundle
from tapereader.core.errors import BundleError
from tapereader.engine import Engine
from tapereader.engine.backends import _weights_to_int8, default_backend, network_path, usable_backends

Make = Callable[..., Bundle]
EXACT, PLAIN = ["avx2", "avx512f", "avx512_vnni"], ["avx2"]


@pytest.fixture(autouse=True)
def _not_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_eight_bits_answer_where_they_are_shipped_and_summed_exactly(make_bundle: Make, tmp_path: Path) -> None:
    both, one = make_bundle(tmp_path / "both", int8=True), make_bundle(tmp_path / "one")
    assert [default_backend(both, flags) for flags in (EXACT, PLAIN)] == ["onnxruntime-int8", "onnxruntime"]
    assert default_backend(one, EXACT) == "onnxruntime"
    assert "onnxruntime-int8" in usable_backends(both, EXACT)
    assert "onnxruntime-int8" not in usable_backends(both, PLAIN) + usable_backends(one, EXACT)


def test_arm_sums_exactly_whatever_its_flags(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert default_backend(make_bundle(tmp_path / "both", int8=True), []) == "onnxruntime-int8"


def test_a_bundle_without_eight_bits_says_how_to_get_them(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    assert network_path(bundle, "openvino-int8") == bundle.onnx_path
    with pytest.raises(BundleError) as caught:
        Engine(bundle, backend="onnxruntime-int8")
    assert str(caught.value) == (
        f"Bundle {bundle.id!r} ships no network in eight bits, which `onnxruntime-int8` reads. Name another backend, "
        "or make a bundle in eight bits: `tapereader optimize BUNDLE --method int8-dynamic --out DIR`."
    )


@pytest.mark.parametrize("turned", [False, True])
def test_openvino_keeps_large_matrices_in_eight_bits_and_small_ones_as_they_are(turned: bool) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    import openvino.opset13 as nodes

    random = np.random.default_rng(0)
    large, small = (random.normal(size=shape).astype(np.float32) for shape in ((128, 96), (96, 3)))
    given = nodes.parameter([-1, 128], np.float32, name="given")
    hidden = nodes.matmul(given, nodes.constant(large.T if turned else large), False, turned)
    whole = openvino.Model([nodes.matmul(hidden, nodes.constant(small), False, False)], [given])
    rows = random.normal(size=(5, 128)).astype(np.float32)
    exact = rows @ large @ small
    _weights_to_int8(whole)
    kept = [
        (node.get_element_type().get_type_name(), tuple(node.get_output_shape(0)))
        for node in whole.get_ops()
        if node.get_type_name() == "Constant"
    ]
    assert ("i8", large.T.shape if turned else large.shape) in kept
    assert ("f32", small.shape) in kept
    (found,) = openvino.Core().compile_model(whole, "CPU")({"given": rows}).values()
    assert 0 < np.abs(found - exact).max() < 0.02 * np.abs(exact).max()
