"""How fast answers come: our engine against what one would pick today, on one fine-tuned network and the same texts.

Every round opens each of them once, in a fresh process, one after the other, and begins with the next of them, so that
a busy moment of the machine hits all alike. What is timed is reading the texts from a file, tokenising and answering
them all; 64 other texts are answered before. Afterwards some are asked one by one. Needs ``TAPEREADER_DATA``.

``python benchmarks/inference.py --threads 2`` trains MiniLM on Financial PhraseBank (once, into ``build/inference``),
makes the variants that ``tapereader optimize`` can make, and measures five rounds on the bundle's test part. A round is
a cell of its own: stopped, it goes on behind the last. With ``--sentences`` fewer are asked, nothing is stored and the
table is only printed. ``--bundle`` and ``--variant`` take what is there already.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cells import cells, measured

from tapereader.bundle import Bundle
from tapereader.engine import Engine
from tapereader.engine.backends import default_backend, usable_backends
from tapereader.governance import collect_hardware

EXPERIMENT = "inference"
#: Raise it when the measuring changes: what was measured otherwise is measured again.
REVISION = 2
DATASET = "financial-phrasebank"
BUILD = Path(__file__).parents[1] / "build" / "inference"
VARIANTS = ("int8-dynamic", "int8-static", "bf16")
WARM_UP, SINGLE, BATCH = 64, 60, 32
#: Answers are held against those of our engine in fp32.
REFERENCE = "ours, onnxruntime"
BASELINE = "transformers pipeline, one by one"

Answer = Callable[[list[str]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something that answers texts: how it is called, what it needs, and what opens it for a bundle's folder."""

    title: str
    needs: tuple[str, ...]
    open: Callable[[Path, int], Answer]


def _pipeline(batch: int) -> Callable[[Path, int], Answer]:
    def opened(folder: Path, threads: int) -> Answer:
        import transformers

        model, tokenizer, names = _torch_model(folder, threads)
        pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)

        def answer(texts: list[str]) -> np.ndarray:
            # In arrival order, as pipelines batch; one by one is a loop of calls, as in most programs.
            found = [pipe(text) for text in texts] if batch == 1 else pipe(texts, batch_size=batch)
            rows = [one[0] if isinstance(one[0], list) else one for one in found]
            return np.array([[{each["label"]: each["score"] for each in row}[name] for name in names] for row in rows])

        return answer

    return opened


def _torch_bf16(folder: Path, threads: int) -> Answer:
    import torch

    model, tokenizer, _ = _torch_model(folder, threads)
    model = model.to(torch.bfloat16)

    def answer(texts: list[str]) -> np.ndarray:
        encoded = tokenizer(texts, truncation=True, max_length=512)["input_ids"]
        order = np.argsort([-len(ids) for ids in encoded], kind="stable")
        out = np.empty((len(texts), model.config.num_labels))
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                batch = tokenizer.pad({"input_ids": [encoded[row] for row in part]}, return_tensors="pt")
                out[part] = model(**batch).logits.float().numpy()
        return out

    return answer


def _sentence_transformers(folder: Path, threads: int) -> Answer:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    torch.set_num_threads(threads)
    body = Transformer(str(folder / "model"))
    model = SentenceTransformer(modules=[body, Pooling(body.get_word_embedding_dimension(), "mean")], device="cpu")
    weight, bias = _head(folder)
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False) @ weight.T + bias


def _naive_onnx(folder: Path, threads: int) -> Answer:
    import onnxruntime
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "onnx/model.onnx"), options, providers=["CPUExecutionProvider"])
    inputs = [node.name for node in session.get_inputs()]

    def answer(texts: list[str]) -> np.ndarray:
        out = []
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                texts[start : start + BATCH], padding=True, truncation=True, max_length=512, return_tensors="np",
                return_token_type_ids=True,
            )  # fmt: skip
            out.append(session.run(["logits"], {name: batch[name].astype(np.int64) for name in inputs})[0])
        return np.concatenate(out)

    return answer


def _ctranslate2(quantization: str) -> Callable[[Path, int], Answer]:
    def opened(folder: Path, threads: int) -> Answer:
        import ctranslate2
        from tokenizers import Tokenizer

        converted = _converted(folder, quantization)
        tokenizer = Tokenizer.from_file(str(folder / "model/tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(512)
        model = ctranslate2.Encoder(str(converted), device="cpu", inter_threads=1, intra_threads=threads)
        weight, bias = _head(folder)

        def answer(texts: list[str]) -> np.ndarray:
            encoded = [one.ids for one in tokenizer.encode_batch_fast(texts)]
            order = np.argsort([-len(ids) for ids in encoded], kind="stable")
            out = np.empty((len(texts), len(bias)))
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                states = np.array(model.forward_batch([encoded[row] for row in part]).last_hidden_state)
                mask = np.arange(states.shape[1]) < np.array([len(encoded[row]) for row in part])[:, None]
                pooled = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
                out[part] = pooled @ weight.T + bias
            return out

        return answer

    return opened


THEIRS = (
    Contender(title=BASELINE, needs=("transformers", "torch"), open=_pipeline(1)),
    Contender(title="transformers pipeline, batches of 32", needs=("transformers", "torch"), open=_pipeline(BATCH)),
    Contender(title="sentence-transformers", needs=("sentence_transformers", "torch"), open=_sentence_transformers),
    Contender(title="torch bfloat16, sorted by length", needs=("transformers", "torch"), open=_torch_bf16),
    Contender(title="ONNX Runtime as exported", needs=("transformers", "onnxruntime"), open=_naive_onnx),
    Contender(title="CTranslate2 float32", needs=("ctranslate2", "transformers"), open=_ctranslate2("float32")),
    Contender(title="CTranslate2 int8", needs=("ctranslate2", "transformers"), open=_ctranslate2("int8")),
)


def _ours(backend: str) -> Callable[[Path, int], Answer]:
    def opened(folder: Path, threads: int) -> Answer:
        engine = Engine(folder, backend=backend, threads=threads)
        return lambda texts: np.array([found.probabilities for found in engine.predict(texts)])

    return opened


def contenders(usable: Mapping[str, Sequence[str]]) -> dict[str, tuple[Contender, str]]:
    """Return everything that can be asked, by title: what opens it, and which of the bundles it opens.

    Parameters
    ----------
    usable : backends of each variant, and of the bundle itself, which is ``""``
    """
    found = {one.title: (one, "") for one in THEIRS}
    for variant, backends in usable.items():
        for backend in backends:
            title = f"ours{' ' if variant else ''}{variant}, {backend}"
            found[title] = (Contender(title=title, needs=(backend.split("-")[0],), open=_ours(backend)), variant)
    return found


def _torch_model(folder: Path, threads: int) -> tuple[Any, Any, list[str]]:
    """Return the network as a transformers model with its head, its tokenizer, and the label names in order."""
    import torch
    import transformers
    from transformers.modeling_outputs import SequenceClassifierOutput

    # Pipelines warn of every class that is not in their list; this one does what those do.
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    torch.set_num_threads(threads)
    names = list(Bundle.load(folder, verify=False).contract.names)
    weight, bias = _head(folder)

    class Classifier(transformers.PreTrainedModel):
        # The body's attention is what it was opened with, the fused kernel that transformers chooses.
        _supports_sdpa = True

        def __init__(self, body: Any) -> None:
            super().__init__(body.config)
            self.body = body
            self.head = torch.nn.Linear(weight.shape[1], weight.shape[0])
            self.head.weight.data, self.head.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            states = self.body(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state
            mask = attention_mask[..., None].to(states.dtype)
            return SequenceClassifierOutput(logits=self.head((states * mask).sum(1) / mask.sum(1)))

    body = transformers.AutoModel.from_pretrained(folder / "model", dtype=torch.float32)
    body.config.num_labels = len(names)
    body.config.id2label, body.config.label2id = dict(enumerate(names)), {name: n for n, name in enumerate(names)}
    return Classifier(body).eval(), transformers.AutoTokenizer.from_pretrained(folder / "model"), names


def _head(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model/head.safetensors")
    return tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32)


def _converted(folder: Path, quantization: str) -> Path:
    """Return CTranslate2's own form of the network, made where it is not there: no process times that."""
    from ctranslate2.converters import TransformersConverter

    out = BUILD / f"ctranslate2-{Bundle.load(folder, verify=False).id}-{quantization}"
    if not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        TransformersConverter(str(folder / "model")).convert(str(out), quantization=quantization)
    return out


def _answer_parent() -> None:
    """Open one contender, answer the texts, and write what that took where the parent asked for it."""
    asked = json.load(sys.stdin)
    contender, _ = contenders(asked["usable"])[asked["title"]]
    started = time.perf_counter()
    answer = contender.open(Path(asked["folder"]), asked["threads"])
    warm = json.loads(Path(asked["warm_up"]).read_text(encoding="utf-8"))
    answer(warm[:1])
    loaded = time.perf_counter() - started
    answer(warm)
    began = time.perf_counter()
    texts = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    found = answer(texts)
    seconds = time.perf_counter() - began
    single = []
    for text in texts[:SINGLE]:
        began = time.perf_counter()
        answer([text])
        single.append(1000 * (time.perf_counter() - began))
    memory = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in memory.splitlines() if line.startswith("VmHWM:"))
    result = {
        "seconds": seconds, "p50_ms": float(np.percentile(single, 50)), "p99_ms": float(np.percentile(single, 99)),
        "load_seconds": loaded, "rss_mib": int(peak.split()[1]) / 1024, "labels": found.argmax(axis=1).tolist(),
    }  # fmt: skip
    Path(asked["out"]).write_text(json.dumps(result), encoding="utf-8")


def _ask(
    title: str, folder: Path, usable: Mapping[str, Sequence[str]], threads: int, place: Path
) -> dict[str, Any] | str:
    """Return what one process measured, or why it did not, in its own last words."""
    out = place / "out.json"
    out.unlink(missing_ok=True)
    asked = {
        "title": title, "folder": str(folder), "usable": usable, "threads": threads, "out": str(out),
        "texts": str(place / "texts.json"), "warm_up": str(place / "warm_up.json"),
    }  # fmt: skip
    counted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, __file__, "--child"], input=json.dumps(asked), capture_output=True, text=True, check=False,
        env=os.environ | counted | {"TOKENIZERS_PARALLELISM": "false" if threads == 1 else "true"},
    )  # fmt: skip
    if done.returncode != 0 or not out.is_file():
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
    return dict(json.loads(out.read_text(encoding="utf-8")))


def measure_round(
    turn: int, folders: dict[str, Path], rows: tuple[list[str], np.ndarray], warm_up: list[str], threads: int
) -> dict[str, Any]:
    """Ask every contender once; return sentences a second, waiting times, accuracy and agreement of each."""
    texts, truth = rows
    flags = collect_hardware()["flags"]
    bundles = {name: Bundle.load(folder, verify=False) for name, folder in folders.items()}
    usable = {name: usable_backends(bundle, flags) for name, bundle in bundles.items()}
    order = list(contenders(usable).items())
    order = order[turn % len(order) :] + order[: turn % len(order)]
    found: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        (place / "warm_up.json").write_text(json.dumps(warm_up), encoding="utf-8")
        for title, (contender, variant) in order:
            missing = [name for name in contender.needs if importlib.util.find_spec(name) is None]
            said = (
                f"{missing[0]} is not installed" if missing else _ask(title, folders[variant], usable, threads, place)
            )
            if isinstance(said, str):
                skipped[title] = said
                print(f"round {turn + 1} {title}: left out, {said}", flush=True)
                continue
            found[title] = said
            print(f"round {turn + 1} {title}: {len(texts) / said['seconds']:.0f} sentences/s", flush=True)
    if REFERENCE not in found:
        raise SystemExit(f"`{REFERENCE}` must answer: the others are held against it. {skipped.get(REFERENCE, '')}")
    reference = np.array(found[REFERENCE]["labels"])
    for one in found.values():
        labels = np.array(one.pop("labels"))
        one |= {
            "sentences_per_second": len(texts) / one["seconds"],
            "accuracy": float((labels == truth).mean()), "agreement": float((labels == reference).mean()),
        }  # fmt: skip
    return {"engines": found, "skipped": skipped, "shipped": f"ours, {default_backend(bundles[''], flags)}"}


def _train(folder: Path, threads: int) -> None:
    """Train what is asked, with the command a user would give."""
    print(f"training {folder.name} on {DATASET}", flush=True)
    command = [sys.executable, "-m", "tapereader", "train", DATASET, "--out", str(folder)]
    subprocess.run([*command, "--set", f"finetune.threads={threads}"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves


def _optimized(folder: Path, threads: int) -> dict[str, Path]:
    """Return the variants that can be made of a bundle; one that is refused or not known is left out with a word."""
    made: dict[str, Path] = {}
    if importlib.util.find_spec("tapereader.recipes.optimize") is None:
        print("variants: this version has no `tapereader optimize`", flush=True)
        return made
    for method in VARIANTS:
        out = folder.with_name(f"{folder.name}-{method}")
        if not out.is_dir():
            command = [sys.executable, "-m", "tapereader", "optimize", str(folder), "--out", str(out)]
            command += ["--method", method, "--allow-loss", "--no-speed", "--threads", str(threads)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ourselves
            if done.returncode != 0:
                said = (done.stderr.strip().splitlines() or ["no word"])[-1]
                print(f"variant {method}: left out, {said[:200]}", flush=True)
                continue
        made[method] = out
    return made


def _rows(folder: Path) -> tuple[tuple[list[str], np.ndarray], list[str]]:
    """Return the bundle's own test rows with their labels, in arrival order, and texts to warm up on."""
    from tapereader.recipes.own_rows import open_own_rows

    own = open_own_rows(Bundle.load(folder, verify=False), None)
    test = own.labelled.take(np.random.default_rng(0).permutation(own.split.test))
    warm_up = own.labelled.take(own.split.train[:WARM_UP])
    return (list(test.texts), np.asarray(test.targets())), list(warm_up.texts)


def summary(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one line a contender, the fastest first: medians over the rounds, and ratios within each round.

    Parameters
    ----------
    rounds : results of :func:`measure_round`
    """
    titles = [title for title in rounds[0]["engines"] if all(title in one["engines"] for one in rounds)]
    lines = []
    for title in titles:
        each = [one["engines"][title] for one in rounds]
        line: dict[str, Any] = {"title": title}
        for name in each[0]:
            line[name] = statistics.median(one[name] for one in each)
        for name, other in (("ratio", BASELINE), ("ratio_32", "transformers pipeline, batches of 32")):
            if other in titles:
                ratios = [one["engines"][other]["seconds"] / one["engines"][title]["seconds"] for one in rounds]
                line[name] = (statistics.median(ratios), min(ratios), max(ratios))
        lines.append(line)
    return sorted(lines, key=lambda line: -float(line["sentences_per_second"]))


def table(rounds: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the table of some rounds, and below it what was left out."""
    yield "| | sentences/s | ratio to one by one | ratio to batches of 32 | p50 ms, one text | p99 ms | RSS MiB | opened in s | accuracy | same label as fp32 |"  # noqa: E501 - a row
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for line in summary(rounds):
        ratios = [_ratio(line.get(name)) for name in ("ratio", "ratio_32")]
        shipped = " (as shipped)" if line["title"] == rounds[0]["shipped"] else ""
        yield (
            f"| {line['title']}{shipped} | {line['sentences_per_second']:,.0f} | {' | '.join(ratios)} "
            f"| {line['p50_ms']:.1f} | {line['p99_ms']:.1f} | {line['rss_mib']:.0f} | {line['load_seconds']:.1f} "
            f"| {100 * line['accuracy']:.2f} | {100 * line['agreement']:.2f} % |"
        )
    left_out = {title: why for one in rounds for title, why in one["skipped"].items()}
    if left_out:
        yield ""
        yield "Left out: " + "; ".join(f"{title} ({why})" for title, why in left_out.items()) + "."


def _ratio(value: tuple[float, float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:.2f} ({value[1]:.2f}–{value[2]:.2f})"


def inference_section() -> Iterator[str]:
    """Yield the section on inference: one table for each machine and number of threads that was measured."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in cells(EXPERIMENT):
        if cell["key"]["revision"] == REVISION:
            setting = {name: value for name, value in cell["key"].items() if name != "round"}
            found.setdefault(json.dumps(setting, sort_keys=True), []).append(cell)
    if not found:
        return
    yield from (
        "## Inference speed",
        "",
        "`python benchmarks/inference.py`: the test part of Financial PhraseBank answered by one fine-tuned MiniLM,",
        "reading and tokenising included. Every round opens each in a fresh process, in turn; medians over rounds,",
        "ratios within a round with their lowest and highest. *One by one* and *batches of 32* are transformers",
        "pipelines in arrival order; *as exported* is ONNX Runtime in arrival order, batches of 32 padded to the",
        "longest; the torch and CTranslate2 lines are sorted by length, in batches of 32. Ours is `Engine.predict`;",
        "*as shipped* is what it does where nobody names a backend.",
        "",
    )
    for cell_group in found.values():
        key, hardware = cell_group[0]["key"], cell_group[0]["hardware"]
        yield (
            f"{hardware['processor']} ({', '.join(hardware['flags'])}), threads: {key['threads']}; {len(cell_group)} "
            f"rounds of {key['sentences']:,} sentences."
        )
        yield ""
        yield from table([cell["result"] for cell in cell_group])
        yield ""


def main() -> None:
    """Read the command line, make what is missing and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=None, help="ask only so many, and store nothing")
    parser.add_argument("--bundle", type=Path, default=None, help="a bundle trained on a named data set")
    parser.add_argument("--variant", type=Path, action="append", default=None, help="a variant of it; may be repeated")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _answer_parent()
        return
    own = options.bundle is None and options.variant is None
    bundle = options.bundle or BUILD / "bundle"
    hardware = collect_hardware()
    # What others made is not what `make bench` would make: it is shown, and not stored.
    stored = own and options.sentences is None
    key = {
        "data": DATASET, "threads": options.threads, "processor": hardware["processor"], "flags": hardware["flags"],
        "revision": REVISION,
    }  # fmt: skip
    standing = [
        cell["result"]
        for cell in cells(EXPERIMENT)
        if {name: value for name, value in cell["key"].items() if name not in ("round", "sentences")} == key
    ]
    if stored and len(standing) >= options.rounds:
        print("\n".join(table(standing)))
        return
    if not bundle.is_dir():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        _train(bundle, options.threads)
    variants = (
        {path.name: path for path in options.variant}
        if options.variant is not None
        else _optimized(bundle, options.threads)
    )
    (texts, truth), warm_up = _rows(bundle)
    rows = (texts[: options.sentences], truth[: options.sentences])
    folders = {"": bundle} | variants
    rounds: list[dict[str, Any]] = []
    for turn in range(options.rounds):

        def measure(turn: int = turn) -> dict[str, Any]:
            return measure_round(turn, folders, rows, warm_up, options.threads)

        if not stored:
            rounds.append(measure())
            continue
        cell = measured(EXPERIMENT, key | {"round": turn, "sentences": len(rows[0])}, measure)
        if cell is None:
            print(f"round {turn + 1}: another process is at it", flush=True)
        else:
            rounds.append(cell["result"])
    if rounds:
        print("\n".join(["", *table(rounds)]))


if __name__ == "__main__":
    main()
