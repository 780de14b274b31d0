"""Ask the command line wrongly in every way we could think of, and look at what it says and what it leaves behind.

    python -m benchmarks.bad_inputs                     # all cases, about ten minutes on two cores
    python -m benchmarks.bad_inputs --only encoding     # those with that word in their name or subject
    python -m benchmarks.bad_inputs --missing           # those that no stored answer is there for, or a wrong one
    python -m benchmarks.bad_inputs --keep DIR          # keep the folders the commands ran in

Each case is one process of the real command in a folder of its own. A refusal must leave with the code that the
conventions give it (2: asked wrongly, 1: we failed), in at most six lines, without a traceback, and must leave every
file and folder as it was. What should work must work, with its warning. The answers go to
``benchmarks/results/bad-inputs.json`` and ``docs/bad-inputs.md``; the script leaves with 1 if any case fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import benchmarks.bad_engine_cases  # noqa: F401 - adds its cases
from benchmarks.bad_input_cases import CASES, Asked, Case, Stock, make_stock

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "bad-inputs.json"
PAGE = ROOT / "docs" / "bad-inputs.md"
MOST_LINES = 6
_SHOWN_LINES = 6
_SHOWN_CHARACTERS = 320


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one case got.

    Parameters
    ----------
    subject, name, command : of the case
    code : exit code
    said : what a reader saw, standard error first, the folder's own path taken out
    seconds : wall time of the process
    faults : what should have been otherwise; empty where all is well
    """

    subject: str
    name: str
    command: str
    code: int
    said: str
    seconds: float
    faults: tuple[str, ...]


def ask(case: Case, stock: Stock, room: Path) -> Answer:
    """Run one case in an empty folder and compare what happened with what should have."""
    room.mkdir(parents=True)
    asked = case.prepare(room, stock)
    temporary = room.parent / f"{room.name}-tmp"
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "TAPEREADER_DATA"}
    environment |= {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= asked.environment
    before = tree(room, temporary)
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603  (our own command on files made above)
        [sys.executable, *_limited(asked.most_bytes), "-m", "tapereader.cli.app", *asked.words],
        cwd=room, env=environment, input=asked.stdin or b"", capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    after = tree(room, temporary)
    home = stock.network.parent
    out, err = (
        stream.decode("utf-8", "replace")
        .replace(f"{room}/", "")
        .replace(f"{home}/", "")
        .replace(f"{Path(sys.executable).parent}/", "")
        .rstrip()
        for stream in (done.stdout, done.stderr)
    )
    if asked.unmake is not None:
        asked.unmake()
    return Answer(
        subject=case.subject, name=case.name, code=done.returncode,
        command=_shown_command(asked).replace(f"{home}/", ""),
        said="\n".join(text for text in (err, out) if text), seconds=round(seconds, 1),
        faults=tuple(_faults(asked, done.returncode, out, err, before, after)),
    )  # fmt: skip


def _faults(asked: Asked, code: int, out: str, err: str, before: dict[str, str], after: dict[str, str]) -> list[str]:
    faults = []
    said = f"{err}\n{out}"
    if code != asked.code:
        faults.append(f"left with {code}, not {asked.code}")
    if "Traceback (most recent call last)" in said or "Unexpected " in err:
        faults.append("an error of our own came through")
    lines = [line for line in (said if code else err).splitlines() if line.strip()]
    if len(lines) > MOST_LINES:
        faults.append(f"{len(lines)} lines said, at most {MOST_LINES} wanted")
    faults += [f"{words!r} was not said" for words in asked.says if words not in said]
    new = {name.split("/")[1] for name in after.keys() - before.keys()} - set(asked.makes)
    if new:
        faults.append(f"left behind: {', '.join(sorted(new))}")
    faults += [f"{name} was not made" for name in asked.makes if not any(f"/{name}" in one for one in after)]
    faults += [f"{name} was removed or changed" for name, held in before.items() if after.get(name) != held]
    return faults


def tree(*folders: Path) -> dict[str, str]:
    """Return every file and folder below, with what it holds: an SHA-256, or what else it is."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            if path.is_symlink():
                found[name] = f"link to {path.readlink()}"
            elif path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[name] = "folder"
    return found


def _limited(most_bytes: int | None) -> list[str]:
    """Return the words that start an interpreter whose files cannot grow above a size."""
    program = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes})); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return [] if most_bytes is None else ["-c", program]


def _shown_command(asked: Asked) -> str:
    words = [
        word if re.fullmatch(r"[\w./=,:-]+", word) else json.dumps(word, ensure_ascii=False) for word in asked.words
    ]
    line = " ".join(["tapereader", *words])
    return line if asked.stdin is None else f"{line} < (standard input)"


def markdown(answers: Sequence[Answer]) -> str:
    """Return the page: one table a subject, with the message each case gets."""
    passed = sum(not answer.faults for answer in answers)
    text = [
        "<!-- Written by `python -m benchmarks.bad_inputs`; run it again instead of editing. -->", "",
        "# What bad input gets", "",
        f"{len(answers)} cases, each one process of the real command in a folder of its own; {passed} behave as they "
        "should. Exit 2 means *ask otherwise*, 1 means *we failed*, 0 that it works. Checked for every case: no "
        f"traceback, at most {MOST_LINES} lines in a refusal, every file as it was before, and nothing new but what "
        "was asked for. What to do about the "
        "commonest ones is in [When it refuses](how_to/when-it-refuses.md).", "",
    ]  # fmt: skip
    for subject in dict.fromkeys(answer.subject for answer in answers):
        text += [f"## {subject}", "", "| case | exit | what it says |", "|---|---|---|"]
        text += [
            f"| {answer.name}<br>`{_cell(answer.command)}` | {answer.code} | {_quoted(answer.said)}"
            f"{'' if not answer.faults else f'<br>**Wrong: {_cell(chr(59).join(answer.faults))}**'} |"
            for answer in answers
            if answer.subject == subject
        ]
        text.append("")
    return "\n".join(text)


def _quoted(said: str) -> str:
    lines = said.splitlines()
    shown = lines[:_SHOWN_LINES] + (["..."] if len(lines) > _SHOWN_LINES else [])
    cut = [line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..." for line in shown]
    # Two backticks, since messages have single ones in them.
    return "<br>".join(f"`` {_cell(line)} ``" for line in cut if line.strip()) or "(nothing)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, write the page, and return 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", metavar="WORD", help="cases whose name or subject has this word")
    parser.add_argument("--missing", action="store_true", help="cases without a stored answer that is right")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the folders here")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    given = parser.parse_args(arguments)
    cases = [case for case in CASES if not given.only or given.only in f"{case.subject} {case.name}".lower()]
    if given.missing:
        right = {(answer.subject, answer.name) for answer in _stored() if not answer.faults}
        cases = [case for case in cases if (case.subject, case.name) not in right]
        if not cases:
            print("Every case has a stored answer; nothing to ask.")
            return 0
    home = Path(tempfile.mkdtemp(prefix="bad-inputs-")) if given.keep is None else given.keep
    try:
        stock = make_stock(home / "stock")
        with ThreadPoolExecutor(given.jobs) as pool:
            asked = [
                pool.submit(ask, case, stock, home / f"{number:02d}") for number, case in enumerate(cases, start=1)
            ]
            answers = []
            for one in asked:
                answer = one.result()
                answers.append(answer)
                print(
                    f"{'WRONG' if answer.faults else 'ok   '} {answer.code} {answer.seconds:5.1f} s  {answer.name}",
                    flush=True,
                )
                if answer.faults:
                    print("      " + "\n      ".join([answer.command, *answer.faults, *answer.said.splitlines()[:12]]))
    finally:
        if given.keep is None:
            shutil.rmtree(home, ignore_errors=True)
    whole = _with_earlier(answers)
    told = {"cases": len(whole), "wrong": sum(bool(answer.faults) for answer in whole)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    held = json.dumps(told | {"answers": [asdict(answer) for answer in whole]}, indent=1, ensure_ascii=False)
    RESULTS.write_text(held + "\n", encoding="utf-8")
    PAGE.write_text(markdown(whole), encoding="utf-8")
    wrong = sum(bool(answer.faults) for answer in answers)
    print(f"{len(answers)} cases, {wrong} wrong; wrote {RESULTS.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


def _stored() -> list[Answer]:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))["answers"] if RESULTS.is_file() else []
    return [Answer(**(one | {"faults": tuple(one["faults"])})) for one in stored]


def _with_earlier(answers: Sequence[Answer]) -> list[Answer]:
    """Return new answers in the order of the cases, and those of an earlier run for cases that were not asked now."""
    found = {(answer.subject, answer.name): answer for answer in [*_stored(), *answers]}
    return [found[key] for case in CASES if (key := (case.subject, case.name)) in found]


if __name__ == "__main__":
    sys.exit(main())
