"""Everything a user can ask for is described; `make check` compares the generated pages with the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# Configuration classes of the learning wing are described too, and reading them needs what they configure.
pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
PROSE = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: A line of a shell block that calls the command; continued lines are joined first.
CALL = re.compile(r"^(?:\S+=\S+ )*(?:.*\| )?(tapereader [a-z].*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_verb_and_each_of_its_options_is_described(generate: ModuleType) -> None:
    bare = [words for words, command in generate.verbs() if not command.help]
    bare += [
        f"{words} {param.name}" for words, command in generate.verbs() for param in command.params if not param.help
    ]
    assert bare == []


def test_every_configuration_field_is_described(generate: ModuleType) -> None:
    classes = generate.config_classes()
    assert classes
    bare = [
        f"{cls.__name__}.{name}" for cls in classes for name, field in cls.model_fields.items() if not field.description
    ]
    assert bare == []


def test_every_error_class_is_described(generate: ModuleType) -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    classes = generate.raised_classes()
    assert len(classes) >= 9
    assert [cls.__name__ for cls in classes if not cls.__doc__ or f"`{cls.__name__}`" not in page] == []


def test_every_plug_in_group_is_described(generate: ModuleType) -> None:
    page = (ROOT / "docs/reference/plugins.md").read_text(encoding="utf-8")
    assert [group for group in generate.GROUPS if f"## {group}" not in page] == []


def test_every_folder_has_its_concept_page() -> None:
    folders = {path.parent.name for path in (ROOT / "src/tapereader").glob("*/__init__.py")} - {
        "core",
        "cli",
        "recipes",
    }
    pages = {path.stem for path in (ROOT / "docs/concepts").glob("*.md")}
    assert folders <= pages


@pytest.mark.parametrize("path", PROSE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_shown_to_the_reader_exist(generate: ModuleType, path: Path) -> None:
    """Each verb and each option in a shell block is one the command line takes."""
    verbs: dict[str, Any] = dict(generate.verbs())
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for call in CALL.findall("\n".join(textwrap_free(block) for block in blocks)):
        words = call.split("#")[0].split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in verbs), None)
        if "--help" in words and name is None:
            continue
        assert name is not None, f"{call!r} calls no verb"
        taken = {option for param in verbs[name].params for option in (*param.opts, *param.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help", "--debug"}
        assert given <= taken, f"{call!r} uses {sorted(given - taken)}"


def textwrap_free(block: str) -> str:
    return "\n".join(line.strip() for line in block.replace("\\\n", " ").splitlines())


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_links_of_the_pages_beside_the_code_lead_somewhere(path: Path) -> None:
    """The documentation build checks the links under docs; nothing else checks these."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
