"""Fine-tuning behind scikit-learn's contract: texts in, labels or numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from tapereader.bundle.calibration import decode
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError
from tapereader.models.adapters import AdapterConfig, Method
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence
from tapereader.training.optimization import OptimizerConfig
from tapereader.training.trainer import FinetuneConfig, FinetunedModel, finetune

Texts: TypeAlias = "Sequence[str] | NDArray[Any] | pd.Series[Any]"


class _TextEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What classifier and regressor share: parameters, checks of the texts, and the fit."""

    def __init__(
        self,
        *,
        backbone: str = "minilm",
        method: Method = "full",
        epochs: int = 3,
        batch_size: int = 32,
        learning_rate: float | None = None,
        max_length: int = 128,
        seed: int = 0,
        threads: int | None = None,
        config: FinetuneConfig | None = None,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_length = max_length
        self.seed = seed
        self.threads = threads
        self.config = config

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.non_deterministic = False
        return tags

    def _fit(self, texts: list[str], labels: list[Any], contract: LabelContract) -> None:
        card = DatasetCard(
            name="in-memory", title="Text in memory", task="classification", contract=contract, language="unknown",
            licence=Licence(name="not stated", commercial_use=None), origin="your texts",
        )  # fmt: skip
        frame = pd.DataFrame({"row": np.arange(1, len(texts) + 1), "text": texts, "label": labels})
        self.contract_ = contract
        self.model_: FinetunedModel = finetune(LabelledText(card, frame), None, self._config())

    def _config(self) -> FinetuneConfig:
        if self.config is not None:
            return self.config
        return FinetuneConfig(
            backbone=self.backbone,
            adapter=AdapterConfig(method=self.method),
            optimizer=OptimizerConfig(learning_rate=self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            max_length=self.max_length,
            seed=self.seed,
            threads=self.threads,
        )

    def _outputs(self, X: Texts) -> NDArray[np.float64]:  # noqa: N803  # scikit-learn's name
        check_is_fitted(self, "model_")
        return decode(self.contract_, self.model_.logits(_check_texts(X)), self.model_.calibration)


class TextClassifier(ClassifierMixin, _TextEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fine-tuned network as a scikit-learn classifier of texts.

    Clones, pipelines, ``cross_val_score`` and ``GridSearchCV`` work. ``y`` is one label a text, or a 0/1 array (N, C)
    for several. The probabilities are not calibrated: that takes rows of its own, which ``tapereader train`` sets
    aside.

    Parameters
    ----------
    backbone : registered name, Hugging Face folder or hub id
    method : what learns, see :class:`~tapereader.models.adapters.AdapterConfig`
    epochs, batch_size, learning_rate, max_length, seed, threads : see
        :class:`~tapereader.training.trainer.FinetuneConfig`
    config : a whole recipe, instead of the parameters above

    Attributes
    ----------
    classes_ : array (C,) of the labels seen, sorted; the order of the columns of ``predict_proba``
    contract_, model_ : label contract and trained network

    Examples
    --------
    >>> TextClassifier(epochs=1).get_params()["epochs"]
    1
    """

    def fit(self, X: Texts, y: ArrayLike) -> Self:  # noqa: N803  # scikit-learn's name
        """Fine-tune on N texts.

        Parameters
        ----------
        X : N texts
        y : N labels, or array (N, C) of 0 and 1

        Raises
        ------
        DataError
            If texts are missing or not text, lengths differ, or there is one class only.
        """
        texts = _check_texts(X)
        labels = np.asarray(y)
        if len(labels) != len(texts):
            raise DataError(f"There must be one label for each of {len(texts)} texts; got {len(labels)}.")
        if labels.ndim == 2:
            self.classes_ = np.arange(labels.shape[1])
            names = tuple(str(name) for name in self.classes_)
            rows = [tuple(names[c] for c in np.flatnonzero(row)) for row in labels]
            self._fit(texts, rows, LabelContract(kind="multi-label", names=names))
            return self
        if pd.isna(labels).any():
            raise DataError(
                f"Every label must be given; got a missing one at position {int(pd.isna(labels).argmax())}."
            )
        self.classes_, positions = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"There must be two classes or more to learn; got only {self.classes_.tolist()!r}.")
        names = tuple(f"{name}" for name in self.classes_)
        self._fit(texts, [names[p] for p in positions], LabelContract(kind="single-label", names=names))
        return self

    def predict_proba(self, X: Texts) -> NDArray[np.float64]:  # noqa: N803  # scikit-learn's name
        """Return probabilities (N, C), columns as in ``classes_``."""
        return self._outputs(X)

    def predict(self, X: Texts) -> NDArray[Any]:  # noqa: N803  # scikit-learn's name
        """Return N labels, or array (N, C) of 0 and 1."""
        outputs = self._outputs(X)
        if self.contract_.kind == "multi-label":
            return (outputs >= 0.5).astype(np.int64)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])


class TextRegressor(RegressorMixin, _TextEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fine-tuned network as a scikit-learn regressor of texts; parameters as in :class:`TextClassifier`."""

    def fit(self, X: Texts, y: ArrayLike) -> Self:  # noqa: N803  # scikit-learn's name
        """Fine-tune on N texts with N finite numbers.

        Raises
        ------
        DataError
            If texts or numbers are missing, or lengths differ.
        """
        texts = _check_texts(X)
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (len(texts),) or not np.isfinite(values).all():
            raise DataError(
                f"There must be one finite number for each of {len(texts)} texts; got shape {values.shape}."
            )
        self._fit(texts, values.tolist(), LabelContract(kind="regression", names=("value",)))
        return self

    def predict(self, X: Texts) -> NDArray[np.float64]:  # noqa: N803  # scikit-learn's name
        """Return N numbers on the target's own scale."""
        return self._outputs(X)


def _check_texts(X: Texts) -> list[str]:  # noqa: N803  # scikit-learn's name
    if isinstance(X, str):
        raise DataError("Texts must be a list of text; got one text. Put it in a list.")
    values = X.iloc[:, 0] if isinstance(X, pd.DataFrame) and X.shape[1] == 1 else X
    array = np.asarray(values, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"Texts must be one column; got an array of shape {array.shape}.")
    if len(array) == 0:
        raise DataError("There must be at least one text; got none.")
    for position, text in enumerate(array):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"Every text must be non-empty text; got {text!r} at position {position}.")
    return [str(text) for text in array]
