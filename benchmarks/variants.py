"""What making a network smaller costs and gives: ``python benchmarks/variants.py``.

Needs ``TAPEREADER_DATA``. Trains MiniLM on a data set, and MPNet as a teacher, with the commands a user would give
(once, into ``build/variants``); makes each variant with ``tapereader optimize``, whatever it loses; and keeps what that
command measured: scores with intervals, agreement with the parent's network in float, sizes, and speed, the parent and
the variant in turn. One cell a data set and variant in ``benchmarks/results/variants``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import cells, measured

EXPERIMENT = "variants"
#: Raise it when the measuring changes: what was measured otherwise is measured again.
REVISION = 1
BUILD = Path(__file__).parents[1] / "build" / "variants"
PLOT = Path(__file__).parents[1] / "docs" / "images" / "variants.svg"
SETS = ("financial-phrasebank", "financial-phrasebank-all-agree")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a variant is made: of which bundle, with which options, and whether MPNet teaches it."""

    options: tuple[str, ...]
    base: str = "bundle"
    taught: bool = False


def _pruned(share: float) -> Variant:
    return Variant(options=("--method", "prune", "--set", f"prune.heads={share}", "--set", f"prune.width={share}"))


def _dropped(layers: int) -> Variant:
    return Variant(options=("--method", "drop-layers", "--set", f"layers={layers}"))


_DISTIL = ("--method", "distil")
#: Headlines and first sentences that nobody labelled, on which the student hears its teacher.
_NEWS = ("--transfer", "corpus-reuters-company-news", "--set", "distil.transfer.max_documents=10000")
VARIANTS = {
    "int8-dynamic": Variant(options=("--method", "int8-dynamic")),
    "int8-static": Variant(options=("--method", "int8-static")),
    "bf16": Variant(options=("--method", "bf16")),
    "2 of 6 layers out": _dropped(2),
    "3 of 6 layers out": _dropped(3),
    "4 of 6 layers out": _dropped(4),
    "taught by MPNet": Variant(options=_DISTIL, taught=True),
    "taught by MPNet on news too": Variant(options=(*_DISTIL, *_NEWS), taught=True),
    "3 of 6 layers out, then taught by MPNet": Variant(options=_DISTIL, base="3 of 6 layers out", taught=True),
    "a quarter of heads and neurons out": _pruned(0.25),
    "half of heads and neurons out": _pruned(0.5),
    "half of the weights zero": Variant(options=("--method", "sparse")),
}


def folder_of(dataset: str, name: str) -> Path:
    """Return where a bundle is built."""
    return BUILD / dataset / name.replace(" ", "-").replace(",", "")


def trained(dataset: str, name: str, threads: int) -> Path:
    """Return the bundle that is made smaller, or its teacher, trained where it is not there."""
    out = folder_of(dataset, name)
    if not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        profile = ("--profile", "quality") if name == "teacher" else ()
        _run("train", dataset, "--out", str(out), *profile, "--set", f"finetune.threads={threads}")
    return out


def measure(dataset: str, name: str, threads: int) -> dict[str, Any]:
    """Make a variant and return what its command measured."""
    variant, out = VARIANTS[name], folder_of(dataset, name)
    if variant.base == "bundle":
        base = trained(dataset, "bundle", threads)
    else:
        base = folder_of(dataset, variant.base)
        if not base.is_dir():
            _make(dataset, variant.base, threads)
    if not out.is_dir():
        _make(dataset, name, threads)
    stated = json.loads((out / "optimization.json").read_text(encoding="utf-8"))
    judged = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    parent = json.loads((base / "evaluation.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {
        "scores": judged["evaluation"]["metrics"], "n": judged["evaluation"]["n"], "int8": judged.get("int8"),
        "parent_scores": parent["evaluation"]["metrics"], "parent_int8": parent.get("int8"),
        "verdict": stated["verdict"], "before": stated["before"], "after": stated["after"],
    }  # fmt: skip
    if variant.taught:
        teacher = json.loads((folder_of(dataset, "teacher") / "evaluation.json").read_text(encoding="utf-8"))
        found["teacher_scores"] = teacher["evaluation"]["metrics"]
    return found


def _make(dataset: str, name: str, threads: int) -> None:
    variant = VARIANTS[name]
    base = trained(dataset, "bundle", threads) if variant.base == "bundle" else folder_of(dataset, variant.base)
    words = ["optimize", str(base), "--out", str(folder_of(dataset, name)), *variant.options, "--allow-loss"]
    if variant.taught:
        words += ["--teacher", str(trained(dataset, "teacher", threads))]
    _run(*words, "--threads", str(threads))


def _run(*words: str) -> None:
    print(f"tapereader {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "tapereader", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves


def variants_section() -> Iterator[str]:
    """Yield the section on variants: one table a data set, and the picture of what is given for what."""
    found = {name: _cells_of(name) for name in SETS}
    if not any(found.values()):
        return
    yield from (
        "## Smaller networks",
        "",
        "`python benchmarks/variants.py`: MiniLM, and what `tapereader optimize` makes of it, on the test part of one",
        "split (95 % intervals over groups of near-copies). *Same label* is with the parent's network in float, on the",
        "validation and test parts. Speed is texts a second, 32 a call, beside the parent in float on ONNX Runtime,",
        "measured in turn; a variant answers as it does where nobody names a backend, in eight bits where its line",
        "says so.",
        "",
    )
    for dataset, rows in found.items():
        if rows:
            yield from _table(dataset, rows)
    if PLOT.is_file():
        yield "![Macro-F1 of each variant over its speed, and over the size of its graph](images/variants.svg)"
        yield ""


def _cells_of(dataset: str) -> list[dict[str, Any]]:
    order = list(VARIANTS)
    rows = [cell for cell in cells(EXPERIMENT) if cell["key"]["set"] == dataset and cell["key"]["revision"] == REVISION]
    return sorted(rows, key=lambda cell: order.index(cell["key"]["variant"]))


def _table(dataset: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    first = next((row for row in rows if row["key"]["variant"] in ("int8-dynamic", "bf16", "int8-static")), rows[0])
    hardware, n = first["hardware"], first["result"]["n"]
    yield f"`{dataset}`, {n:,} rows; {hardware['processor']}, threads: {first['key']['threads']}."
    yield ""
    yield "| | macro-F1 | accuracy | calibration error | same label | eight bits | times as fast | p50 ms, one text | graph MiB | RSS MiB |"  # noqa: E501 - a row
    yield "|---|---:|---:|---:|---:|---|---:|---:|---:|---:|"
    result = first["result"]
    yield _line("As trained", result["parent_scores"], None, result["parent_int8"], result["before"], result["before"])
    for row in rows:
        found = row["result"]
        same = found["verdict"]["agreement"]
        yield _line(row["key"]["variant"], found["scores"], same, found["int8"], found["before"], found["after"])
    yield ""
    teacher = next((row["result"]["teacher_scores"] for row in rows if "teacher_scores" in row["result"]), None)
    if teacher:
        yield f"The teacher, MPNet: macro-F1 {_score(teacher['macro_f1'])}, accuracy {_score(teacher['accuracy'])}."
        yield ""


def _line(
    name: str, scores: dict[str, Any], same: float | None, int8: dict[str, Any] | None, before: dict[str, Any],
    after: dict[str, Any],
) -> str:  # fmt: skip
    faster = after["sentences_per_second_32"] / before["sentences_per_second_32"]
    eight = "" if int8 is None else ("shipped" if int8["shipped"] else "not shipped")
    if before is after:
        # The first line's speed and memory are those of the network in float, whatever is shipped beside it.
        eight = f"{eight}, this line in float"
    cells_ = [
        name, _score(scores["macro_f1"]), _score(scores["accuracy"]), f"{scores['ece']['value']:.3f}",
        "" if same is None else f"{100 * same:.2f} %", eight, f"{faster:.2f}", f"{after['p50_ms']:.1f}",
        f"{after['graph_mib']:.1f}", f"{after['rss_mib']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells_)} |"


def _score(found: dict[str, Any]) -> str:
    return f"{100 * found['value']:.1f} ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def draw() -> None:
    """Draw macro-F1 over speed and over size, one panel each, with intervals."""
    import matplotlib.pyplot as plt

    rows = _cells_of(SETS[0])
    if not rows:
        return
    first = rows[0]["result"]
    points = [("as trained, in float", first["parent_scores"], 1.0, first["before"]["graph_mib"])]
    for row in rows:
        found = row["result"]
        faster = found["after"]["sentences_per_second_32"] / found["before"]["sentences_per_second_32"]
        points.append((row["key"]["variant"], found["scores"], faster, found["after"]["graph_mib"]))
    figure, panels = plt.subplots(1, 2, figsize=(11, 5.2), sharey=True, layout="constrained")
    for panel, at, title in ((panels[0], 2, "times as fast as the parent in float"), (panels[1], 3, "graph, MiB")):
        for number, point in enumerate(points, start=1):
            score = point[1]["macro_f1"]
            panel.errorbar(
                point[at], score["value"], fmt="o", color=f"C{(number - 1) % 10}", capsize=2, elinewidth=0.8,
                yerr=[[score["value"] - score["low"]], [score["high"] - score["value"]]], label=f"{number} {point[0]}",
            )  # fmt: skip
            panel.annotate(str(number), (point[at], score["value"]), textcoords="offset points", xytext=(5, 4))
        panel.set_xlabel(title)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("macro-F1, 95 % interval")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    plt.rcParams["svg.hashsalt"] = EXPERIMENT
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    """Read the command line and measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", dest="sets", action="append", choices=SETS, help="else both")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="else all")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for dataset in options.sets or SETS:
        for name in options.only or VARIANTS:
            key = {"set": dataset, "variant": name, "threads": options.threads, "revision": REVISION}
            cell = measured(EXPERIMENT, key, lambda d=dataset, n=name: measure(d, n, options.threads))
            if cell is not None:
                found = cell["result"]
                print(f"{dataset} {name}: macro-F1 {_score(found['scores']['macro_f1'])}", flush=True)
    draw()


if __name__ == "__main__":
    main()
