"""Options that several verbs share, described once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tapereader.core.errors import missing_extra

Dataset = Annotated[
    str, typer.Argument(metavar="DATASET_OR_FILE", help="A name from `data list`, or a file of your own.")
]
Root = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of named data sets; else TAPEREADER_DATA says.")
]
#: Shared by the verbs that learn.
Profile = Annotated[
    Literal["fast", "quality"], typer.Option("--profile", help="The recipe: minutes, or the better score.")
]
Method = Annotated[
    Literal["full", "head", "top-k", "gradual", "lora", "adalora", "prefix", "prompt", "ia3", "bottleneck"] | None,
    typer.Option("--method", help="What learns; else everything but the word embeddings."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML with any field; options given here win.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change one field; may be repeated.")
]
Download = Annotated[bool, typer.Option("--download", help="Let weights be fetched if they are not here.")]
#: Shared by the verbs that answer texts.
Texts = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, a file or standard input is read.")
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="FILE", help="CSV, Parquet, JSON lines or plain lines; - is stdin.")
]
TextColumn = Annotated[str | None, typer.Option("--text", metavar="COL", help="The file's column of texts.")]
PairColumn = Annotated[str | None, typer.Option("--pair", metavar="COL", help="The file's column of targets.")]
About = Annotated[
    str | None, typer.Option("--about", metavar="NAME", help="The named target of the texts given as words.")
]
FileEncoding = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="Encoding of the file, where it is not UTF-8.")
]
#: What is missing where the extra ``train`` is.
_LEARNING_LIBRARIES = frozenset({"accelerate", "onnx", "optuna", "peft", "safetensors", "torch", "transformers"})
#: What was said about a file of one's own: field of ``recipes.data.FileOptions`` to value. Verbs take it as one
#: parameter called ``file``; :func:`with_file_options` makes options of it.
FileFacts = dict[str, Any]


@contextmanager
def learning(needed_for: str) -> Iterator[None]:
    """Import what learns, and name the extra that brings it where it is not installed.

    Raises
    ------
    MissingExtraError
        If a library of the extra ``train`` is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name in _LEARNING_LIBRARIES:
            raise missing_extra("train", needed_for=needed_for) from error
        raise


def _option(flag: str, metavar: str | None, text: str, kind: Any = str) -> Any:
    return Annotated[kind | None, typer.Option(flag, metavar=metavar, help=text, rich_help_panel="Your own file")]


_FILE_OPTIONS = {
    "text": _option("--text", "COL", "Column of texts."),
    "label": _option("--label", "COL", "Column of labels."),
    "pair": _option("--pair", "COL", "Column of named targets the question is about."),
    "time": _option("--time", "COL", "Column of times."),
    "group": _option("--group", "COL", "Column whose equal values stay on one side of a split."),
    "task_kind": _option(
        "--kind",
        None,
        "Kind of answer, where the labels do not tell.",
        Literal["single-label", "multi-label", "ordinal", "regression"],
    ),
    "labels": _option("--labels", "A,B,...", "Label names, in the order to keep."),
    "language": _option("--language", None, "Language of the texts.", Literal["en", "zh", "mixed"]),
    "encoding": _option("--encoding", "NAME", "Encoding, where it is not UTF-8."),
}


def with_file_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Replace a verb's parameter ``file`` by the options that describe a file of one's own.

    The command line reads a verb's signature, so the options are put into it; the verb gets those that were given.
    """
    taken = inspect.signature(verb, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _FILE_OPTIONS.items()
    ]
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in taken.parameters.items()
        if name != "file"
    ]

    @functools.wraps(verb)
    def told(**values: Any) -> None:
        facts = {name: values.pop(name) for name in _FILE_OPTIONS}
        if facts["labels"] is not None:
            facts["labels"] = tuple(name.strip() for name in facts["labels"].split(","))
        verb(**values, file={name: value for name, value in facts.items() if value is not None})

    told.__signature__ = taken.replace(parameters=kept + added)  # type: ignore[attr-defined]  # what typer reads
    return told
