"""Python shown to the reader names what there is, and calls it with parameters that it takes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the learning wing is shown too")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SNIPPETS = [
    pytest.param(textwrap.dedent(found[2]), id=f"{path.relative_to(ROOT).as_posix()}-{n}")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    for n, found in enumerate(BLOCK.finditer(path.read_text(encoding="utf-8")))
]


def ours(tree: ast.Module) -> dict[str, Any]:
    """Return the names that a snippet imports from the package, with what they are."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tapereader":
            module = importlib.import_module(str(node.module))
            found |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    return found


def refused(tree: ast.Module, names: dict[str, Any]) -> list[str]:
    """Return the calls of those names with parameters they do not take."""
    wrong = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
            continue
        given = {keyword.arg: None for keyword in node.keywords if keyword.arg}
        try:
            inspect.signature(names[node.func.id]).bind(*[None] * len(node.args), **given)
        except TypeError as error:
            wrong.append(f"{node.func.id}: {error}")
    return wrong


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_calls_what_there_is(snippet: str) -> None:
    tree = ast.parse(snippet)
    assert refused(tree, ours(tree)) == []


def test_a_wrong_parameter_would_be_seen() -> None:
    tree = ast.parse("from tapereader import TextClassifier\nTextClassifier(profile='fast')")
    assert refused(tree, ours(tree)) == ["TextClassifier: got an unexpected keyword argument 'profile'"]
    assert len(SNIPPETS) >= 5
