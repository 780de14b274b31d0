"""``tapereader predict``: a bundle and texts in, labels out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tapereader.cli import asked, console
from tapereader.cli.console import AsJson
from tapereader.core.errors import ConfigError

if TYPE_CHECKING:
    from tapereader.store import PredictionStore

_SHOWN_CHARACTERS = 60


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that training wrote.")],
    texts: asked.Texts = None,
    *,
    file: asked.Input = None,
    text: asked.TextColumn = None,
    pair: asked.PairColumn = None,
    about: asked.About = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A .csv, .jsonl or .parquet file; else stdout.")
    ] = None,
    encoding: asked.FileEncoding = None,
    backend: Annotated[
        Literal["auto", "onnxruntime", "onnxruntime-int8", "openvino", "openvino-bf16", "openvino-int8"] | None,
        typer.Option(
            "--backend",
            help="What runs the network, else the one in eight bits where the bundle ships it; auto is the fastest "
            "here; openvino needs its extra.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="FILE_OR_URL", help="Read answers kept there, and keep new ones."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads; else all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Answer texts: label, calibrated probability of each label, prediction set, abstained.

    A file or standard input of any size is answered as CSV on stdout unless --output names a file; with --json the
    answer is one document and holds at most 10,000 rows.
    """
    if texts and file is not None:
        raise ConfigError("Texts must come as words or from --input; got both. Leave one out.")
    if not texts and file is None and sys.stdin.isatty():
        raise ConfigError("There must be something to answer; got nothing. Give texts, --input FILE, or pipe lines in.")
    if about is not None and not texts:
        raise ConfigError("--about names the target of texts given as words; got none. A file has a column: --pair.")
    if texts and (text is not None or pair is not None):
        raise ConfigError("--text and --pair name columns of a file; got texts given as words. Leave the columns out.")
    from tapereader.recipes.predict import predict as run

    streamed = output is None and not texts and not as_json
    with _opened(store) as kept, console.progress("Answering", quiet=as_json or streamed) as advance:
        found = run(
            bundle,
            texts=texts or None,
            pairs=[about] * len(texts) if texts and about is not None else None,
            input=None if texts else (file or "-"),
            text_column=text,
            pair_column=pair,
            encoding=encoding,
            output=sys.stdout if streamed else output,
            output_format="csv" if streamed else None,
            backend=backend,
            threads=threads,
            store=kept,
            progress=advance,
            chosen=console.note,
        )
    if found.get("cut") and not as_json:
        console.note(f"{found['cut']:,} texts are too long to be read whole: the middle of each was not read.")
    if as_json:
        console.answer_json(found)
    elif "predictions" in found:
        _show(found)
    else:
        summary = f"{found['rows']:,} rows, {found['errors']:,} without an answer, {found['abstained']:,} abstained"
        if found["resumed_rows"]:
            summary += f", {found['resumed_rows']:,} from a run that was broken off"
        if found.get("stored_rows"):
            summary += f", {found['stored_rows']:,} from the store"
        (console.note if streamed else console.say)(f"{summary}{'' if streamed else f'; wrote {output}'}.")


@contextmanager
def _opened(where: str | None) -> Iterator[PredictionStore | None]:
    if where is None:
        yield None
        return
    from tapereader.store import PredictionStore

    with PredictionStore.open(where) as store:
        yield store


def _show(found: Mapping[str, Any]) -> None:
    columns = ["text", "answer"]
    columns += ["range"] if "value" in found["predictions"][0] else ["probability", "cannot be excluded"]
    console.table(columns, [_line(row) for row in found["predictions"]], right=("probability",))


def _line(row: Mapping[str, Any]) -> tuple[Any, ...]:
    text = str(row["text"])
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
    if row["error"] is not None:
        return (shown, row["error"], None, *(() if "value" in row else (None,)))
    if "value" in row:
        return shown, row["value"], None if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
    label = f"{row['label'] or 'none'}{' (abstained)' if row['abstained'] else ''}"
    likely = [f"{row[f'p_{name}']:.3f}" for name in str(row["label"]).split("|") if f"p_{name}" in row]
    return shown, label, ", ".join(likely) or None, str(row["prediction_set"]).replace("|", ", ") or None
