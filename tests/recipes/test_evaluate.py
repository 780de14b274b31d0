"""A bundle judged again: its own test part gives the stored numbers, and other rows are never mistaken for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="training writes a graph, which needs the extra train")
pytest.importorskip("peft", reason="learning needs the extra train")

from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.core.errors import BundleError, ConfigError, DataError
from tapereader.recipes.data import FileOptions
from tapereader.recipes.evaluate import evaluate
from tapereader.recipes.train import train
from tapereader.recipes.train_config import TrainConfig


def write_rows(path: Path, *, seed: int = 5, n: int = 60, kind: str = "single-label", start: int = 0) -> Path:
    rows = labelled_rows(kind, n=n, seed=seed)
    numbered = enumerate(zip(rows.texts, rows.frame["label"], strict=True), start)
    lines = [f"{text} {number},{label}" for number, (text, label) in numbered]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return path


def make(folder: Path, **changes: Any) -> Any:
    bert = write_model(folder / "tiny-bert")
    kind = changes.pop("kind", "single-label")
    config = TrainConfig.from_mapping({
        "dataset": str(write_rows(folder / "rows.csv", kind=kind)), "split": {"validation": 0.2, "test": 0.2},
        "columns": {"task_kind": kind}, "finetune": recipe(bert, epochs=3).model_dump(mode="json"),
        "judging": {"baselines": ["majority", "word-list", "tfidf"], "abstain_at": 0.6},
    } | changes)  # fmt: skip
    return train(config, folder / "bundle")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make(tmp_path_factory.mktemp("evaluate"))


def test_its_own_test_part_gives_the_stored_numbers_exactly(made: Any) -> None:
    found = evaluate(made.bundle.path, str(made.bundle.path.parent / "rows.csv"))
    stored = json.loads((made.bundle.path / "evaluation.json").read_text(encoding="utf-8"))
    assert (found.part, found.n, found.seen) == ("test", 12, "")
    ours, theirs = json.loads(json.dumps(found.to_dict())), stored
    # Graph and network differ in the seventh digit: what counts rows is equal, what averages probabilities near.
    for metric, score in theirs["evaluation"]["metrics"].items():
        for end, value in score.items():
            assert ours["evaluation"]["metrics"][metric][end] == pytest.approx(value, abs=1e-5), (metric, end)
    for name in ("confusion", "per_class", "coverage", "n_groups"):
        assert ours["evaluation"][name] == theirs["evaluation"][name], name
    assert ours["baselines"] == {name: theirs["baselines"][name] for name in ours["baselines"]}
    for name, comparison in ours["comparisons"].items():
        assert comparison == theirs["comparisons"][name], name


def test_what_the_bundle_keeps_is_shown_with_its_own_test_part_alone(tmp_path: Path) -> None:
    made = make(tmp_path, judging={"baselines": ["majority", "frozen-embedding"]})
    found = evaluate(made.bundle, str(tmp_path / "rows.csv"), baselines=("majority",))
    assert found.kept == ("frozen-embedding", "before")
    assert list(found.baselines) == ["majority", "frozen-embedding"]
    assert found.before is not None
    shown, stored = found.to_dict(), json.loads(json.dumps(made.facts))
    shown = json.loads(json.dumps(shown))
    assert shown["before"] == stored["before"]
    assert shown["baselines"]["frozen-embedding"] == stored["baselines"]["frozen-embedding"]
    assert shown["comparisons"] == stored["comparisons"]
    plain = evaluate(made.bundle, str(tmp_path / "rows.csv"), baselines=())
    assert (plain.kept, plain.baselines) == (("before",), {})
    whole = evaluate(made.bundle, str(tmp_path / "rows.csv"), part="all")
    assert (whole.kept, whole.before, whole.comparisons) == ((), None, {})


def test_a_bundle_that_answers_in_words_is_judged_as_its_training_judged_it(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv")
    gpt2 = write_model(tmp_path / "gpt2", "gpt2")
    values = recipe(gpt2, epochs=1, max_length=23).model_dump(mode="json")
    values["optimizer"] |= {"head_learning_rate": 1e-3}
    config = TrainConfig.from_mapping({
        "dataset": str(rows), "split": {"validation": 0.2, "test": 0.2}, "finetune": values, "answer": "words",
        "question": "which way ?", "judging": {"baselines": ["majority"]},
    })  # fmt: skip
    made = train(config, tmp_path / "said")
    found = evaluate(made.bundle.path, str(rows), baselines=("majority",))
    assert (found.part, found.n, found.before) == ("test", 12, None)
    assert found.evaluation.to_dict() == made.facts["evaluation"]
    assert found.comparisons["majority"].to_dict() == made.facts["comparisons"]["majority"]
    cut = "texts are longer, with their question, than the 23 tokens of `finetune.max_length`: the middle of each is "
    assert made.warnings[-1] == f"60 of 60 {cut}not read."
    assert found.notes == (f"12 of 12 {cut}not read.",)
    from tapereader.recipes.predict import predict

    assert predict(made.bundle, texts=["rose", "the company " * 20])["cut"] == 1
    card = (made.bundle.path / "README.md").read_text(encoding="utf-8")
    assert "needs no torch" not in card
    assert "It answers in words, so reading it needs torch: install the extra `train`." in card
    code = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(made.bundle.path))
    exec(code, {})  # noqa: S102  the way to open it that the card gives


def test_fields_that_change_nothing_in_words_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    config = TrainConfig.from_mapping({
        "dataset": "nowhere.csv", "answer": "words", "judging": {"coverage": 0.8},
        "finetune": {"objective": {"loss": "focal"}, "early_stopping_patience": 2, "trackers": ["tensorboard"],
                     "head_dropout": 0.3, "epochs": 5, "optimizer": {"layer_decay": 0.9}},
    })  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        train(config, tmp_path / "said")
    assert str(caught.value) == (
        "A training whose answer is in words must be given only fields that it uses; got "
        "finetune.objective.loss='focal', finetune.optimizer.layer_decay=0.9, finetune.head_dropout=0.3, "
        "finetune.early_stopping_patience=2, finetune.trackers=['tensorboard'], judging.coverage=0.8. Leave these out, "
        "or train with `answer=labels`."
    )


def test_scores_of_text_that_a_program_wrote_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tapereader.cli.app import main

    quick = recipe(tmp_path / "tiny-bert", epochs=1, max_length=16).model_dump(mode="json")
    bundle = make(
        tmp_path, dataset="synthetic-sentiment", columns={}, split={"validation": 0.05, "test": 0.05}, finetune=quick,
        judging={"baselines": ["majority"], "before": False},
    ).bundle  # fmt: skip
    for words, told in ((("--json",), None), ((), "Synthetic data, written by a program: these scores say nothing")):
        with pytest.raises(SystemExit):
            main(["evaluate", str(bundle.path), "synthetic-sentiment", "--no-baselines", *words])
        out = capsys.readouterr().out
        assert json.loads(out)["synthetic"] is True if told is None else out.startswith(told)


def test_real_rows_carry_no_mark(made: Any) -> None:
    assert evaluate(made.bundle, str(made.bundle.path.parent / "rows.csv"), baselines=()).synthetic is False


def test_a_regression_is_judged_the_same_way(tmp_path: Path) -> None:
    found = make(tmp_path, kind="regression", judging={"baselines": ["majority"]})
    options = FileOptions(task_kind="regression")
    again = evaluate(found.bundle, str(tmp_path / "rows.csv"), options=options, baselines=())
    assert again.evaluation.headline == "r2"
    stored = found.facts["evaluation"]["metrics"]
    for metric, score in again.evaluation.metrics.items():
        assert score["value"] == pytest.approx(stored[metric]["value"], abs=1e-5)
    assert again.baselines == {}


def test_rows_of_one_group_count_once_in_every_interval_test_and_inner_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty stories of three rows, no two of them near-copies: the ``group`` column alone binds them."""
    from tapereader.training.baselines import TfidfLinear

    rows = labelled_rows(n=150, seed=5)
    numbered = enumerate(zip(rows.texts, rows.frame["label"], strict=True))
    lines = [f"{text} {number},{label},story {number // 3}" for number, (text, label) in numbered]
    (tmp_path / "told.csv").write_text("\n".join(["text,label,story", *lines]) + "\n", encoding="utf-8")
    given: list[Any] = []
    fit = TfidfLinear.fit

    def watched(self: Any, texts: Any, targets: Any, **rest: Any) -> Any:
        given.append((list(texts), rest["groups"]))
        return fit(self, texts, targets, **rest)

    monkeypatch.setattr(TfidfLinear, "fit", watched)
    made = make(
        tmp_path, dataset=str(tmp_path / "told.csv"), columns={"task_kind": "single-label", "group": "story"},
        judging={"baselines": ["tfidf"]},
    )  # fmt: skip
    found = evaluate(made.bundle, str(tmp_path / "told.csv"), options=FileOptions(group="story"), baselines=("tfidf",))
    stories = found.n // 3
    assert found.n > 20
    stored = made.facts
    assert stored["evaluation"]["n_groups"] == found.evaluation.n_groups == stories
    assert stored["comparisons"]["tfidf"]["n_groups"] == found.comparisons["tfidf"].n_groups == stories
    assert [part.to_dict() for part in found.slices] == stored["slices"]
    assert len(given) == 2
    for texts, groups in given:
        of_text = [int(text.split()[-1]) // 3 for text in texts]
        pairs = set(zip(of_text, groups.tolist(), strict=True))
        assert len(pairs) == len(set(of_text)) == len(set(groups.tolist()))
    whole = evaluate(made.bundle, str(tmp_path / "told.csv"), part="all", options=FileOptions(group="story"))
    assert whole.evaluation.n_groups == 50


@pytest.mark.parametrize(("part", "n"), [("train", 36), ("validation", 12), ("all", 60)])
def test_rows_it_has_seen_are_judged_only_when_asked_and_named_so(part: Any, n: int, made: Any) -> None:
    found = evaluate(made.bundle, str(made.bundle.path.parent / "rows.csv"), part=part)
    assert found.n == n
    assert found.seen == f"These rows ({part}) were used to make the bundle: the scores are not what new text will get."
    assert found.baselines == {}


def test_other_rows_are_judged_whole(made: Any, tmp_path: Path) -> None:
    other = write_rows(tmp_path / "other.csv", seed=9, n=30, start=100)
    found = evaluate(made.bundle, str(other))
    assert (found.part, found.n, found.seen, found.baselines) == ("all", 30, "", {})
    with pytest.raises(ConfigError) as caught:
        evaluate(made.bundle, str(other), part="test")
    assert str(caught.value) == (
        "`split` must be 'all' for rows the bundle was not trained on; got 'test'. The bundle has a split of rows "
        "only, with the contents it had then."
    )


def test_one_changed_row_is_another_data_set(made: Any, tmp_path: Path) -> None:
    changed = tmp_path / "rows.csv"
    lines = (made.bundle.path.parent / "rows.csv").read_text(encoding="utf-8").splitlines()
    changed.write_text("\n".join([*lines[:-1], lines[-1].replace(",", " more,")]) + "\n", encoding="utf-8")
    assert evaluate(made.bundle, str(changed)).part == "all"


def test_a_split_that_cannot_be_made_again_is_told(made: Any) -> None:
    from dataclasses import replace

    other = replace(made.bundle, manifest=made.bundle.manifest | {"split_ids": {"stratified": "0" * 12}})
    with pytest.raises(BundleError) as caught:
        evaluate(other, str(made.bundle.path.parent / "rows.csv"))
    found = next(iter(made.bundle.manifest["split_ids"].values()))
    assert str(caught.value) == (
        f"The split of bundle {made.bundle.id!r} must be made again to the row; got {found!r}, and the bundle holds "
        "['000000000000']. It was made by another version; judge with `--split all`."
    )


def test_other_labels_and_a_missing_second_text_are_refused(made: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    lines = [f"{text} {n},{('up', 'down')[n % 2]}" for n, text in enumerate(labelled_rows(n=12).texts)]
    other.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        evaluate(made.bundle, str(other))
    assert str(caught.value) == (
        f"Bundle {made.bundle.id!r} has the labels ['negative', 'neutral', 'positive']; data set {str(other)!r} has "
        "['down', 'up']."
    )
    paired = tmp_path / "paired.csv"
    lines = (made.bundle.path.parent / "rows.csv").read_text(encoding="utf-8").splitlines()
    paired.write_text("\n".join(["text,label,company", *(f"{line},acme" for line in lines[1:])]) + "\n", "utf-8")
    with pytest.raises(DataError) as caught:
        evaluate(made.bundle, str(paired), options=FileOptions(text="text", label="label", pair="company"))
    assert str(caught.value) == (
        f"Bundle {made.bundle.id!r} does not ask about a second text; data set {str(paired)!r} has one."
    )


def test_an_unknown_baseline_is_refused_by_name(made: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(made.bundle, str(made.bundle.path.parent / "rows.csv"), baselines=("frozen-embedding",))
    assert str(caught.value) == "`baselines` must be among majority, word-list, tfidf; got 'frozen-embedding'."


@pytest.mark.slow
def test_judging_needs_no_deep_learning_library(made: Any) -> None:
    script = (
        "import sys\n"
        "from tapereader.recipes.evaluate import evaluate\n"
        "print(evaluate(sys.argv[1], sys.argv[2]).n)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    words = [sys.executable, "-c", script, str(made.bundle.path), str(made.bundle.path.parent / "rows.csv")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "12\n"
