"""What every registered task must state before a network is asked it."""

from __future__ import annotations

import re

import pytest

from tapereader.bundle import TASK_KINDS
from tapereader.core.registry import Registry
from tapereader.models.tasks import Task, find_task, task_names
from tapereader.sources import dataset_names, describe

NAMES = task_names()


def test_the_registered_ones_are_known() -> None:
    assert Registry("tapereader.tasks").names() == NAMES
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_question_with_a_name(name: str) -> None:
    found = find_task(name)
    assert isinstance(found, Task)
    assert found.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert re.fullmatch(r"[A-Z][^\n?]{10,160}\?", found.question)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_kinds_of_answer_it_has(name: str) -> None:
    found = find_task(name)
    assert found.kinds
    assert len(set(found.kinds)) == len(found.kinds)
    # `generation` is a way to answer, which a training chooses; a question has none of its own.
    assert set(found.kinds) <= set(TASK_KINDS) - {"generation"}


@pytest.mark.parametrize("name", NAMES)
def test_its_usual_labels_are_different_names(name: str) -> None:
    labels = find_task(name).labels
    assert len(set(labels)) == len(labels)
    assert len(labels) != 1
    assert all(label.strip() == label and label for label in labels)


def test_no_two_tasks_ask_the_same() -> None:
    asked = [find_task(name).question for name in NAMES]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("name", dataset_names())
def test_the_task_of_a_data_set_is_registered_and_fits_it(name: str) -> None:
    card = describe(name)
    task = find_task(card.task)
    assert card.contract.kind in task.kinds
