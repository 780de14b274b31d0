"""Write the reference pages from the code they describe, or check that they are current.

python docs/generate.py            # write docs/reference/*.md
python docs/generate.py --check    # exit 1 and name the pages that are out of date
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer.main

import tapereader
from tapereader.cli.app import app, exit_code
from tapereader.core import errors
from tapereader.core.config import Config
from tapereader.core.registry import GROUPS, Registry
from tapereader.models.backbones.cutoffs import HUB_FACTS
from tapereader.models.tasks import find_task
from tapereader.sources.catalog import corpus_names, dataset_names, describe, describe_corpus

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
DECISIONS = DOCS / "decisions"
_NOTE = "<!-- Written by docs/generate.py; change the code it describes instead. -->\n\n"

#: Folders whose public names get a page, bottom floor first.
FOLDERS = (
    "core",
    "store",
    "metrics",
    "governance",
    "bundle",
    "sources",
    "dataset",
    "models",
    "training",
    "engine",
    "engine.explain",
    "reports",
    "recipes",
)


def pages() -> dict[Path, str]:
    """Return every generated page: its path and its text."""
    reference = {
        "cli.md": command_line(),
        "configuration.md": configuration(),
        "datasets.md": datasets(),
        "backbones.md": backbones(),
        "errors.md": error_classes(),
        "plugins.md": plug_ins(),
        "python.md": python(),
    }
    written = {REFERENCE / name: text for name, text in reference.items()} | {DECISIONS / "index.md": decisions()}
    return {path: _NOTE + text.strip() + "\n" for path, text in written.items()}


def command_line() -> str:
    """Describe every verb with its arguments and options."""
    text = ["# Command line", "", inspect.cleandoc(app.info.help or ""), ""]
    text += [
        "Every verb that answers takes `--json`. Exit codes: 0 done, 1 we failed, 2 you asked wrongly, 130 stopped "
        "with Ctrl-C. `--debug` anywhere shows the traceback of an error.",
        "",
    ]
    for words, command in verbs():
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option" and param.name != "help"]
        shown = " ".join(_argument(param) for param in arguments)
        text += [f"## {words}", "", inspect.cleandoc(command.help or "").split("\f")[0], ""]
        text += ["```text", " ".join(filter(None, [words, shown, "[OPTIONS]" if options else ""])), "```", ""]
        if arguments or options:
            text += ["| | | default |", "|---|---|---|"]
            text += [f"| `{_argument(param)}` | {_cell(param.help)} | |" for param in arguments]
            text += [f"| {_option(param)} | {_cell(param.help)} | {_default(param.default)} |" for param in options]
            text += [""]
    return "\n".join(text)


def verbs() -> Iterator[tuple[str, Any]]:
    """Yield each command with the words that call it, in the order of the help."""

    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        else:
            for name, child in inner.items():
                yield from walk(f"{words} {name}", child)

    yield from walk("tapereader", typer.main.get_command(app))


def configuration() -> str:
    """Describe every configuration class with its fields."""
    text = [
        "# Configuration",
        "",
        "A configuration is YAML with these fields; unknown fields are refused, and all faults are reported at once. "
        "`--set a.b=value` changes one field. The *id* of a configuration is the hash of what it asks for; fields "
        "marked * name a place or a display choice and do not enter it.",
        "",
    ]
    for cls in config_classes():
        text += [f"## {cls.__name__}", "", inspect.getdoc(cls) or "", "", f"`{cls.__module__}`", ""]
        text[-4] = text[-4].split("\n\n")[0]
        text += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            mark = "*" if isinstance(extra, dict) and extra.get("identity") is False else ""
            default = (
                "must be given"
                if field.is_required()
                else _default(_plain(field.get_default(call_default_factory=True)))
            )
            limits = ", ".join(_limit(limit) for limit in field.metadata)
            kind = _type(field.annotation) + (f" ({limits})" if limits else "")
            text += [f"| `{name}`{mark} | {_cell(kind)} | {default} | {_cell(field.description)} |"]
        text += [""]
    return "\n".join(text)


def config_classes() -> list[type[Config]]:
    """Return every configuration class of the package, by name."""
    for module in pkgutil.walk_packages(tapereader.__path__, "tapereader."):
        importlib.import_module(module.name)
    found: set[type[Config]] = set()
    waiting = [Config]
    while waiting:
        children = [cls for cls in waiting.pop().__subclasses__() if cls.__module__.startswith("tapereader.")]
        found.update(children)
        waiting.extend(children)
    return sorted(found, key=lambda cls: cls.__name__)


def datasets() -> str:
    """List the named data sets and corpora, with what each states about itself."""
    text = [
        "# Data sets",
        "",
        "The rows are not in the package: they lie in the folder that `TAPEREADER_DATA` names, or come from "
        "[the authors' release](../how_to/original_releases.md). Synthetic sets need no file.",
        "",
        "| name | task | kind of answer | language | published rows | commercial use |",
        "|---|---|---|---|---|---|",
    ]
    cards = [describe(name) for name in dataset_names() if name in own_plug_ins("tapereader.sources")]
    for card in cards:
        rows = f"{card.published_rows:,}" if card.published_rows else ""
        text += [
            f"| [`{card.name}`](#{card.name}) | {card.task} | {card.contract.kind} | {card.language} | {rows} "
            f"| {_PERMISSION[card.licence.commercial_use]} |"
        ]
    text += [""]
    for card in cards:
        text += [f"## {card.name}", "", card.title + ".", ""]
        text += ["**Synthetic**: written by a program; it says nothing about the world.", ""] if card.synthetic else []
        meanings = dict(zip(card.contract.names, card.contract.meanings, strict=False))
        text += ["| label | meaning |", "|---|---|"]
        text += [f"| `{name}` | {_cell(meanings.get(name))} |" for name in card.contract.names]
        text += ["", f"Licence: {card.licence.name}. Published: {card.licence.source or 'with this package'}.", ""]
        text += [f"The copy in circulation: {card.origin}.", ""] if not card.synthetic else []
        splits = ", ".join(f"`{name}`" for name in card.official_splits)
        text += [f"Splits of its authors: {splits}.", ""] if splits else []
        text += [*(f"- {trap}" for trap in card.traps), ""]
    text += ["## Unlabelled text", "", "For `tapereader pretrain`.", "", "| name | what | language | dates | licence |"]
    text += ["|---|---|---|---|---|"]
    for card in (describe_corpus(name) for name in corpus_names() if name in own_plug_ins("tapereader.sources")):
        text += [f"| `{card.name}` | {card.title} | {card.language} | {card.dates} | {_cell(card.licence.name)} |"]
    return "\n".join(text)


_PERMISSION = {True: "yes", False: "no", None: "not stated"}


def backbones() -> str:
    """List the pretrained networks known by name, and the dates known of others."""
    known = Registry("tapereader.backbones")
    text = [
        "# Backbones",
        "",
        "Pretrained networks known by name. *Text ends* is the latest day from which training text can be: a bound, so "
        "that a test window which starts later cannot have been read.",
        "",
        "| name | what | kind | parameters | tokens at once | licence | text ends |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in own_plug_ins("tapereader.backbones"):
        one = known.find(name)
        text += [
            f"| `{name}` | {one.title} | {one.kind} | {one.parameters / 1e6:.0f} million | {one.max_tokens:,} "
            f"| {one.licence} | {one.pretraining_cutoff or 'unknown'}: {_cell(one.cutoff_note)} |"
        ]
    text += [
        "",
        "Any other Hugging Face folder or hub id of the BERT, GPT-2, Llama, Qwen or T5 kind works too. Of these hub "
        "ids the date is known:",
        "",
        "| hub id | text ends | why | licence |",
        "|---|---|---|---|",
    ]
    text += [f"| `{name}` | {one.cutoff} | {_cell(one.note)} | {one.licence} |" for name, one in HUB_FACTS.items()]
    return "\n".join(text)


def error_classes() -> str:
    """Describe the errors, and the exit code of each."""
    text = [
        "# Errors",
        "",
        "Each is also the built-in a caller would expect. A message says what must hold, what came instead, where, "
        "and what to do now.",
        "",
        "| class | is a | raised for | exit code |",
        "|---|---|---|---|",
    ]
    for cls in raised_classes():
        parents = ", ".join(f"`{parent.__name__}`" for parent in cls.__bases__)
        first_line = (inspect.getdoc(cls) or "").split("\n")[0]
        text += [f"| `{cls.__name__}` | {parents} | {first_line} | {exit_code(cls())} |"]
    return "\n".join(text)


def raised_classes() -> list[type[errors.TapereaderError]]:
    """Return the error classes in the order of their file."""
    return [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.TapereaderError)]


def plug_ins() -> str:
    """List the plug-in groups and what we register in each."""
    text = [
        "# Plug-ins",
        "",
        "Another package adds to a group with an entry point of that group in its own `pyproject.toml`; ours come the "
        "same way. Names are lower-case words with hyphens, two packages with one name are an error, and nothing is "
        "imported before it is asked for.",
        "",
    ]
    for group in GROUPS:
        names = sorted(own_plug_ins(group))
        text += [f"## {group}", "", _GROUP_TEXT[group], ""]
        if group == "tapereader.tasks":
            text += [*_tasks(names), ""]
        else:
            text += [", ".join(f"`{name}`" for name in names) + "." if names else "No built-in one yet.", ""]
    return "\n".join(text)


def _tasks(names: list[str]) -> list[str]:
    rows = ["| name | question | kinds of answer | usual labels |", "|---|---|---|---|"]
    for name in names:
        task = find_task(name)
        question = task.question + (" (of a named target)" if task.about_target else "")
        rows += [f"| `{name}` | {question} | {', '.join(task.kinds)} | {', '.join(task.labels)} |"]
    return rows


_GROUP_TEXT = {
    "tapereader.sources": "Named data sets: a class with a `card` and a `load(root)`.",
    "tapereader.backbones": "Pretrained networks: where they come from, their licence, and when their text ends.",
    "tapereader.tasks": "What can be asked of a text: the question, the kinds of answer and the usual labels.",
    "tapereader.strategies": "From a view as of now to target weights.",
    "tapereader.sinks": "Where an alert goes.",
}


def own_plug_ins(group: str) -> dict[str, str]:
    """Return name and target of the entry points this project declares in a group."""
    declared = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(declared.get("entry-points", {}).get(group, {}))


def python() -> str:
    """List what each folder exports, with the docstring and signature of each name."""
    text = ["# Python", "", "What each folder exports; anything else may change without notice.", ""]
    for folder in FOLDERS:
        package = importlib.import_module(f"tapereader.{folder}")
        names = [name for name in getattr(package, "__all__", ()) if not name.startswith("_")]
        if not names:
            continue
        text += [f"## tapereader.{folder}", "", inspect.getdoc(package) or "", ""]
        for name in names:
            value = getattr(package, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            text += [f"::: {value.__module__}.{value.__qualname__}", "    options:", "      heading_level: 3", ""]
    return "\n".join(text)


def decisions() -> str:
    """List the decision records by number, with their dates."""
    text = ["# Decisions", "", "Choices that will be questioned: the context, the choice, what was given up.", ""]
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        title, *lines = path.read_text(encoding="utf-8").splitlines()
        day = next((line.strip("*_ ") for line in lines if re.fullmatch(r"[*_]\d{4}-\d\d-\d\d[*_]", line)), "")
        text += [f"- [{title.lstrip('# ')}]({path.name}) {day}".rstrip()]
    return "\n".join(text)


def _argument(param: Any) -> str:
    name = param.metavar or (param.name or "").upper()
    name = f"{name} ..." if param.nargs == -1 else name
    return name if param.required else f"[{name}]"


def _option(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.is_flag:
        return names
    kind = param.type_descriptor.annotation
    if get_origin(kind) is Literal and not param.metavar:
        return f"{names} " + " or ".join(f"`{choice}`" for choice in get_args(kind))
    return f"{names} `{param.metavar or kind.__name__.upper()}`"


def _default(value: Any) -> str:
    empty = value is None or value is False or (isinstance(value, str | tuple | list) and not value)
    return "" if empty or callable(value) else f"`{value}`"


def _limit(limit: Any) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "length at least"}
    return ", ".join(f"{say} {getattr(limit, name)}" for name, say in words.items() if hasattr(limit, name))


def _plain(value: Any) -> Any:
    return f"{type(value).__name__}()" if isinstance(value, Config) else value


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if part is type(None) else _type(part) for part in get_args(annotation))
    if origin is not None:
        return re.sub(r"\b(?:\w+\.)+(\w)", r"\1", str(annotation))
    return getattr(annotation, "__name__", str(annotation))


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(DOCS.parent)} is out of date: run `make docs` and commit it.\n")
        return 1 if stale else 0
    fresh = pages()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
