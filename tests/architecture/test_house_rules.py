"""Rules that hold for every file: names, exports, what text may not say, and tests that really run."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tapereader"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".ini", ".sh", ""}

#: Words a committed file must not hold, put together here so that this file does not hold them itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
A_MACHINE = re.compile("|".join(["/wo" + r"rk/(main|shared)", "/ro" + "ot/", "/op" + r"t/(pypi|wheels)"]))


def own_files() -> list[Path]:
    """Files that are or would be committed; all of them where this is no checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        kept = (ROOT / name for name in ("src", "tests", "docs", "configs", "examples", "benchmarks"))
        paths = [path for folder in kept for path in folder.rglob("*")]
    else:
        paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix in TEXT_SUFFIXES]


def named(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def test_no_file_has_a_name_that_says_nothing() -> None:
    banned = {"utils", "helpers", "common", "misc", "base", "contrib"}
    assert named([path for path in MODULES if {path.stem, *path.parent.parts[-2:]} & banned]) == []


def exported(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))  # type: ignore[attr-defined]  # an Assign has a value
    return None


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_a_folder_says_what_it_is_for_and_sorts_what_it_exports(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the docstring of a folder says what it is for"
    names = exported(path)
    if names is not None:
        # The order of the linter: constants, classes, the rest.
        assert names == sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
        assert len(names) == len(set(names))


def test_the_top_level_exports_at_most_ten_names() -> None:
    assert len(exported(PACKAGE / "__init__.py") or []) <= 10


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_imports_its_siblings_by_their_file(path: Path) -> None:
    if path.name == "__init__.py" or path.parent == PACKAGE:
        return
    own = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    imports = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    through = [node.lineno for node in imports if node.module == own and not all(is_file(path, n) for n in node.names)]
    assert through == [], f"lines {through} import from {own}; import from the file that defines the name"


def is_file(path: Path, name: ast.alias) -> bool:
    return (path.parent / f"{name.name}.py").exists() or (path.parent / name.name).is_dir()


def test_no_file_is_left_unfinished() -> None:
    assert named([path for path in own_files() if UNFINISHED.search(path.read_text(encoding="utf-8"))]) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert named([path for path in own_files() if A_MACHINE.search(path.read_text(encoding="utf-8"))]) == []


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT / "tests").as_posix())
def test_no_test_is_skipped_without_a_condition(path: Path) -> None:
    """``@pytest.mark.skip``, and ``pytest.skip`` as the first thing a test does, hide a test for good."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    marked = [
        node.lineno
        for node in functions
        for mark in node.decorator_list
        if ast.unparse(mark).startswith("pytest.mark.skip") and not ast.unparse(mark).startswith("pytest.mark.skipif")
    ]
    bodies = [tree.body, *(node.body for node in functions)]
    called = [
        statement.lineno
        for body in bodies
        for statement in body
        if isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("pytest.skip(")
    ]
    assert marked + called == []


def test_every_folder_is_held_by_the_import_contracts() -> None:
    """A new folder gets a floor and, on the ground or in the right wing, the contract of its neighbours."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    floors = set(re.findall(r"\w+", contracts["importlinter:contract:floors"]["layers"]))
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= floors
    held = set(re.findall(r"tapereader\.(\w+)", contracts["importlinter:contract:doors"]["source_modules"]))
    assert held == folders - {"cli", "service"}
