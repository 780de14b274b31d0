"""A linear model over ready features that answers as a label contract asks, its strength chosen on an inner split."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedGroupKFold, StratifiedKFold

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError
from tapereader.metrics import macro_f1, rmse

Targets = NDArray[Any]
#: Inverse strengths of the penalty that are tried; Ridge takes one over them.
STRENGTHS = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0)
#: Fewer rows than this cannot spare a fifth for choosing.
_LEAST_FOR_CHOICE = 50


class LinearHead:
    """Balanced logistic regression, one a label for multi-label; ridge regression for a number.

    The penalty's strength is the one that scores best on a fifth of the training rows (macro-F1, or the root mean
    squared error), then all rows are fitted with it. Classes are balanced, so probabilities lean towards rare classes:
    the scores of labels are fair, those of calibration are this rule's weakness.

    Parameters
    ----------
    contract : label contract
    seed : of the inner split
    strengths : inverse penalties that are tried

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> head = LinearHead(two).fit(np.array([[-1.0], [1.0]] * 10), np.array([0, 1] * 10))
    >>> head.outputs(np.array([[2.0]])).argmax(axis=1).tolist()
    [1]
    """

    def __init__(self, contract: LabelContract, *, seed: int = 0, strengths: tuple[float, ...] = STRENGTHS) -> None:
        self.contract = contract
        self.seed = seed
        self.strengths = strengths
        self.strength: float | None = None
        self._models: list[Any] = []

    def fit(self, features: Any, targets: Targets, *, groups: Targets | None = None) -> Self:
        """Choose the strength and fit.

        Parameters
        ----------
        features : array or sparse matrix (N, F)
        targets : as the contract's targets are: (N,) positions, (N, C) of 0 and 1, or (N,) values
        groups : N names of groups that stay on one side of the inner split, or None

        Raises
        ------
        DataError
            If there is no row, or features and targets differ in length.
        """
        n = features.shape[0]
        if n == 0 or n != len(targets):
            raise DataError(f"Features and targets must have the same rows, at least one; got {n} and {len(targets)}.")
        self.strength = self._choose(features, targets, groups)
        self._models = self._fitted(features, targets, self.strength)
        return self

    def outputs(self, features: Any) -> FloatArray:
        """Return probabilities (N, C), or values (N,) for regression, in the form that decoded logits have.

        Raises
        ------
        DataError
            If it was not fitted.
        """
        if not self._models:
            raise DataError("A linear head must be fitted before it answers. Call `fit`.")
        return self._answered(self._models, features)

    def _choose(self, features: Any, targets: Targets, groups: Targets | None) -> float:
        plain = 1.0 if 1.0 in self.strengths else self.strengths[0]
        if len(self.strengths) == 1 or features.shape[0] < _LEAST_FOR_CHOICE:
            return plain
        inner = self._inner_split(targets, groups)
        if inner is None:
            return plain
        train, held_out = inner
        scores = []
        for strength in self.strengths:
            given = self._answered(self._fitted(features[train], targets[train], strength), features[held_out])
            scores.append(self._score(targets[held_out], given))
        return self.strengths[int(np.argmax(scores))]

    def _inner_split(self, targets: Targets, groups: Targets | None) -> tuple[Targets, Targets] | None:
        rows = np.zeros(len(targets))
        if targets.ndim == 2 or self.contract.kind == "regression":
            shuffle = ShuffleSplit if groups is None else GroupShuffleSplit
            if groups is not None and len(np.unique(groups)) < 2:
                return None
            split = shuffle(n_splits=1, test_size=0.2, random_state=self.seed).split(rows, groups=groups)
            train, held_out = next(iter(split))
            return train, held_out
        if np.bincount(targets).max() < 5 or (groups is not None and len(np.unique(groups)) < 5):
            return None
        folds = StratifiedKFold if groups is None else StratifiedGroupKFold
        with warnings.catch_warnings():
            # A class with fewer rows than folds cannot be in each of them; that is no fault of the caller's.
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            split = folds(n_splits=5, shuffle=True, random_state=self.seed).split(rows, targets, groups)
            train, held_out = next(iter(split))
        return train, held_out

    def _score(self, targets: Targets, given: FloatArray) -> float:
        if self.contract.kind == "regression":
            return -rmse(targets, given)
        if targets.ndim == 2:
            return float(np.nan_to_num(macro_f1(targets, (given >= 0.5).astype(np.float64))))
        return macro_f1(targets, given.argmax(axis=1))

    def _fitted(self, features: Any, targets: Targets, strength: float) -> list[Any]:
        if self.contract.kind == "regression":
            return [Ridge(alpha=1.0 / strength).fit(features, targets)]
        columns = targets.T if targets.ndim == 2 else [targets]
        return [_classifier(features, np.asarray(column, dtype=np.int64), strength, self.seed) for column in columns]

    def _answered(self, models: list[Any], features: Any) -> FloatArray:
        n = features.shape[0]
        if self.contract.kind == "regression":
            return np.asarray(models[0].predict(features), dtype=np.float64)
        out = np.zeros((n, len(self.contract.names)))
        if self.contract.kind == "multi-label":
            for column, model in enumerate(models):
                out[:, column] = float(model) if isinstance(model, int) else model.predict_proba(features)[:, 1]
        elif isinstance(models[0], int):
            out[:, models[0]] = 1.0
        else:
            out[:, models[0].classes_] = models[0].predict_proba(features)
        return out


def _classifier(features: Any, column: NDArray[np.int64], strength: float, seed: int) -> Any:
    classes = np.unique(column)
    if len(classes) == 1:
        return int(classes[0])
    # liblinear is the faster one on sparse features but answers two classes only.
    solver = "liblinear" if len(classes) == 2 else "lbfgs"
    model = LogisticRegression(
        C=strength, class_weight="balanced", solver=solver, max_iter=300, tol=1e-3, random_state=seed
    )
    with warnings.catch_warnings():
        # A baseline that stops at 300 steps is as good as converged for choosing labels.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, column)
