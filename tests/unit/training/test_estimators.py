"""Fine-tuning behind scikit-learn's contract: clones, pipelines, folds, grids and its own checks."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="learning needs the extra train")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.core.errors import DataError
from tapereader.training.estimators import TextClassifier, TextRegressor

#: Checks of scikit-learn that hand over tables of numbers: there is no text in them to be read. All others are run.
NUMERIC = {
    "check_array_api_input", "check_classifier_data_not_an_array", "check_classifiers_classes",
    "check_classifiers_one_label", "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target", "check_classifiers_train", "check_complex_data", "check_dict_unchanged",
    "check_dont_overwrite_parameters", "check_dtype_object", "check_estimator_sparse_array",
    "check_estimator_sparse_matrix", "check_estimator_sparse_tag", "check_estimators_dtypes",
    "check_estimators_empty_data_messages", "check_estimators_fit_returns_self", "check_estimators_nan_inf",
    "check_estimators_overwrite_params", "check_estimators_pickle", "check_estimators_unfitted",
    "check_f_contiguous_array_estimator", "check_fit1d", "check_fit2d_1feature", "check_fit2d_1sample",
    "check_fit2d_predict1d", "check_fit_check_is_fitted", "check_fit_idempotent", "check_fit_score_takes_y",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_n_features_in",
    "check_n_features_in_after_fitting", "check_pipeline_consistency", "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input", "check_regressor_data_not_an_array", "check_regressors_int",
    "check_regressors_no_decision_function", "check_regressors_train", "check_requires_y_none",
    "check_supervised_y_2d", "check_supervised_y_no_nan",
}  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def rows() -> tuple[list[str], list[str]]:
    found = labelled_rows(n=24)
    return found.texts, found.frame["label"].tolist()


def classifier(bert: Path, **changes: Any) -> TextClassifier:
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "max_length": 32, "threads": 1} | changes
    return TextClassifier(backbone=str(bert), **settings)


def applicable(cls: Any) -> list[Any]:
    """Return the checks for an estimator of tables, less those that need numbers; for text scikit-learn lists none."""

    class AsTable(cls):  # type: ignore[misc]  # a class given at run time
        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array = True
            return tags

    found = estimator_checks.estimator_checks_generator(AsTable(), legacy=True, mark=None)
    return [check for _, check in found if _name(check) not in NUMERIC]


def _name(check: Any) -> str:
    return str(check.func.__name__ if isinstance(check, functools.partial) else check.__name__)


@pytest.mark.parametrize("check", applicable(TextClassifier), ids=_name)
def test_the_classifier_passes_the_checks_that_need_no_numbers(check: Any) -> None:
    check(TextClassifier())


@pytest.mark.parametrize("check", applicable(TextRegressor), ids=_name)
def test_the_regressor_passes_the_checks_that_need_no_numbers(check: Any) -> None:
    check(TextRegressor())


def test_enough_of_the_checks_are_run() -> None:
    names = {_name(check) for check in applicable(TextClassifier)}
    assert {
        "check_estimator_cloneable", "check_estimator_repr", "check_get_params_invariance", "check_set_params",
        "check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_estimator_tags_renamed",
    } <= names  # fmt: skip


def test_a_clone_has_the_parameters_and_nothing_learnt(bert: Path, rows: Any) -> None:
    fitted = classifier(bert, seed=3).fit(*rows)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(["profit rose"])
    again = copy.fit(*rows)
    assert np.array_equal(again.predict_proba(rows[0]), fitted.predict_proba(rows[0]))


def test_a_whole_recipe_stands_in_for_the_parameters(bert: Path, rows: Any) -> None:
    whole = clone(TextClassifier(config=recipe(bert, epochs=1, seed=7))).fit(*rows)
    assert whole.model_.config == recipe(bert, epochs=1, seed=7)


@pytest.mark.parametrize(
    "container",
    [
        list, np.asarray, pd.Series, lambda x: np.asarray(x, dtype=object), lambda x: pd.DataFrame({"text": x}),
        lambda x: np.asarray(x)[:, None],
    ],
)  # fmt: skip
def test_texts_come_in_any_container(container: Any, bert: Path, rows: Any) -> None:
    texts, labels = rows
    expected = classifier(bert, epochs=1).fit(texts, labels).predict_proba(texts)
    found = classifier(bert, epochs=1).fit(container(texts), labels).predict_proba(container(texts))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["down", "flat", "up"], ["down", "flat", "up"]), (["z", "m", "a"], ["a", "m", "z"]),
        ([2, 10, -1], [-1, 2, 10]),
        ([0.5, 1.5, -0.5], [-0.5, 0.5, 1.5]), ([True, False, True], [False, True]),
    ],
)  # fmt: skip
def test_classes_are_sorted_and_answers_are_of_the_labels_own_type(
    names: list[Any], order: list[Any], bert: Path, rows: Any
) -> None:
    texts, words = rows
    labels = [names[("negative", "neutral", "positive").index(word)] for word in words]
    fitted = classifier(bert, epochs=40).fit(texts, labels)
    assert fitted.classes_.tolist() == order
    found = fitted.predict(texts)
    assert found.dtype == np.asarray(labels).dtype
    assert (found == np.asarray(labels)).mean() > 0.5
    probabilities = fitted.predict_proba(texts)
    assert probabilities.shape == (24, len(order))
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert [order[c] for c in probabilities.argmax(axis=1)] == found.tolist()


def test_several_labels_a_text_are_columns_of_zero_and_one(bert: Path) -> None:
    found = labelled_rows("multi-label", n=24)
    fitted = classifier(bert, epochs=12).fit(found.texts, found.targets())
    answers = fitted.predict(found.texts)
    assert answers.shape == (24, 2)
    assert set(np.unique(answers)) <= {0, 1}
    assert 0 <= fitted.score(found.texts, found.targets().astype(int)) <= 1
    assert fitted.predict_proba(found.texts).shape == (24, 2)


def test_numbers_are_answered_on_their_own_scale(bert: Path) -> None:
    found = labelled_rows("regression", n=24)
    fitted = TextRegressor(config=recipe(bert, epochs=30)).fit(found.texts, found.targets())
    assert 3.0 < fitted.predict(found.texts).mean() < 17.0
    assert fitted.score(found.texts, found.targets()) > 0.3


def test_pipelines_folds_and_grids_work(bert: Path, rows: Any) -> None:
    texts, labels = (np.asarray(column) for column in rows)
    pipeline = make_pipeline(FunctionTransformer(_lowered), classifier(bert, epochs=1))
    assert pipeline.fit(texts, labels).predict(texts[:3]).shape == (3,)
    scores = cross_val_score(pipeline, texts, labels, cv=2)
    assert scores.shape == (2,)
    grid = GridSearchCV(classifier(bert, epochs=1), {"seed": [0, 1], "method": ["full", "head"]}, cv=2, refit=True)
    grid.fit(texts, labels)
    assert len(grid.cv_results_["params"]) == 4
    assert grid.best_estimator_.get_params()["seed"] == grid.best_params_["seed"]


def _lowered(texts: Any) -> Any:
    return np.char.lower(texts)


def test_learning_leaves_texts_and_labels_as_they_were(bert: Path, rows: Any) -> None:
    texts, labels = list(rows[0]), list(rows[1])
    classifier(bert, epochs=1).fit(texts, labels)
    assert (texts, labels) == (list(rows[0]), list(rows[1]))


def test_what_cannot_be_learnt_from_is_refused(bert: Path) -> None:
    model = classifier(bert)
    cases: list[tuple[Any, Any, str]] = [
        ("profit rose", ["up"], "Texts must be a list of text; got one text. Put it in a list."),
        ([], [], "There must be at least one text; got none."),
        (["profit", "  "], ["up", "down"], "Every text must be non-empty text; got '  ' at position 1."),
        (["profit", None], ["up", "down"], "Every text must be non-empty text; got None at position 1."),
        (["profit", 3], ["up", "down"], "Every text must be non-empty text; got 3 at position 1."),
        (["profit", "loss"], ["up"], "There must be one label for each of 2 texts; got 1."),
        (["profit", "loss"], ["up", "up"], "There must be two classes or more to learn; got only ['up']."),
        (["profit", "loss"], np.array(["up", None], dtype=object),
         "Every label must be given; got a missing one at position 1."),
        (np.array([["a", "b"]]), ["up"], "Texts must be one column; got an array of shape (1, 2)."),
    ]  # fmt: skip
    for texts, labels, message in cases:
        with pytest.raises(DataError) as caught:
            model.fit(texts, labels)
        assert str(caught.value) == message
    with pytest.raises(DataError) as caught:
        TextRegressor().fit(["profit", "loss"], [1.0, np.nan])
    assert str(caught.value) == "There must be one finite number for each of 2 texts; got shape (2,)."
