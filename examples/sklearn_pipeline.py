"""A fine-tuned network as one step of a scikit-learn pipeline, scored by cross-validation.

Needs the extra `train`. The headlines are synthetic: a program wrote them, and the scores say nothing about real news.

    python examples/sklearn_pipeline.py
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tapereader import TextClassifier
from tapereader.dataset import near_duplicate_groups
from tapereader.sources.synthetic import load_synthetic


def without_dateline(texts: list[str]) -> list[str]:
    """Drop what stands before a dash, as news agencies put place and date there."""
    return [text.split(" - ", 1)[-1] for text in texts]


def main() -> None:
    """Cross-validate the pipeline beside the rule that always says the most common label."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--backbone", default="minilm", help="name, Hugging Face folder, or hub id")
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--max-length", type=int, default=64)
    asked = options.parse_args()

    data = load_synthetic("synthetic-sentiment", n=asked.rows)
    labels = data.frame["label"].to_numpy()
    # Copies of one headline stay in one fold: a model must not be tested on what it has read.
    groups = near_duplicate_groups(data.texts, threshold=0.8).groups
    network = TextClassifier(backbone=asked.backbone, epochs=asked.epochs, max_length=asked.max_length)
    models = {
        "most common label": DummyClassifier(strategy="most_frequent"),
        "fine-tuned": make_pipeline(FunctionTransformer(without_dateline), network),
    }
    for name, model in models.items():
        scores = cross_val_score(
            model, data.texts, labels, groups=groups, cv=GroupKFold(3), scoring="f1_macro", error_score="raise"
        )
        print(f"{name}: macro-F1 {np.mean(scores):.3f} over {len(scores)} folds")


if __name__ == "__main__":
    main()
