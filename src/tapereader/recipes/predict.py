"""``predict``: a bundle and texts in, labels with their probabilities out, in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeGuard

import numpy as np
import pandas as pd

from tapereader.bundle import Bundle
from tapereader.core.errors import ConfigError, DataError
from tapereader.core.records import Prediction
from tapereader.engine import Engine, text_faults
from tapereader.recipes.stored import Answers, StoredAnswers
from tapereader.recipes.table_file import TableFile
from tapereader.recipes.tables import TableFormat, TableStream, format_of
from tapereader.recipes.words import WordsEngine
from tapereader.sources.text import count_rows, stream_texts

if TYPE_CHECKING:
    from tapereader.store import PredictionStore

#: Rows answered in memory where no output is given.
MOST_IN_MEMORY = 10_000
#: Digits after the point: fewer than the noise of summing in another order, so that equal runs write equal files.
_DIGITS = 6


def predict(
    bundle: Bundle | Path | str,
    *,
    texts: Sequence[str] | None = None,
    pairs: Sequence[str] | None = None,
    input: Path | str | IO[Any] | None = None,  # noqa: A002 (the public word for it)
    text_column: str | None = None,
    pair_column: str | None = None,
    encoding: str | None = None,
    output: Path | str | IO[str] | None = None,
    output_format: TableFormat | None = None,
    batch_rows: int = 1024,
    backend: str | None = None,
    threads: int | None = None,
    store: PredictionStore | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    chosen: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Answer texts given as arguments, in a file of any size, or on standard input.

    From a file to a file, a run that is killed goes on where it was when it is started again in the same way, and ends
    with the same bytes.

    The table has the input's columns and then ``label``, ``p_<label>`` for each label, ``prediction_set`` and
    ``abstained`` (``value``, ``low`` and ``high`` for regression) and ``error``. A row without words gets an ``error``
    and no answer; it stops nothing. An input column that has one of those names is kept as ``source_<name>``.

    Parameters
    ----------
    bundle : a loaded bundle, or its folder
    texts, pairs : the texts themselves, and their second texts where the bundle asks about one
    input : instead of texts: a file, ``-`` for standard input (one text a line), or an open stream
    text_column, pair_column : columns of the file; None goes by an obvious name, or by ``pair`` where pairs are needed
    encoding : of the file; None follows a byte-order mark and otherwise demands UTF-8
    output : a .csv, .jsonl or .parquet file, which appears when it is complete, or an open text stream; None returns
        the rows
    output_format : ``csv`` or ``jsonl`` for a stream
    batch_rows : rows held at once
    backend, threads : as :class:`tapereader.engine.Engine` takes them
    store : answers kept from earlier, which are read and not computed again; new ones are kept. None computes all
    progress : told rows done and rows in all (None where nobody knows) after each batch
    chosen : told before the first answer what the backend ``auto`` picked, and why

    Returns
    -------
    dict with ``bundle_id``, ``task``, ``labels``, ``rows``, ``errors``, ``abstained``, ``label_counts``,
    ``resumed_rows`` (answered by a run that was killed), ``output``, ``stored_rows`` (read from the store, where there
    is one), and ``predictions`` (a list of rows) where no output was given. A bundle that answers in words adds
    ``cut``, the texts too long to be read whole, of which it did not read the middle; the backend ``auto`` adds
    ``backend``, what it picked, and ``backend_reason``

    Raises
    ------
    ConfigError
        If both or neither of texts and input are given, or the output cannot be what was asked.
    DataError
        If the input cannot be read, the output cannot be written, or pairs do not fit the bundle.
    BundleError
        If the bundle is damaged.
    """
    if (texts is None) == (input is None):
        raise ConfigError("Give either `texts` or `input`, and not both.")
    destination = Path(output) if isinstance(output, str) else output
    if isinstance(destination, Path) and isinstance(input, str | Path) and _same_file(destination, Path(input)):
        raise ConfigError(f"`output` must be another file than `input`; got {str(destination)!r} for both.")
    if isinstance(destination, Path):
        format_of(destination, output_format)  # before the bundle is read, which takes a moment
    stream = None
    if destination is not None and not isinstance(destination, Path):
        stream = TableStream(destination, format=output_format)
    engine = open_any(bundle, backend=backend, threads=threads)
    if chosen is not None and isinstance(engine, Engine) and engine.choice is not None:
        chosen(engine.choice.reason)
    scorer = engine if store is None else StoredAnswers(engine, store)
    total: int | None = None
    if texts is not None:
        frames, total = _argument_frames(texts, pairs, batch_rows), len(texts)
    else:
        assert input is not None  # noqa: S101 (one of the two is there, see above)
        pair = (pair_column or "pair") if engine.bundle.has_pair else pair_column
        frames = stream_texts(input, text=text_column, pair=pair, batch_rows=batch_rows, encoding=encoding)

    tally = _Tally()
    kept: list[dict[str, Any]] = []
    if isinstance(destination, Path):
        identity = None
        if input is not None and _is_file(input):
            asked = {"text": text_column, "pair": pair_column, "encoding": encoding, "batch_rows": batch_rows}
            identity = {"bundle": engine.bundle.id, "backend": engine.backend, "input": _identity(input), **asked}
            total = count_rows(Path(input), encoding=encoding, batch_rows=batch_rows)
        with TableFile(destination, identity, format=output_format) as table:
            tally.take_up(table.notes)
            for frame in _behind(frames, table.rows):
                table.write(tally.counted(_answer(scorer, frame)), tally.notes())
                if progress is not None:
                    progress(tally.rows, total)
    else:
        for frame in frames:
            answer = tally.counted(_answer(scorer, frame))
            if stream is not None:
                stream.write(answer)
            elif input is not None and tally.rows > MOST_IN_MEMORY:
                raise ConfigError(f"Without `output`, at most {MOST_IN_MEMORY} rows are answered; the input has more.")
            else:
                kept += _plain_rows(answer)
            if progress is not None:
                progress(tally.rows, total)
    return (
        {
            "bundle_id": engine.bundle.id,
            "task": engine.bundle.task,
            "labels": list(engine.bundle.contract.names),
            "rows": tally.rows,
            "errors": tally.errors,
            "abstained": tally.abstained,
            "label_counts": dict(tally.labels.most_common()),
            "resumed_rows": tally.resumed,
            "output": str(destination) if isinstance(destination, Path) else None,
        }
        | ({"predictions": kept} if destination is None else {})
        | ({"cut": engine.n_cut} if isinstance(engine, WordsEngine) else _backend_words(engine))
        | ({"stored_rows": scorer.n_stored} if isinstance(scorer, StoredAnswers) else {})
    )


def _backend_words(engine: Engine) -> dict[str, str]:
    return {} if engine.choice is None else {"backend": engine.backend, "backend_reason": engine.choice.reason}


class _Tally:
    """What was answered so far, in numbers that a resumed run goes on with."""

    def __init__(self) -> None:
        self.rows = self.errors = self.abstained = self.resumed = 0
        self.labels: Counter[str] = Counter()

    def take_up(self, notes: dict[str, Any]) -> None:
        if notes:
            self.rows, self.errors, self.abstained = (notes[name] for name in ("rows", "errors", "abstained"))
            self.labels = Counter(notes["labels"])
            self.resumed = self.rows

    def counted(self, answer: pd.DataFrame) -> pd.DataFrame:
        self.rows += len(answer)
        self.errors += int(answer["error"].notna().sum())
        if "label" in answer:
            self.labels.update(answer["label"].dropna().tolist())
            self.abstained += int(answer["abstained"].sum())
        return answer

    def notes(self) -> dict[str, Any]:
        return {"rows": self.rows, "errors": self.errors, "abstained": self.abstained, "labels": dict(self.labels)}


def _behind(frames: Iterator[pd.DataFrame], rows: int) -> Iterator[pd.DataFrame]:
    """Leave out the batches that a killed run has answered; they were cut as they are cut now."""
    for frame in frames:
        if int(frame["row"].iloc[0]) > rows:
            yield frame


def _is_file(source: Path | str | IO[Any]) -> TypeGuard[Path | str]:
    return isinstance(source, Path | str) and source != "-" and Path(source).is_file()


def _identity(source: Path | str) -> list[Any]:
    found = Path(source).stat()
    return [str(Path(source).resolve()), found.st_size, found.st_mtime_ns]


def open_any(
    bundle: Bundle | Path | str, *, backend: str | None = None, threads: int | None = None
) -> Engine | WordsEngine:
    """Open a bundle for answering, whether its network has a head or says the label.

    Parameters
    ----------
    bundle : a loaded bundle, or its folder
    backend, threads : as :class:`tapereader.engine.Engine` takes them; words take neither
    """
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    if loaded.contract.kind == "generation":
        return WordsEngine(loaded)
    return Engine(loaded, backend=backend, threads=threads)


def _argument_frames(texts: Sequence[str], pairs: Sequence[str] | None, batch_rows: int) -> Iterator[pd.DataFrame]:
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"There must be one pair for each text; got {len(texts)} texts and {len(pairs)} pairs.")
    if batch_rows < 1:
        raise ConfigError(f"`batch_rows` must be 1 or more; got {batch_rows}.")
    for start in range(0, len(texts), batch_rows):
        part = slice(start, start + batch_rows)
        columns: dict[str, Any] = {"text": list(texts[part])}
        if pairs is not None:
            columns["pair"] = list(pairs[part])
        yield pd.DataFrame({"row": range(start + 1, start + 1 + len(columns["text"]))} | columns)


def _answer(engine: Answers, frame: pd.DataFrame) -> pd.DataFrame:
    texts = frame["text"].tolist()
    pairs = frame["pair"].tolist() if "pair" in frame.columns else None
    found = engine.predict(texts, pairs, skip_empty=True)
    columns = (
        _value_columns(engine, found) if engine.bundle.contract.kind == "regression" else _label_columns(engine, found)
    )
    columns["error"] = pd.array(text_faults(texts, pairs), dtype="string")
    clash = {name: f"source_{name}" for name in frame.columns if name in columns}
    return frame.rename(columns=clash).assign(**columns)


def _label_columns(engine: Answers, found: Sequence[Prediction | None]) -> dict[str, Any]:
    names = engine.bundle.contract.names
    nothing = (float("nan"),) * len(names)
    table = np.array([nothing if one is None else one.probabilities for one in found], dtype=np.float64)
    table = np.round(table.reshape(len(found), len(names)), _DIGITS)
    return {
        "label": pd.array([None if one is None else one.label for one in found], dtype="string"),
        **{f"p_{name}": table[:, column] for column, name in enumerate(names)},
        "prediction_set": pd.array(
            [None if one is None else "|".join(one.prediction_set) for one in found], dtype="string"
        ),
        "abstained": pd.array([None if one is None else one.abstained for one in found], dtype="boolean"),
    }


def _value_columns(engine: Answers, found: Sequence[Prediction | None]) -> dict[str, Any]:
    answered = np.array([one is not None for one in found], dtype=np.bool_)
    values = np.array([one.value for one in found if one is not None], dtype=np.float64)
    bounds = engine.intervals(values)
    columns = (
        {"value": values, "low": None, "high": None}
        if bounds is None
        else dict(zip(("value", "low", "high"), (values, *bounds), strict=True))
    )
    table = {name: np.full(len(found), np.nan) for name in columns}
    for name, column in columns.items():
        if column is not None:
            table[name][answered] = np.round(column, _DIGITS)
    return dict(table)


def _plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _same_file(first: Path, second: Path) -> bool:
    return first.exists() and second.exists() and first.samefile(second)
