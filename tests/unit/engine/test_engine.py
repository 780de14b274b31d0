"""The engine against the same network written out in numpy, and everything it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapereader.bundle import Bundle, Calibration
from tapereader.bundle.folder import bundle_id, file_hash
from tapereader.core import BundleError, ConfigError, DataError, UnknownNameError
from tapereader.engine import Engine, text_faults, text_hash

Make = Callable[..., Bundle]

RANDOM = np.random.default_rng(5)
VOCABULARY = ["profit", "loss", "rose", "fell", "sales", "flat", "the", "year", "营业利润增长", "unheard-of"]
TEXTS = [" ".join(RANDOM.choice(VOCABULARY, size=size)) for size in RANDOM.integers(1, 60, size=120)]

KINDS = [
    ("single-label", ("negative", "neutral", "positive")),
    ("multi-label", ("fraud", "default", "merger")),
    ("ordinal", ("low", "mid", "high")),
    ("regression", ("score",)),
]


@pytest.fixture
def engine(tiny_bundle: Path) -> Engine:
    return Engine(tiny_bundle, threads=1)


def refusal(kind: type[Exception], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("has_pair", [False, True])
@pytest.mark.parametrize(("kind", "names"), KINDS)
def test_every_kind_answers_its_sanity_sentences_as_numpy_did(
    make_bundle: Make, tmp_path: Path, kind: str, names: tuple[str, ...], has_pair: bool
) -> None:
    """The stored answers were computed from the weights, without ONNX and without the tokenizer."""
    bundle = make_bundle(tmp_path / "b", kind=kind, names=names, has_pair=has_pair)
    opened = Engine(bundle, threads=1)
    sentences = bundle.facts.sanity
    pairs = [sentence.pair or "" for sentence in sentences] if has_pair else None
    found = opened.outputs([sentence.text for sentence in sentences], pairs).reshape(len(sentences), -1)
    assert np.abs(found - np.array([sentence.outputs for sentence in sentences])).max() < 1e-6


def test_the_same_text_gets_the_same_answer_alone_and_in_a_batch(engine: Engine) -> None:
    together = engine.outputs(TEXTS)
    alone = np.concatenate([engine.outputs([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5
    order = np.random.default_rng(1).permutation(len(TEXTS))
    assert np.abs(engine.outputs([TEXTS[i] for i in order]) - together[order]).max() < 1e-5


def test_two_calls_give_equal_answers_to_the_bit(engine: Engine) -> None:
    assert np.array_equal(engine.logits(TEXTS), engine.logits(TEXTS))


def test_many_and_large_texts_are_read_in_windows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = engine.logits(TEXTS)
    monkeypatch.setattr("tapereader.engine.engine._WINDOW_TEXTS", 7)
    assert np.abs(engine.logits(TEXTS) - whole).max() < 1e-5
    monkeypatch.setattr("tapereader.engine.engine._WINDOW_CHARACTERS", 100)
    assert np.abs(engine.logits(TEXTS) - whole).max() < 1e-5


def test_a_long_text_is_read_to_its_end(make_bundle: Make, tmp_path: Path) -> None:
    """Cut at 16 tokens, then pooled, equals the same network reading up to 512 at once, special tokens aside."""
    short = Engine(make_bundle(tmp_path / "short", max_length=16, sanity=False), threads=1)
    long = Engine(make_bundle(tmp_path / "long", max_length=512, sanity=False), threads=1)
    text = " ".join(["profit rose"] * 40 + ["loss fell"] * 40)
    n_chunks = len(short._tokenizer.encode([text]))
    assert n_chunks == 12
    # one [CLS] and one [SEP] a chunk against one of each in all: take their share out of both means
    specials = _special_sum(short.bundle)
    inner_short = short.embeddings([text]) * (160 + 2 * n_chunks) - n_chunks * specials
    inner_long = long.embeddings([text]) * 162 - specials
    assert np.abs(inner_short - inner_long).max() < 1e-3
    assert np.abs(short.logits([text]) - short.logits(["profit rose " * 40])).max() > 0.05


def _special_sum(bundle: Bundle) -> np.ndarray:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(bundle.onnx_path)).graph
    (vectors,) = (numpy_helper.to_array(value) for value in graph.initializer if value.name == "vectors")
    return np.asarray(vectors[2] + vectors[3])


def test_embeddings_have_one_row_a_text(engine: Engine) -> None:
    assert engine.embeddings(TEXTS[:5]).shape == (5, 8)
    assert engine.logits(TEXTS[:5]).shape == (5, 3)


def test_a_prediction_carries_label_probabilities_set_and_its_origin(engine: Engine) -> None:
    text = "profit rose strong"
    (found,) = engine.predict([text])
    assert found.bundle_id == engine.bundle.id
    assert found.text_hash == text_hash(text)
    assert sum(found.probabilities) == pytest.approx(1.0)
    assert found.label == engine.bundle.contract.names[int(np.argmax(found.probabilities))]
    assert found.label in found.prediction_set
    assert found.value is None
    assert found.abstained is False


def test_labels_of_a_multi_label_answer_are_joined_and_may_be_none(make_bundle: Make, tmp_path: Path) -> None:
    names = ("fraud", "default", "merger")
    given = {"kind": "multi-label", "names": names}
    low = Engine(make_bundle(tmp_path / "low", calibration=Calibration(threshold=0.0), **given), threads=1)
    high = Engine(make_bundle(tmp_path / "high", calibration=Calibration(threshold=1.0), **given), threads=1)
    assert low.predict(["profit"])[0].label == "fraud|default|merger"
    assert high.predict(["profit"])[0].label == ""


def test_the_model_abstains_by_its_stated_rule(make_bundle: Make, tmp_path: Path) -> None:
    opened = Engine(make_bundle(tmp_path / "b", calibration=Calibration(abstain_below=0.6)), threads=1)
    found = opened.predict(TEXTS)
    silent = [one.abstained for one in found]
    assert silent == [max(one.probabilities) < 0.6 for one in found]
    assert any(silent)
    assert not all(silent)


def test_regression_gives_a_value_and_an_interval(make_bundle: Make, tmp_path: Path) -> None:
    fitted = Calibration(target_mean=5.0, target_scale=2.0, coverage=0.9, conformal_quantile=0.5, n=100)
    opened = Engine(make_bundle(tmp_path / "b", kind="regression", names=("score",), calibration=fitted), threads=1)
    (found,) = opened.predict(["profit rose"])
    assert (found.label, found.probabilities, found.prediction_set) == ("", (), ())
    assert found.value == pytest.approx(opened.logits(["profit rose"])[0, 0] * 2 + 5)
    bounds = opened.intervals(np.array([1.0, 2.0]))
    assert bounds is not None
    assert [bound.tolist() for bound in bounds] == [[0.5, 1.5], [1.5, 2.5]]


def test_an_answer_depends_on_its_pair(make_bundle: Make, tmp_path: Path) -> None:
    opened = Engine(make_bundle(tmp_path / "b", has_pair=True), threads=1)
    one, other = opened.outputs(["acme rose globex fell"] * 2, ["acme", "globex"])
    assert np.abs(one - other).max() > 1e-3
    first, second = opened.predict(["profit"] * 2, ["acme", "globex"])
    assert first.text_hash != second.text_hash


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the text is empty"),
        (" \n\t", "the text is empty"),
        (None, "the text is missing"),
        (float("nan"), "the text is missing"),
        (12.5, "the text is 12.5, not words"),
        ("half \ud83d a sign", "the text holds half a surrogate pair, which is no character"),
    ],
)
def test_a_text_without_words_is_refused_by_its_row(engine: Engine, text: Any, fault: str) -> None:
    for call in (engine.predict, engine.outputs, engine.logits, engine.embeddings):
        assert refusal(DataError, lambda call=call: call(["profit", text, text])) == (  # type: ignore[misc]
            f"Every text must have words in it; got row 2, where {fault} (2 such rows). Leave such rows out, or pass "
            "`skip_empty=True` to `predict`."
        )


def test_texts_without_words_can_be_skipped(engine: Engine) -> None:
    found = engine.predict(["profit", "", "loss"], skip_empty=True)
    assert found == [engine.predict(["profit"])[0], None, engine.predict(["loss"])[0]]
    assert engine.predict(["", " "], skip_empty=True) == [None, None]
    assert engine.predict([]) == []


def test_a_pair_without_words_is_a_fault_of_its_row() -> None:
    assert text_faults(["a", "b", ""], ["x", " ", ""]) == [None, "the pair is empty", "the text is empty"]


def test_pairs_must_fit_the_bundle(engine: Engine, make_bundle: Make, tmp_path: Path) -> None:
    name = engine.bundle.id
    assert refusal(DataError, lambda: engine.predict(["a"], ["b"])) == (
        f"Bundle {name!r} takes texts alone; got `pairs` (`--about`, `--pair`) too. Leave them out."
    )
    paired = Engine(make_bundle(tmp_path / "b", has_pair=True), threads=1)
    assert refusal(DataError, lambda: paired.predict(["a"])) == (
        f"Bundle {paired.bundle.id!r} asks about a second text, a named company; got none. Give `pairs` "
        "(`--about`, or `--pair` for a file)."
    )
    assert refusal(DataError, lambda: paired.predict(["a", "b"], ["c"])) == (
        "There must be one pair for each text; got 2 texts and 1 pairs."
    )


def test_a_single_string_is_not_a_list_of_letters(engine: Engine) -> None:
    assert refusal(DataError, lambda: engine.predict("profit")) == (
        "Texts must come as a list, one text an entry; got a single string."
    )


def test_no_texts_have_no_outputs(engine: Engine) -> None:
    assert refusal(DataError, lambda: engine.outputs([])) == "There must be at least one text to score; got none."


def test_a_stream_is_answered_batch_by_batch(engine: Engine) -> None:
    asked: list[int] = []

    def batches() -> Any:
        for start in range(0, 40, 10):
            asked.append(start)
            yield TEXTS[start : start + 10], None

    stream = engine.stream(batches())
    first = next(stream)
    assert asked == [0]
    found = [*first, *(one for batch in stream for one in batch)]
    assert [one.text_hash for one in found if one] == [text_hash(text) for text in TEXTS[:40]]


def forge(root: Path) -> None:
    stated = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    stated["files"] = {name: file_hash(root / name) for name in stated["files"]}
    stated["bundle_id"] = bundle_id(stated["files"], stated["manifest"])
    (root / "manifest.json").write_text(json.dumps(stated), encoding="utf-8")


def test_a_label_order_swapped_everywhere_with_forged_hashes_is_caught_by_a_sanity_sentence(tiny_bundle: Path) -> None:
    for path in (tiny_bundle / "contract.json", tiny_bundle / "model" / "config.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        if "contract" in values:
            values["contract"]["names"].reverse()
        else:
            values["id2label"] = {"0": "positive", "1": "neutral", "2": "negative"}
        path.write_text(json.dumps(values), encoding="utf-8")
    forge(tiny_bundle)
    bundle = Bundle.load(tiny_bundle)  # nothing but the answers can tell
    negative, neutral, positive = bundle.facts.sanity[0].outputs[::-1]
    assert refusal(BundleError, lambda: Engine(bundle, threads=1)) == (
        f"Bundle {bundle.id!r} must answer 'profit rose strong' with positive {positive:.4f}, neutral {neutral:.4f}, "
        f"negative {negative:.4f}; got positive {negative:.4f}, neutral {neutral:.4f}, negative {positive:.4f}. "
        "Network, labels and calibration do not belong together: restore the original files."
    )
    assert Engine(bundle, threads=1, check=False).predict(["profit"])


def test_another_network_with_forged_hashes_is_caught(make_bundle: Make, tiny_bundle: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", seed=1)
    (tiny_bundle / "onnx" / "model.onnx").write_bytes(other.onnx_path.read_bytes())
    forge(tiny_bundle)
    assert "must answer 'profit rose strong' with" in refusal(BundleError, lambda: Engine(tiny_bundle, threads=1))


def test_another_temperature_with_forged_hashes_is_caught(tiny_bundle: Path) -> None:
    path = tiny_bundle / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"temperature": 0.5}), encoding="utf-8")
    forge(tiny_bundle)
    assert "must answer 'profit rose strong' with" in refusal(BundleError, lambda: Engine(tiny_bundle, threads=1))


def test_a_network_of_another_width_is_refused(fill_bundle: Any, tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    spare = tiny_bundle.parent / "spare"
    spare.mkdir()
    fill_bundle(bundle.contract, width=2)(spare)
    bundle.onnx_path.write_bytes((spare / "onnx" / "model.onnx").read_bytes())
    opened = Engine(bundle, threads=1, check=False)
    assert refusal(BundleError, lambda: opened.logits(["profit"])) == (
        f"The network of bundle {bundle.id!r} must give 3 logits for the labels ['negative', 'neutral', 'positive']; "
        "got an output of shape (1, 2). The two do not belong together."
    )


def test_a_bundle_without_an_exported_network_is_refused(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    bundle.onnx_path.unlink()
    assert refusal(BundleError, lambda: Engine(bundle)) == (
        f"The engine reads onnx/model.onnx; bundle {bundle.id!r} has none. Restore the file, or train it again."
    )


def test_an_unknown_backend_and_no_threads_are_refused(tiny_bundle: Path) -> None:
    assert refusal(UnknownNameError, lambda: Engine(tiny_bundle, backend="onnxrutime")) == (
        "No backend is called 'onnxrutime'; known: onnxruntime, onnxruntime-int8, openvino, openvino-bf16, "
        "openvino-int8. Did you mean 'onnxruntime'?"
    )
    assert refusal(ConfigError, lambda: Engine(tiny_bundle, threads=0)) == (
        "`threads` must be at least 1, or left out for all; got 0."
    )


def test_opening_and_asking_an_engine_loads_no_deep_learning_library(tiny_bundle: Path) -> None:
    script = (
        "import sys\n"
        "from tapereader.engine import Engine\n"
        "Engine(sys.argv[1]).predict(['profit rose'])\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'onnx'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny_bundle)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
