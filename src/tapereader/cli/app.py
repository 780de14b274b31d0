"""The command ``tapereader``: its verbs, and what an error looks like to the person who asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from tapereader import __version__
from tapereader.cli import (
    bench,
    crossvalidate,
    data,
    demo,
    ensemble,
    evaluate,
    explain,
    models,
    optimize,
    predict,
    pretrain,
    search,
    train,
)
from tapereader.cli.console import note
from tapereader.core.errors import LookAheadError, TapereaderError

#: Exit codes: done; we failed; you asked wrongly; stopped with Ctrl-C.
DONE, FAILED, ASKED_WRONGLY, STOPPED = 0, 1, 2, 130

app = typer.Typer(
    name="tapereader",
    help="Fine-tune language models on financial text; read the result without a deep-learning library.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", rich_help_panel="Start")(demo.demo)
app.command("train", rich_help_panel="Training")(train.train)
app.command("evaluate", rich_help_panel="Training")(evaluate.evaluate)
app.command("crossvalidate", rich_help_panel="Training")(crossvalidate.crossvalidate)
app.command("ensemble", rich_help_panel="Training")(ensemble.ensemble)
app.command("optimize", rich_help_panel="Training")(optimize.optimize)
app.command("pretrain", rich_help_panel="Training")(pretrain.pretrain)
app.command("search", rich_help_panel="Training")(search.search)
app.command("predict", rich_help_panel="Engine")(predict.predict)
app.command("explain", rich_help_panel="Engine")(explain.explain)
app.command("bench", rich_help_panel="Engine")(bench.bench)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.add_typer(models.app, name="models", rich_help_panel="Models")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tapereader {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand after the verb too.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Parameters
    ----------
    arguments : words after the command's name; those of this process where None

    Raises
    ------
    SystemExit
        Always: 0 done, 1 we failed, 2 asked wrongly, 130 stopped by the keyboard.
    """
    words, debug = _take_debug(list(sys.argv[1:] if arguments is None else arguments))
    sys.exit(run(lambda: app(words, prog_name="tapereader"), debug=debug))


def run(verb: Callable[[], object], *, debug: bool) -> int:
    """Do something and return its exit code, with any error as one message on stderr.

    What the package refuses becomes its message and nothing else: a traceback would tell the reader about our code,
    where the message tells them about their data.

    Parameters
    ----------
    verb : what to do
    debug : True lets errors through, with their traceback
    """
    try:
        verb()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except KeyboardInterrupt:
        return STOPPED
    except TapereaderError as error:
        if debug:
            raise
        note(f"Error: {error}")
        return exit_code(error)
    except Exception as error:
        if debug:
            raise
        note(f"Unexpected {type(error).__name__}: {error}; run again with --debug for the traceback.")
        return FAILED
    return DONE


def exit_code(error: TapereaderError) -> int:
    """Return 2 where another request would succeed, 1 where the fault is ours.

    A look-ahead is ours: no request should be able to bring one about.
    """
    return FAILED if isinstance(error, LookAheadError) else ASKED_WRONGLY


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    # After `--` all words are texts.
    end = words.index("--") if "--" in words else len(words)
    return [word for word in words[:end] if word != "--debug"] + words[end:], "--debug" in words[:end]


if __name__ == "__main__":
    main()
