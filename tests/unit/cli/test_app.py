"""What the person at the terminal sees: answers on stdout, one message on stderr, and the right exit code."""

from __future__ import annotations

import re

import pytest

from tapereader import __version__
from tapereader.cli.app import exit_code, main, run
from tapereader.core import errors


def leave_code(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def raising(error: BaseException):  # type: ignore[no-untyped-def]  # a verb of any kind
    def verb() -> None:
        raise error

    return verb


def test_help_names_every_verb_and_leaves_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave_code("--help") == 0
    shown = capsys.readouterr().out
    for verb in ("demo", "train", "evaluate", "predict", "data", "models"):
        assert re.search(rf"\b{verb}\b", shown)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave_code("--version") == 0
    assert capsys.readouterr().out == f"tapereader {__version__}\n"


def test_an_unknown_verb_or_option_was_asked_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave_code("trian") == 2
    assert leave_code("data", "check", "a.csv", "--txt", "b") == 2
    assert capsys.readouterr().out == ""


def test_a_refusal_is_its_message_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave_code("models", "describe", "minilmm") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "Error: No tapereader.backbones is called 'minilmm'; known: minilm, mpnet, multilingual-e5-small, "
        "smollm2-135m. Did you mean 'minilm'?\n"
    )


def test_an_unexpected_error_is_one_line_and_says_where_the_traceback_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyError("x")), debug=False) == 1
    assert capsys.readouterr().err == "Unexpected KeyError: 'x'; run again with --debug for the traceback.\n"


def test_debug_lets_errors_through() -> None:
    with pytest.raises(KeyError):
        run(raising(KeyError("x")), debug=True)
    with pytest.raises(errors.ConfigError):
        run(raising(errors.ConfigError("x")), debug=True)


@pytest.mark.parametrize("words", [["--debug", "models", "describe", "x"], ["models", "describe", "x", "--debug"]])
def test_debug_may_stand_anywhere(words: list[str]) -> None:
    with pytest.raises(errors.UnknownNameError):
        main(words)


def test_after_two_dashes_a_word_is_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    """`--debug` there is a text to answer, and the missing bundle is a message, not a traceback."""
    assert leave_code("predict", "no-such-bundle", "--", "--debug") == 2
    assert capsys.readouterr().err.startswith("Error: A bundle must be a folder")


def test_ctrl_c_leaves_with_130() -> None:
    assert run(raising(KeyboardInterrupt()), debug=False) == 130


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.UnknownNameError("x"), 2),
        (errors.DataError("x"), 2),
        (errors.MissingDataError("x"), 2),
        (errors.BundleError("x"), 2),
        (errors.MissingExtraError("x"), 2),
        (errors.LookAheadError("x"), 1),
        (errors.TapereaderError("x"), 2),
    ],
)
def test_exit_codes(error: errors.TapereaderError, code: int) -> None:
    assert exit_code(error) == code
    assert run(raising(error), debug=False) == code
