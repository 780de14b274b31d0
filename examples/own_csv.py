"""From a CSV file of one's own to a bundle, in Python; the same as `tapereader train` and `predict`.

Needs the extra `train`. Without --input it writes a small synthetic file first: a program wrote those headlines, and
the scores say nothing about real news.

    python examples/own_csv.py --out runs/own
    python examples/own_csv.py --out runs/own --input headlines.csv --text headline --label tone
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tapereader import Engine
from tapereader.recipes.train import train
from tapereader.recipes.train_config import build_config
from tapereader.sources.synthetic import load_synthetic


def main() -> None:
    """Train on a file, say how good it is, and ask it something."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, required=True, help="folder of the bundle, which must not exist")
    options.add_argument("--input", type=Path, help="CSV, Parquet or JSONL")
    options.add_argument("--text", default="headline", help="its column of texts")
    options.add_argument("--label", default="tone", help="its column of labels")
    options.add_argument("--backbone", help="name, Hugging Face folder, or hub id")
    options.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="change one field")
    asked = options.parse_args()

    path = asked.input
    if path is None:
        path = asked.out.with_name(f"{asked.out.name}-rows.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = load_synthetic("synthetic-sentiment", n=600).frame
        rows[["text", "label"]].set_axis([asked.text, asked.label], axis=1).to_csv(path, index=False)

    config = build_config(
        None,
        profile="fast",
        values={
            "dataset": str(path),
            "columns": {"text": asked.text, "label": asked.label},
            "finetune": {"backbone": asked.backbone},
        },
        overrides=tuple(asked.set),
    )
    made = train(config, asked.out, report=lambda what, done, of: print(f"{what} {done}/{of}" if of else what))
    score = made.facts["evaluation"]["metrics"]["macro_f1"]
    print(f"macro-F1 {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}) on rows it never saw")
    print(f"report: {made.report}")

    answer = Engine(asked.out).predict(["Operating profit rose to EUR 13.1m from EUR 8.7m"])[0]
    print(f"answer: {answer.label}, {max(answer.probabilities):.0%} sure")


if __name__ == "__main__":
    main()
