"""Three hundred thousand real documents through ``tapereader predict``: speed, memory, a kill in the middle, the store.

Needs ``TAPEREADER_DATA``. ``python benchmarks/streaming.py BUNDLE --threads 2`` writes distinct Reuters headlines and
summaries and StockNet tweets to a CSV file, shuffled; answers it with the prediction store off, is killed with SIGKILL
once a third of the rows is safe, and is started again; then answers it with the store on, twice. Memory is that of the
process, read from the system twice a second. Each stage is one cell of ``benchmarks/results/streaming``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cells import cells, measured

from tapereader.bundle import Bundle
from tapereader.engine import text_hash
from tapereader.engine.backends import default_backend

EXPERIMENT = "streaming"
SOURCES = {
    "reuters_company_news/news.parquet": ("headline", "summary"),
    "stocknet/tweets.parquet": ("text",),
}


def write_documents(path: Path, n: int) -> str:
    """Write n distinct texts in an order that depends on nothing else, and return their name: a hash over all."""
    root = Path(os.environ["TAPEREADER_DATA"])
    texts: dict[str, None] = {}
    for file, columns in SOURCES.items():
        frame = pd.read_parquet(root / file, columns=list(columns))
        for column in columns:
            texts |= dict.fromkeys(text for text in frame[column].dropna().str.strip() if text)
    found = np.array(list(texts), dtype=object)
    if len(found) < n:
        raise SystemExit(f"There are {len(found):,} distinct documents; {n:,} were asked for.")
    chosen = found[np.random.default_rng(0).permutation(len(found))[:n]]
    pd.DataFrame({"text": chosen}).to_csv(path, index=False)
    return text_hash("\x1e".join(chosen))


def answer(words: list[str], *, kill_at: int | None = None, part: Path | None = None) -> dict[str, Any]:
    """Run the command to its end, or until so many rows are safe, watching its memory.

    Returns
    -------
    seconds, greatest memory (MiB), memory over the run in twenty steps, and what the command answered
    """
    started = time.perf_counter()
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves
    memory: list[float] = []
    while running.poll() is None:
        memory.append(resident(running.pid))
        if kill_at is not None and part is not None and rows_safe(part) >= kill_at:
            running.send_signal(signal.SIGKILL)
        time.sleep(0.5)
    told = running.communicate()[0]
    if running.returncode != (0 if kill_at is None else -signal.SIGKILL):
        raise SystemExit(f"The command ended with {running.returncode}.")
    steps = [round(float(piece.max())) for piece in np.array_split(np.array(memory), min(20, len(memory)))]
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "rss_mib": max(steps),
        "rss_over_time_mib": steps,
        "answered": json.loads(told) if told.strip() else {},
    }


def resident(process: int) -> float:
    """Return the memory a process holds, MiB; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def rows_safe(part: Path) -> int:
    """Return how many rows a running command would go on behind if it were killed now."""
    try:
        return int(json.loads((part / "journal.json").read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError):
        return 0


def check_rows(source: Path, out: Path) -> dict[str, Any]:
    """Count what is lost, doubled or out of place."""
    asked = pd.read_csv(source, keep_default_na=False)["text"]
    got = pd.read_parquet(out)
    return {
        "rows": len(got),
        "lost": len(set(range(1, len(asked) + 1)) - set(got["row"])),
        "doubled": int(got["row"].duplicated().sum()),
        "out_of_order": int((got["row"].to_numpy() != np.arange(1, len(got) + 1)).sum()),
        "other_text": int((got["text"].to_numpy() != asked.to_numpy()[: len(got)]).sum()),
        "without_answer": int(got["error"].notna().sum()),
    }


def streaming_section() -> Iterator[str]:
    """Yield the section on many documents."""
    found = [cell for cell in cells(EXPERIMENT) if not cell["result"].get("rehearsal")]
    if not found:
        return
    yield from (
        "## Many documents",
        "",
        "`python benchmarks/streaming.py BUNDLE --threads 2`: distinct Reuters headlines and summaries and StockNet",
        "tweets from a CSV file to a Parquet file by `tapereader predict`. *Killed* was ended with `kill -9` once a",
        "third of the rows was safe, and started again; *kept* writes every answer into a store, *read* asks the same",
        "file again with that store. Memory is that of the process, the greatest in each twentieth of its time.",
        "",
        "| run | backend | documents | minutes | documents/s | memory MiB, first to last twentieth | greatest | lost, doubled, out of place | same as unbroken |",  # noqa: E501 - a row
        "|---|---|---:|---:|---:|---|---:|---:|---|",
    )
    order = ("unbroken", "killed", "store")
    for cell in sorted(found, key=lambda one: (one["key"]["backend"], order.index(one["key"]["stage"]))):
        key, result = cell["key"], cell["result"]
        name = {"unbroken": "unbroken", "killed": "killed, then to its end", "store": "kept in a store"}[key["stage"]]
        seconds = result["seconds"] + result.get("before", {}).get("seconds", 0.0)
        yield _row(name, key, result, seconds)
        if "again" in result:
            yield _row("read from the store", key, result | result["again"], result["again"]["seconds"])
    yield ""
    for cell in found[:1]:
        hardware = cell["hardware"]
        yield f"{hardware['processor']} ({', '.join(hardware['flags'])}), threads: {cell['key']['threads']}."
        yield ""


def _row(name: str, key: dict[str, Any], result: dict[str, Any], seconds: float) -> str:
    steps = result["rss_over_time_mib"]
    faults = ", ".join(str(result[one]) for one in ("lost", "doubled", "out_of_order"))
    same = {True: "yes", False: "no", None: ""}[result.get("same_as_unbroken")]
    # The first step holds the start of the process, the second is the first of a warm one.
    # A carriage return alone, which pandas writes as it is, makes two rows of a text.
    return (
        f"| {name} | {key['backend']} | {result['rows']:,} | {seconds / 60:.1f} | {result['rows'] / seconds:,.0f} "
        f"| {', '.join(str(step) for step in (steps[1], steps[len(steps) // 2], steps[-2]))} | {max(steps)} | {faults} "
        f"| {same} |"
    )


def main() -> None:
    """Read the command line and run the stages that have no cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", default=None, help="else what the bundle answers with by itself")
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    options.backend = options.backend or default_backend(bundle)
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        source, store = room / "documents.csv", room / "store.db"
        documents = write_documents(source, options.documents)
        key = {
            "bundle": bundle.id, "documents": options.documents, "data": documents, "threads": options.threads,
            "backend": options.backend,
        }  # fmt: skip

        def run(stage: str) -> dict[str, Any]:
            out = room / f"{stage}.parquet"
            words = [
                sys.executable, "-m", "tapereader", "predict", str(options.bundle), "--input", str(source), "--text",
                "text", "--output", str(out), "--threads", str(options.threads), "--backend", options.backend, "--json",
            ]  # fmt: skip
            if stage == "store":
                words += ["--store", str(store)]
            result: dict[str, Any] = {"title": bundle.manifest.get("title"), "stage": stage}
            if stage == "killed":
                part = room / f".{out.name}.part"
                result["before"] = answer(words, kill_at=options.documents // 3, part=part)
                result["file_there"] = out.exists()
                result["rows_safe"] = rows_safe(part)
            result |= answer(words)
            result |= check_rows(source, out)
            ours = pd.read_parquet(out)
            if stage != "unbroken" and (room / "unbroken.parquet").exists():
                result["same_as_unbroken"] = bool(ours.equals(pd.read_parquet(room / "unbroken.parquet")))
            if stage == "store":
                result["again"] = answer(words)
                result["again"]["same"] = bool(pd.read_parquet(out).equals(ours))
            return result

        for stage in ("unbroken", "killed", "store"):
            cell = measured(EXPERIMENT, key | {"stage": stage}, lambda stage=stage: run(stage))
            if cell is not None:
                print(json.dumps({k: v for k, v in cell["result"].items() if k != "answered"}), flush=True)


if __name__ == "__main__":
    main()
