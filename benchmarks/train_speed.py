"""How fast fine-tuning is: the usual tutorial loop, transformers' Trainer as it comes, and ours, in alternation.

Every round trains each of them, all its epochs, on the same sentences in the same process, one after the other, so that
a busy moment of the machine hits all alike, and each round begins with the next of them; what is compared is real
tokens a second (padding does not count), set-up included. Accuracies come from trainings on one grouped split, each a
cell of its own. Needs ``TAPEREADER_DATA``.

``python benchmarks/train_speed.py --threads 2`` measures speed; ``--accuracy`` the accuracies;
``--isa AVX512_CORE`` measures speed with oneDNN held to that instruction set. ``--again`` measures the same speed cell
once more, and ``--accuracy --again "ours"`` one contender's accuracy; both show what is stored beside it and write
nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from cells import measured, stored
from torch.utils.data import DataLoader

from tapereader.bundle import decode
from tapereader.bundle.conformal import answers
from tapereader.dataset import grouped_folds, near_duplicate_groups
from tapereader.dataset.parts import Split
from tapereader.metrics import accuracy, macro_f1
from tapereader.models.adapters import AdapterConfig
from tapereader.models.backbones import resolve_backbone
from tapereader.models.network import quiet, transformer_layers
from tapereader.sources import LabelledText, load_dataset
from tapereader.training.evaluation import compare
from tapereader.training.optimization import cpu_has_bfloat16
from tapereader.training.trainer import REVISION, FinetuneConfig, finetune

DATASET = "financial-phrasebank"
ROUND_ROWS = 384
OURS = FinetuneConfig.for_profile("fast")
CACHED = {
    layers: FinetuneConfig.for_profile("fast", adapter=AdapterConfig(method="top-k", layers=layers), epochs=4)
    for layers in (3, 2)
}


class Tutorial:
    """What a tutorial shows: every text padded to 128 tokens, batches of 16 in random order, float32, plain AdamW."""

    title = "tutorial loop"
    epochs = 3

    def train(self, rows: LabelledText, epochs: int) -> Any:
        """Train on the rows for that many epochs, and return what answers."""
        torch.manual_seed(0)
        model, tokenizer = _stock()
        batch = tokenizer(rows.texts, padding="max_length", max_length=128, truncation=True, return_tensors="pt")
        labels = torch.from_numpy(rows.targets())
        data = torch.utils.data.TensorDataset(batch["input_ids"], batch["attention_mask"], labels)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
        model.train()
        for _ in range(epochs):
            for ids, mask, wanted in DataLoader(data, batch_size=16, shuffle=True):
                loss = model(input_ids=ids, attention_mask=mask, labels=wanted).loss
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        return model, tokenizer


class StockTrainer:
    """transformers' Trainer with its own defaults, padded to the longest in the batch, batches of 16."""

    title = "transformers Trainer"
    epochs = 3

    def train(self, rows: LabelledText, epochs: int) -> Any:
        """Train on the rows for that many epochs, and return what answers."""
        model, tokenizer = _stock()
        encoded = tokenizer(rows.texts, max_length=128, truncation=True)
        data = [
            {"input_ids": ids, "attention_mask": mask, "labels": int(label)}
            for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], rows.targets(), strict=True)
        ]
        arguments = transformers.TrainingArguments(
            output_dir="unused", num_train_epochs=epochs, per_device_train_batch_size=16, use_cpu=True,
            save_strategy="no", disable_tqdm=True, report_to=[], seed=0, dataloader_pin_memory=False,
            logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=model, args=arguments, train_dataset=data,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return model, tokenizer


class Ours:
    """Our recipe, through the public entry that `tapereader train` uses."""

    def __init__(self, title: str, config: FinetuneConfig) -> None:
        self.title = title
        self.config = config
        self.epochs = config.epochs

    def train(self, rows: LabelledText, epochs: int) -> Any:
        """Train on the rows for that many epochs, and return what answers."""
        return finetune(rows, None, self.config.replace(epochs=epochs))


CONTENDERS = (
    Tutorial(),
    StockTrainer(),
    Ours("ours", OURS),
    *(Ours(f"ours, top {layers} layers, lower ones cached", config) for layers, config in CACHED.items()),
)


def speed(rounds: int) -> dict[str, Any]:
    """Time all contenders in alternation; tokens a second of each round, and the machine's matrix peak."""
    rows = load_dataset(DATASET)
    picked = np.random.default_rng(0).permutation(len(rows))
    _, tokenizer = _stock()
    out: dict[str, list[float]] = {contender.title: [] for contender in CONTENDERS}
    for turn in range(rounds):
        part = rows.take(picked[turn * ROUND_ROWS : (turn + 1) * ROUND_ROWS])
        tokens = sum(map(len, tokenizer(part.texts, max_length=128, truncation=True)["input_ids"]))
        # Whoever comes first meets cold caches: each takes its turn at that.
        first = turn % len(CONTENDERS)
        for contender in (*CONTENDERS[first:], *CONTENDERS[:first]):
            started = time.perf_counter()
            contender.train(part, contender.epochs)
            out[contender.title].append(tokens * contender.epochs / (time.perf_counter() - started))
            print(f"round {turn + 1} {contender.title}: {out[contender.title][-1]:.0f} tokens/s", flush=True)
    median = {title: statistics.median(found) for title, found in out.items()}
    tutorial = median[CONTENDERS[0].title]
    peak = {"float32": _peak(torch.float32), "bfloat16": _peak(torch.bfloat16)}
    return {
        "threads": torch.get_num_threads(),
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "all"),
        "order": "rotated",
        "peak_gflops": peak,
        "share_of_peak": {
            contender.title: round(
                median[contender.title]
                * _gflop_a_token(contender)
                / peak["bfloat16" if isinstance(contender, Ours) and cpu_has_bfloat16() else "float32"],
                3,
            )
            for contender in CONTENDERS
        },
        "tokens_per_second": out,
        "median": {title: round(value) for title, value in median.items()},
        "ratio": {title: round(value / tutorial, 2) for title, value in median.items()},
        "ratios_by_round": {
            title: [round(a / b, 2) for a, b in zip(found, out[CONTENDERS[0].title], strict=True)]
            for title, found in out.items()
        },
    }


def accuracy_split() -> tuple[LabelledText, Split, Any]:
    """Return the rows, the one grouped split on which accuracies are taken, and the near-duplicate groups."""
    rows = load_dataset(DATASET)
    groups = near_duplicate_groups(rows.texts).groups
    return rows, grouped_folds(rows, k=5, seed=0, groups=groups)[0], groups


def accuracy_key(contender: Tutorial | StockTrainer | Ours, rows: LabelledText, split: Split) -> dict[str, Any]:
    """Return everything that decides one contender's accuracy cell."""
    return {
        "contender": contender.title, "data": rows.id, "split": split.id, "revision": REVISION,
        "config": contender.config.id if isinstance(contender, Ours) else contender.epochs,
    }  # fmt: skip


def accuracies(again: str | None) -> None:
    """Train each contender whole on one grouped split, and compare ours with the tutorial's by a paired interval."""
    rows, split, groups = accuracy_split()
    train, test = rows.take(np.concatenate([split.train, split.validation])), rows.take(split.test)
    contract, targets = rows.card.contract, test.targets()
    outputs: dict[str, Any] = {}
    for contender in CONTENDERS:
        if again not in (None, contender.title):
            continue

        def measure(contender: Any = contender) -> dict[str, Any]:
            started = time.perf_counter()
            trained = contender.train(train, contender.epochs)
            seconds = time.perf_counter() - started
            return {"seconds": round(seconds, 1), "outputs": np.round(_answer(trained, test), 4).tolist()}

        key = accuracy_key(contender, rows, split)
        found = [stored("train-accuracy", key)] if again else []
        found.append(measured("train-accuracy", key, measure, again=again is not None))
        for cell, said in zip(found, (", stored", ", measured again") if again else ("",), strict=True):
            if cell is None:
                print(f"{contender.title}{said}: {'nothing' if again else 'another process is at it'}", flush=True)
                continue
            outputs[contender.title] = np.asarray(cell["result"]["outputs"])
            given = answers(contract, outputs[contender.title])
            scores = f"accuracy {accuracy(targets, given):.4f}, macro-F1 {macro_f1(targets, given):.4f}"
            print(f"{contender.title}{said}: {scores}, {cell['result']['seconds']:.0f} s", flush=True)
        if contender is not CONTENDERS[0] and {contender.title, CONTENDERS[0].title} <= outputs.keys():
            ours, tutorial = outputs[contender.title], outputs[CONTENDERS[0].title]
            against = compare(contract, targets, ours, tutorial, groups=groups[split.test], metric="accuracy")
            print(f"  against the tutorial loop: {against.difference:+.4f} ({against.low:+.4f} to {against.high:+.4f})")


def _answer(trained: Any, test: LabelledText) -> np.ndarray:
    if not isinstance(trained, tuple):
        return decode(test.card.contract, trained.logits(test.texts), trained.calibration)
    model, tokenizer = trained
    model.eval()
    out = []
    with torch.no_grad():
        for start in range(0, len(test), 32):
            texts = test.texts[start : start + 32]
            batch = tokenizer(texts, padding=True, max_length=128, truncation=True, return_tensors="pt")
            out.append(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.softmax(-1))
    return torch.cat(out).numpy().astype(np.float64)


def _stock() -> tuple[Any, Any]:
    folder = resolve_backbone("minilm").folder
    with quiet():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def _gflop_a_token(contender: Tutorial | StockTrainer | Ours) -> float:
    """Return the matrix work one real token needs: forward in all layers, twice as much backward where they learn."""
    layers = transformer_layers(_stock()[0].base_model)
    each = sum(weight.numel() for weight in layers[0].parameters() if weight.ndim == 2)
    adapter = contender.config.adapter if isinstance(contender, Ours) else AdapterConfig()
    top = adapter.layers if adapter.method == "top-k" else len(layers)
    # A cached layer runs forward once, not once an epoch.
    return 2 * each * (3 * top + (len(layers) - top) / contender.epochs) / 1e9


def _peak(dtype: torch.dtype, n: int = 2048) -> float:
    left, right = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    best: Callable[[], float] = lambda: _once(left, right)  # noqa: E731  # the shape of one attempt
    return round(max(best() for _ in range(8)), 0)


def _once(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.perf_counter()
    left @ right
    return 2 * left.shape[0] ** 3 / (time.perf_counter() - started) / 1e9


def recipe_key() -> dict[str, Any]:
    """Return the part of a speed cell's key that says what was trained, and not where."""
    return {
        "data": DATASET, "rows": ROUND_ROWS, "ours": OURS.id, "cached": [config.id for config in CACHED.values()],
        "revision": REVISION,
    }  # fmt: skip


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--isa", default=None, help="hold oneDNN to this instruction set (ONEDNN_MAX_CPU_ISA)")
    parser.add_argument("--again", nargs="?", const="speed", default=None, metavar="CONTENDER",
                        help="measure once more and write nothing; with --accuracy, which contender")  # fmt: skip
    options = parser.parse_args()
    titles = [contender.title for contender in CONTENDERS]
    if options.again is not None and options.again not in (titles if options.accuracy else ["speed"]):
        wanted = f"name one of: {'; '.join(titles)}" if options.accuracy else "name nothing without `--accuracy`"
        raise SystemExit(f"`--again` must {wanted}; got {options.again!r}.")
    if options.isa is not None and os.environ.get("ONEDNN_MAX_CPU_ISA") != options.isa:
        # oneDNN reads it once, when it is loaded: only a new process will see it.
        environment = os.environ | {"ONEDNN_MAX_CPU_ISA": options.isa}
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)  # noqa: S603  # ourselves
    torch.set_num_threads(options.threads)
    if options.accuracy:
        accuracies(options.again)
        return
    key = recipe_key() | {
        "rounds": options.rounds, "threads": options.threads, "isa": options.isa or "all", "processor": _processor(),
    }  # fmt: skip
    if options.again:
        standing = stored("train-speed", key)
        print(f"stored: {_shown(standing) if standing else 'nothing'}", flush=True)
    cell = measured("train-speed", key, lambda: speed(options.rounds), again=options.again is not None)
    if cell is not None:
        print(f"{'measured again: ' if options.again else ''}{_shown(cell)}")


def _shown(cell: dict[str, Any]) -> dict[str, Any]:
    wanted = ("peak_gflops", "median", "ratio", "ratios_by_round", "share_of_peak")
    return {name: cell["result"][name] for name in wanted}


def _processor() -> str:
    from tapereader.governance import collect_environment

    return str(collect_environment()["hardware"]["processor"])


if __name__ == "__main__":
    main()
