"""Every configuration that comes with the package can be asked for as its first lines say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the configurations are of the learning wing")

from tapereader.core.config import Config
from tapereader.models.backbones import backbone_names
from tapereader.recipes import pretrain, search_config, train_config
from tapereader.sources import corpus_names, dataset_names

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "configs").rglob("*") if path.is_file())
LOADERS: dict[str, Callable[[Path], Config]] = {
    "train": lambda path: train_config.build_config(path, profile="fast", values={}),
    "search": lambda path: search_config.build_config(path, profile="fast", values={}),
    "pretrain": lambda path: pretrain.build_config(path, values={}),
}


def test_every_file_is_one_of_those_tested_below() -> None:
    by_verb = [path for verb in LOADERS for path in (ROOT / "configs" / verb).glob("*.yaml")]
    assert len(FILES) >= 9
    assert sorted(by_verb) == FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_whole_and_names_what_there_is(path: Path) -> None:
    config = LOADERS[path.parent.name](path)
    again = type(config).from_mapping(config.model_dump(mode="json"))
    assert again.id == config.id
    if path.parent.name == "pretrain":
        assert isinstance(config, pretrain.PretrainConfig)
        assert config.backbone in backbone_names()
        assert {*config.corpus.sources} <= {*corpus_names(), *dataset_names()}
        assert {*config.corpus.exclude} <= {*dataset_names()}
        return
    training = config.train if isinstance(config, search_config.SearchRunConfig) else config
    assert isinstance(training, train_config.TrainConfig)
    assert training.finetune.backbone in backbone_names()
    # A file of one's own is described by its columns.
    assert training.dataset in dataset_names() or training.columns.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_its_first_lines_say_what_it_needs_and_the_command(path: Path) -> None:
    what, needs, command, *_ = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# [A-Z].+\.", what)
    assert needs.startswith("# Needs: ")
    words = shlex.split(command.removeprefix("# "))
    shown = path.relative_to(ROOT).as_posix()
    assert words[:4] == ["tapereader", path.parent.name, "--config", shown]
    assert words[4] == "--out"
    assert len(words) == 6
