"""Explaining end to end: texts and files in; words, how far to believe them and known texts out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.recipes.test_train import asked, write_rows
from tests.tiny_models import GOOD, write_model

from tapereader.bundle import Bundle
from tapereader.core.errors import BundleError, ConfigError, DataError
from tapereader.engine import Engine
from tapereader.recipes.ensemble import EnsembleConfig, ensemble
from tapereader.recipes.explain import MOST_TEXTS, explain
from tapereader.recipes.own_rows import open_own_rows
from tapereader.recipes.train import train

TEXTS = ["sales rose strong in the quarter", "the board fell weak warning"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of rows whose label follows from their words, and a bundle that has learnt them."""
    folder = tmp_path_factory.mktemp("explain")
    rows = write_rows(folder / "rows.csv", n=150)
    config = asked(
        write_model(folder / "tiny-bert"), rows, finetune={"epochs": 20}, judging={"baselines": [], "before": False}
    )
    return rows, train(config, folder / "bundle").bundle.path


def refusal(kind: type[Exception], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_gradients_are_taken_where_they_can_be_had_and_name_what_the_label_follows_from(
    trained: tuple[Path, Path],
) -> None:
    found = explain(trained[1], texts=TEXTS, label="positive", threads=1)
    assert (found.method, found.note, found.errors, found.against) == ("integrated-gradients", "", (), None)
    good, bad = found.explanations
    weights = dict(zip((word.text for word in good.words), good.weights, strict=True))
    assert max(weights, key=lambda name: weights[name]) in GOOD
    weights = dict(zip((word.text for word in bad.words), bad.weights, strict=True))
    assert min(weights, key=lambda name: weights[name]) in {"fell", "weak", "warning"}
    for one in found.explanations:
        assert one.completeness is not None
        assert one.completeness.complete
        gained = one.score - one.completeness.baseline_score
        assert abs(sum(one.weights) - gained) == pytest.approx(one.completeness.gap, abs=1e-4)
        assert one.completeness.gap <= 0.02 * max(abs(gained), 0.1)


def test_both_ways_of_weighing_beat_random_orders_on_a_network_that_has_learnt(trained: tuple[Path, Path]) -> None:
    own = open_own_rows(Bundle.load(trained[1]), str(trained[0]))
    texts = own.labelled.take(own.split.test).texts
    for method in ("integrated-gradients", "occlusion"):
        found = explain(trained[1], texts=texts, method=method, threads=1)  # type: ignore[arg-type]  # one of the two
        assert found.method == method
        assert found.faithfulness is not None
        assert found.faithfulness.n == len(texts)
        assert found.faithfulness.gain.low > 0.0


def test_the_answer_is_explained_as_the_engine_gives_it(trained: tuple[Path, Path]) -> None:
    engine = Engine(trained[1], threads=1)
    found = explain(trained[1], texts=TEXTS, method="occlusion", faithfulness=False, threads=1)
    for one, prediction, row in zip(found.explanations, engine.predict(TEXTS), engine.outputs(TEXTS), strict=True):
        assert (one.answer, one.label, one.faithfulness, one.completeness) == (
            prediction.label, prediction.label, None, None,
        )  # fmt: skip
        assert one.probability == pytest.approx(row.max())
        assert 1.0 / (1.0 + np.exp(-one.score)) == pytest.approx(row.max())


def test_the_answer_as_json_has_every_word_with_its_place_and_weight(trained: tuple[Path, Path]) -> None:
    found = explain(trained[1], texts=TEXTS, threads=1, neighbours=2, against=str(trained[0]))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(read) == {
        "bundle_id", "task", "kind", "language", "labels", "method", "note", "faithfulness", "against", "explanations",
        "errors",
    }  # fmt: skip
    one = read["explanations"][0]
    assert [word["text"] for word in one["words"]] == TEXTS[0].split()
    assert [word["weight"] for word in one["words"]] == list(found.explanations[0].weights)
    assert all(TEXTS[0][word["start"] : word["end"]] == word["text"] for word in one["words"])
    assert set(one["faithfulness"]) >= {"deletion", "insertion", "gain", "beaten", "n_random"}
    assert read["faithfulness"]["gain"]["level"] == 0.95


def test_neighbours_are_rows_of_the_training_part_alone(trained: tuple[Path, Path]) -> None:
    own = open_own_rows(Bundle.load(trained[1]), str(trained[0]))
    learnt = set(own.labelled.frame["row"].to_numpy()[own.split.train].tolist())
    texts = own.labelled.take(own.split.test).texts[:5]
    found = explain(
        trained[1],
        texts=texts,
        method="occlusion",
        faithfulness=False,
        neighbours=4,
        against=str(trained[0]),
        threads=1,
    )
    rows = [near.row for one in found.explanations for near in one.neighbours]
    assert len(rows) == 20
    assert set(rows) <= learnt
    assert found.against == {"dataset": "rows", "part": "train", "rows": len(own.split.train)}
    labels = own.labelled.frame.set_index("row")["label"]
    assert all(near.label == labels[near.row] for one in found.explanations for near in one.neighbours)


def test_neighbours_in_other_rows_than_the_bundles_own_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_rows(tmp_path / "other.csv", n=40)
    told = refusal(
        ConfigError,
        lambda: explain(trained[1], texts=TEXTS, method="occlusion", neighbours=1, against=str(other), threads=1),
    )
    assert told.startswith(f"The rows must be those bundle {Bundle.load(trained[1]).id!r} was made from")


def test_a_file_is_explained_row_by_row_and_rows_without_words_are_named(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    source = tmp_path / "news.csv"
    pd.DataFrame({"headline": ["sales rose", "", "sales fell", "profit"]}).to_csv(source, index=False)
    asked_for: dict[str, Any] = {"input": source, "text_column": "headline", "faithfulness": False, "threads": 1}
    told: list[tuple[str, int, int]] = []
    found = explain(trained[1], **asked_for, report=lambda *what: told.append(what))
    assert [(one.row, one.text) for one in found.explanations] == [(1, "sales rose"), (3, "sales fell"), (4, "profit")]
    assert found.errors == ({"row": 2, "error": "the text is empty"},)
    assert told[-1] == ("Explaining", 3, 3)
    assert [one.row for one in explain(trained[1], **asked_for, limit=3).explanations] == [1, 3]


def test_every_label_that_a_text_is_given_is_explained(make_bundle: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", kind="multi-label", names=("fraud", "default", "merger"))
    found = explain(bundle, texts=["profit rose strong", "loss fell"], method="occlusion", threads=1)
    answers = Engine(bundle, threads=1).predict(["profit rose strong", "loss fell"])
    for row, answer in enumerate(answers, start=1):
        labels = [one.label for one in found.explanations if one.row == row]
        assert labels == (answer.label.split("|") if answer.label else labels)
        assert labels
    only = explain(bundle, texts=["profit rose"], method="occlusion", label="merger", threads=1)
    assert [one.label for one in only.explanations] == ["merger"]


def test_a_regression_has_a_value_and_no_probability(make_bundle: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", kind="regression", names=("score",))
    (one,) = explain(bundle, texts=["profit rose strong"], method="occlusion", threads=1).explanations
    assert (one.answer, one.label, one.probability) == ("", "score", None)
    assert one.value == pytest.approx(one.score)
    assert one.faithfulness is not None


def test_a_named_target_goes_with_its_text(make_bundle: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", has_pair=True)
    found = explain(bundle, texts=["profit rose"] * 2, pairs=["acme", "globex"], method="occlusion", threads=1)
    assert [one.pair for one in found.explanations] == ["acme", "globex"]
    assert [word.text for word in found.explanations[0].words] == ["profit", "rose"]
    assert found.explanations[0].probability != found.explanations[1].probability
    told = refusal(DataError, lambda: explain(bundle, texts=["profit rose"], method="occlusion", threads=1))
    assert told.startswith(f"Bundle {bundle.id!r} asks about a second text, a named company; got none.")


def test_chinese_is_explained_by_character_or_by_what_belongs_together(tiny_bundle: Path) -> None:
    def words(**changes: Any) -> list[str]:
        found = explain(
            tiny_bundle, texts=["营业利润增长"], method="occlusion", faithfulness=False, threads=1, **changes
        )
        return [word.text for word in found.explanations[0].words]

    assert words() == list("营业利润增长")
    assert words(terms=["利润"]) == ["营", "业", "利润", "增", "长"]
    assert words(chinese="piece") == list("营业利润增长")


def test_where_gradients_cannot_be_had_auto_says_so_and_goes_on(tiny_bundle: Path) -> None:
    found = explain(tiny_bundle, texts=["profit rose"], threads=1)
    assert found.method == "occlusion"
    assert found.note.startswith(
        "Explained by occlusion. Gradients need one network of an encoder and a head in model/"
    )
    with pytest.raises(BundleError, match=r"it has no model/head\.safetensors"):
        explain(tiny_bundle, texts=["profit rose"], method="integrated-gradients", threads=1)


def test_an_ensemble_is_explained_by_occlusion(trained: tuple[Path, Path], tmp_path: Path) -> None:
    rows, member = trained
    config = asked(rows.parent / "tiny-bert", rows, finetune={"seed": 1}, judging={"baselines": [], "before": False})
    other = train(config, tmp_path / "other").bundle.path
    ensemble([member, other], tmp_path / "both", EnsembleConfig(), dataset=str(rows))
    found = explain(tmp_path / "both", texts=TEXTS, neighbours=1, against=str(rows), threads=1)
    assert found.method == "occlusion"
    assert "it is an ensemble of several networks" in found.note
    assert all(len(one.neighbours) == 1 for one in found.explanations)
    told = refusal(ConfigError, lambda: explain(tmp_path / "both", texts=TEXTS, chinese="piece", threads=1))
    assert told == (
        "`chinese` must be 'character' for an ensemble, whose members may each read other pieces; got 'piece'. Name "
        "what belongs together as `terms`."
    )


def test_occlusion_and_its_faithfulness_load_no_learning_library(tiny_bundle: Path) -> None:
    script = (
        "import sys\n"
        "from tapereader.recipes.explain import explain\n"
        "found = explain(sys.argv[1], texts=['profit rose'], method='occlusion')\n"
        "assert found.faithfulness is not None\n"
        "assert not {'torch', 'transformers', 'peft', 'safetensors'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tiny_bundle)], check=True)


def test_without_the_learning_libraries_auto_explains_by_occlusion(tiny_bundle: Path) -> None:
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'peft'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tapereader.core.errors import MissingExtraError\n"
        "from tapereader.recipes.explain import explain\n"
        "print(explain(sys.argv[1], texts=['profit rose']).note)\n"
        "try:\n"
        "    explain(sys.argv[1], texts=['profit rose'], method='integrated-gradients')\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny_bundle)], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "Explained by occlusion: integrated gradients need the extra `train`, which is not installed.",
        "The method of integrated gradients needs the extra `train`, which is not installed. Run: pip install "
        '"tapereader[train]".',
    ]


def test_what_does_not_go_together_is_refused(tiny_bundle: Path) -> None:
    def told(**changes: Any) -> str:
        return refusal(ConfigError, lambda: explain(tiny_bundle, method="occlusion", threads=1, **changes))

    assert told() == "Give either `texts` or `input`, and not both."
    assert told(texts=["a"], input="-") == "Give either `texts` or `input`, and not both."
    assert told(texts=["a"], n_random=19) == "`n_random` must be at least 20 orders to compare with; got 19."
    assert told(texts=["a"], against="rows.csv") == (
        "`neighbours` must be at least 1 to be looked for in `against`; got 0."
    )
    assert told(texts=["a"], label="nobody") == "A label must be one of negative, neutral, positive; got 'nobody'."
    assert told(texts=["a"] * (MOST_TEXTS + 1)) == (
        "At most 1,000 texts are explained in one call; got more. Give fewer, or a `limit`."
    )
    assert refusal(DataError, lambda: explain(tiny_bundle, texts=["", " "], threads=1)) == (
        "There must be at least one text to explain; got 2 rows, none with words in it."
    )
