"""The examples in docstrings run and give what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import tapereader

#: Folders that may use torch: their examples run where it is installed.
LEARNING = ("models", "training", "recipes")
MODULES = sorted(module.name for module in pkgutil.walk_packages(tapereader.__path__, "tapereader."))
FINDER = doctest.DocTestFinder(exclude_empty=True)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_give_what_they_say(name: str) -> None:
    if name.split(".")[1] in LEARNING:
        pytest.importorskip("torch")
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert failed == 0


def test_there_are_examples() -> None:
    """Were the finder to find nothing, every test above would pass."""
    module = importlib.import_module("tapereader.core.config")
    assert any(found.examples for found in FINDER.find(module))


@pytest.mark.parametrize("folder", ["", ".models", ".store", ".training"])
def test_every_lazy_name_has_its_home(folder: str) -> None:
    """A misspelt home in a lazy package would show only when the name is used."""
    if folder and importlib.util.find_spec("torch") is None:
        pytest.skip("the learning wing needs torch, which is not installed")
    package = importlib.import_module(f"tapereader{folder}")
    names = [name for name in package.__all__ if not name.startswith("_")]
    if not folder and importlib.util.find_spec("torch") is None:
        names = [name for name in names if not name.startswith("Text")]
    assert [name for name in names if getattr(package, name) is None] == []
    assert names
