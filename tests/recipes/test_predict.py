"""Predicting end to end: arguments, files and streams in; tables that are complete or not there out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tapereader.bundle import Bundle, Calibration
from tapereader.core import BundleError, ConfigError, DataError, UnknownNameError
from tapereader.engine import Engine
from tapereader.recipes.predict import predict

Make = Callable[..., Bundle]
COLUMNS = ["label", "p_negative", "p_neutral", "p_positive", "prediction_set", "abstained", "error"]


def refusal(kind: type[Exception], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def write_csv(path: Path, rows: int = 30) -> Path:
    frame = pd.DataFrame(
        {
            "id": [f"{n:03d}" for n in range(rows)],
            "headline": [f"profit rose {'strong ' * (n % 20)}" for n in range(rows)],
            "label": ["up"] * rows,
            "error": ["none yet"] * rows,
        }
    )
    frame.loc[4, "headline"] = ""
    frame.to_csv(path, index=False)
    return path


def test_arguments_are_answered_in_memory(tiny_bundle: Path) -> None:
    found = predict(tiny_bundle, texts=["profit rose", "", "loss fell"])
    rows = found.pop("predictions")
    engine = Engine(tiny_bundle)
    assert found == {
        "bundle_id": engine.bundle.id,
        "task": "sentiment",
        "labels": ["negative", "neutral", "positive"],
        "rows": 3,
        "errors": 1,
        "abstained": 0,
        "label_counts": {row["label"]: 1 for row in rows if row["label"]}
        if rows[0]["label"] != rows[2]["label"]
        else {rows[0]["label"]: 2},
        "resumed_rows": 0,
        "output": None,
    }
    assert [list(row) for row in rows] == [["row", "text", *COLUMNS]] * 3
    assert rows[1] == dict.fromkeys(COLUMNS) | {"row": 2, "text": "", "error": "the text is empty"}
    expected = engine.predict(["loss fell"])[0]
    assert rows[2]["label"] == expected.label
    assert [rows[2][name] for name in COLUMNS[1:4]] == pytest.approx(expected.probabilities, abs=1e-6)
    assert rows[2]["prediction_set"] == "|".join(expected.prediction_set)
    assert rows[2]["error"] is None
    json.dumps(found | {"predictions": rows}, allow_nan=False)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_is_answered_with_its_own_columns_kept(tiny_bundle: Path, tmp_path: Path, suffix: str) -> None:
    source, out = write_csv(tmp_path / "in.csv"), tmp_path / "new" / f"out.{suffix}"
    told: list[tuple[int, int | None]] = []
    found = predict(
        tiny_bundle,
        input=source,
        text_column="headline",
        output=out,
        batch_rows=7,
        progress=lambda *so: told.append(so),
    )
    assert (found["rows"], found["errors"], found["output"]) == (30, 1, str(out))
    assert told == [(7, 30), (14, 30), (21, 30), (28, 30), (30, 30)]
    assert os.listdir(out.parent) == [out.name]
    read = {"csv": pd.read_csv, "jsonl": lambda p: pd.read_json(p, lines=True), "parquet": pd.read_parquet}[suffix]
    frame = read(out)
    assert list(frame.columns) == ["row", "text", "id", "source_label", "source_error", *COLUMNS]
    assert frame["row"].tolist() == list(range(1, 31))
    assert set(frame["source_label"]) == {"up"}
    assert frame["error"].notna().tolist() == [n == 4 for n in range(30)]
    assert frame.loc[frame["error"].isna(), COLUMNS[1:4]].sum(axis=1).to_numpy() == pytest.approx(np.ones(29), abs=3e-6)
    assert frame.loc[4, COLUMNS[1:4]].isna().all()


def test_batches_do_not_change_the_file(tiny_bundle: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv")
    for rows in (1, 1000):
        predict(tiny_bundle, input=source, text_column="headline", output=tmp_path / f"{rows}.csv", batch_rows=rows)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "1000.csv").read_bytes()


def test_lines_of_a_stream_are_answered_to_a_stream(tiny_bundle: Path) -> None:
    out = io.StringIO()
    predict(tiny_bundle, input=io.BytesIO("profit rose\n利润增长\n".encode()), output=out, output_format="jsonl")
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["text"] for row in rows] == ["profit rose", "利润增长"]
    assert not out.closed
    out = io.StringIO()
    predict(tiny_bundle, input=io.BytesIO(b"profit rose\n" * 5), output=out, output_format="csv", batch_rows=2)
    assert out.getvalue().splitlines()[0] == ",".join(["row", "text", *COLUMNS])
    assert len(out.getvalue().splitlines()) == 6


def test_standard_input_is_read_in_a_process_of_its_own(tiny_bundle: Path) -> None:
    script = (
        "import sys\n"
        "from tapereader.recipes.predict import predict\n"
        "predict(sys.argv[1], input='-', output=sys.stdout, output_format='csv')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_bundle)],
        input="profit rose\nloss fell\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 3


def test_pairs_come_from_arguments_or_a_column(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", has_pair=True)
    found = predict(bundle, texts=["profit rose"] * 2, pairs=["acme", ""])
    assert [row["error"] for row in found["predictions"]] == [None, "the pair is empty"]
    source = tmp_path / "in.csv"
    source.write_text("text,company\nprofit rose,acme\nprofit rose,globex\n", encoding="utf-8")
    found = predict(bundle, input=source, pair_column="company")
    one, other = found["predictions"]
    assert (one["pair"], other["pair"]) == ("acme", "globex")
    assert one["p_positive"] != other["p_positive"]
    assert refusal(DataError, lambda: predict(bundle, texts=["a", "b"], pairs=["c"])) == (
        "There must be one pair for each text; got 2 texts and 1 pairs."
    )


def test_regression_gives_value_low_and_high(make_bundle: Make, tmp_path: Path) -> None:
    given = {"kind": "regression", "names": ("score",)}
    fitted = Calibration(coverage=0.9, conformal_quantile=0.25, n=50)
    (row, empty) = predict(make_bundle(tmp_path / "b", calibration=fitted, **given), texts=["profit", " "])[
        "predictions"
    ]
    assert list(row) == ["row", "text", "value", "low", "high", "error"]
    assert (row["value"] - row["low"], row["high"] - row["value"]) == pytest.approx((0.25, 0.25), abs=2e-6)
    assert (empty["value"], empty["low"], empty["high"]) == (None, None, None)
    found = predict(make_bundle(tmp_path / "c", calibration=Calibration(), **given), texts=["profit"])
    assert found["predictions"][0]["low"] is None
    assert found["label_counts"] == {}


def test_asking_wrongly_is_refused_before_anything_is_read(tiny_bundle: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv")
    both = "Give either `texts` or `input`, and not both."
    assert refusal(ConfigError, lambda: predict(tiny_bundle)) == both
    assert refusal(ConfigError, lambda: predict(tiny_bundle, texts=["a"], input=source)) == both
    assert refusal(ConfigError, lambda: predict(tiny_bundle, input=source, output=source)) == (
        f"`output` must be another file than `input`; got {str(source)!r} for both."
    )
    assert refusal(ConfigError, lambda: predict(tiny_bundle, texts=["a"], output="answers.xlsx")) == (
        "An output file must end in .csv, .jsonl or .parquet; got 'answers.xlsx'."
    )
    assert refusal(ConfigError, lambda: predict(tiny_bundle, texts=["a"], output=io.StringIO())) == (
        "A stream takes the format csv or jsonl; got None."
    )
    assert refusal(ConfigError, lambda: predict(tiny_bundle, texts=["a"], batch_rows=0)) == (
        "`batch_rows` must be 1 or more; got 0."
    )
    with pytest.raises(BundleError):
        predict(tmp_path, texts=["a"])
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "tiny"]


def test_an_unknown_column_leaves_no_output(tiny_bundle: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv")
    with pytest.raises(UnknownNameError):
        predict(tiny_bundle, input=source, text_column="headlines", output=tmp_path / "out.csv")
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "tiny"]


def test_a_fault_in_mid_file_leaves_the_older_output(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"text": "profit rose"}\n' * 20 + "{broken\n", encoding="utf-8")
    out.write_text("older", encoding="utf-8")
    with pytest.raises(DataError):
        predict(tiny_bundle, input=source, output=out, batch_rows=4)
    assert out.read_text(encoding="utf-8") == "older"
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out.csv", "tiny"]


def test_a_large_file_needs_an_output(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tapereader.recipes.predict.MOST_IN_MEMORY", 20)
    source = write_csv(tmp_path / "in.csv")
    assert refusal(ConfigError, lambda: predict(tiny_bundle, input=source, text_column="headline")) == (
        "Without `output`, at most 20 rows are answered; the input has more."
    )


def test_a_full_disk_is_reported_and_leaves_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    """The limit on the size of a file is a real one, set in a process of its own."""
    source = write_csv(tmp_path / "in.csv", rows=3000)
    folder = tmp_path / "answers"
    script = (
        "import resource, signal, sys\n"
        "from tapereader.core import DataError\n"
        "from tapereader.recipes.predict import predict\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try:\n"
        "    predict(sys.argv[1], input=sys.argv[2], text_column='headline', output=sys.argv[3])\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        done = subprocess.run(
            [sys.executable, "-B", "-c", script, str(tiny_bundle), str(source), str(folder / name)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == (
            f"The table {str(folder / name)!r} must be written; got 'File too large'. Nothing was left behind.\n"
        ), done.stderr
        assert os.listdir(folder) == []


def test_a_parquet_column_must_keep_its_type(tiny_bundle: Path, tmp_path: Path) -> None:
    source: Any = tmp_path / "in.jsonl"
    lines = [{"text": "profit", "size": 1}] * 4 + [{"text": "profit", "size": "large"}] * 4
    source.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    message = refusal(
        DataError, lambda: predict(tiny_bundle, input=source, output=tmp_path / "o.parquet", batch_rows=4)
    )
    assert message.startswith("A Parquet column must keep its type from the first row to the last; ")
    assert message.endswith("Write .csv or .jsonl.")
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "tiny"]
    assert predict(tiny_bundle, input=source, output=tmp_path / "o.csv", batch_rows=4)["rows"] == 8


def test_a_reader_who_stops_reading_is_no_fault_of_the_table(tiny_bundle: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    with pytest.raises(BrokenPipeError):
        predict(tiny_bundle, texts=["profit rose"], output=stream, output_format="csv")
    with contextlib.suppress(BrokenPipeError):  # closing tries to write what is left
        stream.close()


KILLED = """
import os, sys
from tapereader.recipes import table_file
from tapereader.recipes.predict import predict
table_file._EVERY = float(sys.argv[5])

def progress(done, of):
    if done == int(sys.argv[4]):
        os.kill(os.getpid(), int(sys.argv[6]))

predict(sys.argv[1], input=sys.argv[2], text_column="headline", output=sys.argv[3], batch_rows=7, progress=progress)
"""


def run_killed(bundle: Path, source: Path, out: Path, *, at: int, every: float = 0.0, by: int = signal.SIGKILL) -> int:
    return subprocess.run(
        [sys.executable, "-B", "-c", KILLED, str(bundle), str(source), str(out), str(at), str(every), str(by)],
        capture_output=True, check=False,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_behind_its_last_row(tiny_bundle: Path, tmp_path: Path, suffix: str, by: int) -> None:
    source, out, whole = write_csv(tmp_path / "in.csv"), tmp_path / f"out.{suffix}", tmp_path / f"whole.{suffix}"
    predict(tiny_bundle, input=source, text_column="headline", output=whole, batch_rows=7)
    # Of a run that is killed between two savings, what was not yet safe is answered again.
    assert run_killed(tiny_bundle, source, out, at=21, every=0.0, by=by) != 0
    assert not out.exists()
    found = predict(tiny_bundle, input=source, text_column="headline", output=out, batch_rows=7)
    assert (found["rows"], found["errors"], found["resumed_rows"]) == (30, 1, 21)
    if suffix == "parquet":  # pieces lie where the kill put them
        assert pd.read_parquet(out).equals(pd.read_parquet(whole))
    else:
        assert out.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == sorted(["in.csv", out.name, "tiny", whole.name])


def test_rows_behind_the_journal_are_cut_off(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out, whole = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", tmp_path / "whole.csv"
    predict(tiny_bundle, input=source, text_column="headline", output=whole, batch_rows=7)
    run_killed(tiny_bundle, source, out, at=14)
    with (tmp_path / ".out.csv.part" / "rows.csv").open("a", encoding="utf-8") as rows:
        rows.write("99,half a li")
    found = predict(tiny_bundle, input=source, text_column="headline", output=out, batch_rows=7)
    assert found["resumed_rows"] == 14
    assert out.read_bytes() == whole.read_bytes()


def test_rows_that_never_reached_the_disk_are_answered_again(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out, whole = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", tmp_path / "whole.csv"
    predict(tiny_bundle, input=source, text_column="headline", output=whole, batch_rows=7)
    run_killed(tiny_bundle, source, out, at=21)
    os.truncate(tmp_path / ".out.csv.part" / "rows.csv", 100)
    assert predict(tiny_bundle, input=source, text_column="headline", output=out, batch_rows=7)["resumed_rows"] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_another_input_or_batch_size_begins_anew(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"
    run_killed(tiny_bundle, source, out, at=21)
    assert predict(tiny_bundle, input=source, text_column="headline", output=out, batch_rows=8)["resumed_rows"] == 0
    out.unlink()
    run_killed(tiny_bundle, source, out, at=21)
    source.write_bytes(source.read_bytes() + b"later,rose,up,none\n")
    found = predict(tiny_bundle, input=source, text_column="headline", output=out, batch_rows=7)
    assert (found["rows"], found["resumed_rows"]) == (31, 0)


def test_two_processes_cannot_write_one_table(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"

    def intrude(done: int, of: int | None) -> None:
        predict(tiny_bundle, input=source, text_column="headline", output=out)

    assert refusal(DataError, lambda: predict(tiny_bundle, input=source, output=out, progress=intrude)) == (
        f"The table {str(out)!r} must be written by one process at a time; another one is at it. Wait for it, or give "
        "another name."
    )
