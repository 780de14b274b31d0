"""A text gets the same answer alone and in any batch: ``python benchmarks/invariance.py BUNDLE [BUNDLE ...]``.

Needs ``TAPEREADER_DATA``. Scores 1,000 Financial PhraseBank sentences one by one and in 50 random orders and batch
sizes, on every backend that is installed, and reports the greatest difference of a probability and how sure a text must
be for its label never to change. Then keeps the answers in a store and reads them back, also after they were asked
again on another backend: equal to the last bit. One cell for each bundle and backend in
``benchmarks/results/invariance``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cells import cells, measured
from numpy.typing import NDArray

from tapereader.bundle import Bundle
from tapereader.engine import Engine
from tapereader.engine.backends import usable_backends
from tapereader.governance import collect_hardware
from tapereader.recipes.stored import StoredAnswers
from tapereader.sources import load_dataset
from tapereader.store import PredictionStore

EXPERIMENT = "invariance"
SET, TEXTS, BATCHES = "financial-phrasebank", 1000, 50


def sentences() -> list[str]:
    """Return the first thousand distinct sentences."""
    return list(dict.fromkeys(load_dataset(SET).texts))[:TEXTS]


def measure(bundle: Bundle, backend: str, threads: int) -> dict[str, Any]:
    """Compare the answers of one backend alone and in company."""
    texts = sentences()
    engine = Engine(bundle, backend=backend, threads=threads)
    alone = np.vstack([engine.outputs([text]) for text in texts])
    random = np.random.default_rng(0)
    worst, widest = 0.0, 0.0
    for _ in range(BATCHES):
        size = int(random.integers(2, 400))
        chosen = random.permutation(len(texts))[:size]
        together = engine.outputs([texts[i] for i in chosen])
        worst = max(worst, float(np.abs(together - alone[chosen]).max()))
        changed = together.argmax(axis=1) != alone[chosen].argmax(axis=1)
        widest = max(widest, float(_margins(alone[chosen])[changed].max(initial=0.0)))
    return {
        "title": title_of(bundle),
        "texts": len(texts),
        "batches": BATCHES,
        "largest_difference": worst,
        "label_changed_up_to_margin": widest,
        "stored": stored_twice(bundle, backend, texts),
    }


def title_of(bundle: Bundle) -> str:
    """Return how a bundle was made, in a word."""
    manifest = bundle.manifest
    return str(manifest["config"].get("method", manifest["kind"])) if manifest["kind"] == "optimize" else "as trained"


def _margins(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the first label is ahead of the second."""
    ordered = np.sort(outputs, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def stored_twice(bundle: Bundle, backend: str, texts: list[str]) -> dict[str, Any]:
    """Keep answers in a store, and read them in another order, in another batch and through another backend."""
    with tempfile.TemporaryDirectory() as room, PredictionStore.open(Path(room) / "store.db") as store:
        first = StoredAnswers(Engine(bundle, backend=backend), store).predict(texts, skip_empty=False)
        later = StoredAnswers(Engine(bundle, backend="onnxruntime"), store)
        second = list(reversed(later.predict(list(reversed(texts)), skip_empty=False)))
        one_by_one = [later.predict([text], skip_empty=False)[0] for text in texts[:100]]
    return {
        "identical": bool(list(first) == second and list(first)[:100] == one_by_one),
        "read_and_not_computed": later.n_stored,
    }


def invariance_section() -> Iterator[str]:
    """Yield the section on answers alone and in batches."""
    found = list(cells(EXPERIMENT))
    if not found:
        return
    yield from (
        "## The same answer in every batch",
        "",
        f"`python benchmarks/invariance.py BUNDLE ...`: {TEXTS:,} Financial PhraseBank sentences alone and in",
        f"{BATCHES} random batches. A label that changed would have been ahead of the next by at most the margin.",
        "*Stored* answers were read later, in other batches and under another backend.",
        "",
        "| bundle | backend | largest difference of a probability | largest margin of a changed label | stored |",
        "|---|---|---:|---:|---|",
    )
    for cell in sorted(found, key=lambda one: (one["result"]["title"] != "as trained", one["result"]["title"])):
        key, result = cell["key"], cell["result"]
        margin = result["label_changed_up_to_margin"]
        same = "equal to the last bit" if result["stored"]["identical"] else "**not equal**"
        yield (
            f"| {result['title']} (`{key['bundle']}`) | {key['backend']} | {result['largest_difference']:.0e} "
            f"| {f'{margin:.3f}' if margin else 'none changed'} | {same} |"
        )
    yield ""


def main() -> None:
    """Read the command line and measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for path in options.bundles:
        bundle = Bundle.load(path)
        for backend in usable_backends(bundle, collect_hardware()["flags"]):
            key = {"bundle": bundle.id, "backend": backend, "set": SET, "texts": TEXTS, "batches": BATCHES}
            cell = measured(EXPERIMENT, key, lambda b=bundle, n=backend: measure(b, n, options.threads))
            if cell is not None:
                print(f"{path} {backend}: {cell['result']}", flush=True)


if __name__ == "__main__":
    main()
