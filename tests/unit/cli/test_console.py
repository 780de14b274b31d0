"""How answers are put on the screen and into JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from tapereader.cli import console


@dataclass(frozen=True)
class Scored:
    name: str
    score: float
    folder: Path


def test_an_answer_becomes_plain_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.answer_json(
        {
            "one": Scored("a", float("nan"), Path("runs/a")),
            "numbers": np.array([1, 2]),
            "scalar": np.float32(0.5),
            "day": date(2024, 3, 1),
            "instant": datetime(2024, 3, 1, 9, tzinfo=UTC),
            "set": {"b", "a"},
            "text": "营业利润",
            3: None,
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "one": {"name": "a", "score": None, "folder": "runs/a"},
        "numbers": [1, 2],
        "scalar": 0.5,
        "day": "2024-03-01",
        "instant": "2024-03-01T09:00:00+00:00",
        "set": ["a", "b"],
        "text": "营业利润",
        "3": None,
    }


def test_chinese_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.answer_json("净利润")
    assert capsys.readouterr().out == '"净利润"\n'


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(("name", "rows"), [("a" * 100, 1234567), ("b", None)], right=("rows",))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["name", "rows"], ["a" * 100, "1,234,567"], ["b", "-"]]


def test_a_table_shows_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(("text",), [("profit [bold]rose[/bold] [/]",)])
    assert "profit [bold]rose[/bold] [/]" in capsys.readouterr().out


def test_facts_leave_out_what_is_empty_and_align_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    console.facts({"name": "x", "nothing": None, "empty": [], "labels": ["a", "b"], "count": 0, "yes": True})
    assert capsys.readouterr().out.splitlines() == ["name    x", "labels  a", "        b", "count   0", "yes     yes"]


def test_progress_says_nothing_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("Working", quiet=False) as advance:
        advance(1, None)
        advance(2, 2)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_a_log_gets_a_line_a_stage_and_a_quarter_of_long_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    with console.stages(quiet=False) as report:
        report("Reading", 0, 0)
        clock[0] = console.QUIET_SECONDS
        for done in range(9):
            report("Fine-tuning", done, 8)
        report("Judging", 0, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Fine-tuning", "Fine-tuning: 25 %", "Fine-tuning: 50 %", "Fine-tuning: 75 %", "Judging"]


def test_quiet_work_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.0)
    with console.stages(quiet=True) as report:
        report("Reading", 0, 0)
        report("Judging", 0, 0)
    assert capsys.readouterr() == ("", "")
