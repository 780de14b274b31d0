"""What every registered backbone must state before a byte of it is loaded."""

from __future__ import annotations

import re
from datetime import date

import pytest

from tapereader.core.registry import Registry
from tapereader.models.backbones import Backbone, backbone_names, find_backbone

NAMES = backbone_names()


def test_the_registered_ones_are_known() -> None:
    assert Registry("tapereader.backbones").names() == NAMES
    assert "minilm" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_states_what_it_is_and_on_what_terms(name: str) -> None:
    found = find_backbone(name)
    assert isinstance(found, Backbone)
    assert found.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert found.title.strip()
    assert found.kind in ("encoder", "decoder", "seq2seq")
    assert found.parameters > 0
    assert found.max_tokens >= 64
    assert found.languages
    assert found.licence.strip()


@pytest.mark.parametrize("name", NAMES)
def test_it_states_how_late_its_text_reaches_or_that_nobody_knows(name: str) -> None:
    found = find_backbone(name)
    assert found.cutoff_note.strip()
    if found.pretraining_cutoff is None:
        assert "unknown" in found.cutoff_note
    else:
        assert date(2015, 1, 1) < found.pretraining_cutoff < date(2030, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_have_a_place_to_come_from(name: str) -> None:
    assert find_backbone(name).source is not None
