"""The bad inputs of what is done with a finished bundle: stores, variants, ensembles, explanations, measuring."""

# ruff: noqa: ARG001  (every case is given the folder and the stock, whether it needs them or not)

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from benchmarks.bad_input_cases import Asked, Stock, case, rows, write_rows

# A store --------------------------------------------------------------------------------------------------------------


@case("The store", "a folder")
def _(room: Path, stock: Stock) -> Asked:
    (room / "kept").mkdir()
    return _kept(stock, "kept", "A store must be a file; got 'kept', which is a folder")


@case("The store", "in a folder that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _kept(stock, "nowhere/kept.db", "The folder 'nowhere' must exist to hold the store 'kept.db'")


@case("The store", "a file that is no database")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "kept.db", rows())
    return _kept(stock, "kept.db", "'kept.db'")


@case("The store", "a database of another program")
def _(room: Path, stock: Stock) -> Asked:
    with sqlite3.connect(room / "kept.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
    database.close()
    return _kept(stock, "kept.db", "which holds 'orders' of another program. Nothing was written")


@case("The store", "a database cut short")
def _(room: Path, stock: Stock) -> Asked:
    with sqlite3.connect(room / "kept.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER, text TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, "x" * 500) for n in range(100)])
    database.close()
    whole = (room / "kept.db").read_bytes()
    (room / "kept.db").write_bytes(whole[: len(whole) // 3])
    return _kept(stock, "kept.db", "'kept.db'")


@case("The store", "a database it does not know, its password unsaid")
def _(room: Path, stock: Stock) -> Asked:
    return _kept(stock, "oracle://reader:secret@host/kept", "a database of SQLite or PostgreSQL; got one of 'oracle'")


@case("The store", "one in memory")
def _(room: Path, stock: Stock) -> Asked:
    return _kept(stock, "sqlite://", "A store must outlive the process")


def _kept(stock: Stock, store: str, says: str) -> Asked:
    return Asked(words=["predict", str(stock.bundle), "profit rose", "--store", store], says=(says,))


# A variant ------------------------------------------------------------------------------------------------------------


@case("A variant", "a file whose rows it was not trained on")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(40))
    return _optimized(stock, says=("The rows must be those bundle", "was made from"))


@case("A variant", "a method that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _optimized(stock, "--method", "int4", says=("int4", "int8-dynamic"))


@case("A variant", "more layers out than there are")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return _optimized(stock, "--method", "drop-layers", "--set", "layers=2", says=("2",))


@case("A variant", "a share above one")
def _(room: Path, stock: Stock) -> Asked:
    return _optimized(stock, "--method", "prune", "--set", "prune.heads=1.5", says=("prune.heads", "1.5"))


@case("A variant", "distilled from nobody")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return _optimized(stock, "--method", "distil", says=("`distil` needs a teacher or a student; got neither",))


@case("A variant", "a teacher of another question")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return _optimized(stock, "--method", "distil", "--teacher", str(stock.other), says=("teacher",))


@case("A variant", "a budget below nothing")
def _(room: Path, stock: Stock) -> Asked:
    return _optimized(stock, "--budget", "-1", says=("--budget",))


@case("A variant", "into a folder that holds something else")
def _(room: Path, stock: Stock) -> Asked:
    (room / "small").mkdir()
    (room / "small" / "notes.txt").write_text("mine", encoding="utf-8")
    return _optimized(stock, says=("'small'", "which holds files"))


@case("A variant", "of a damaged bundle")
def _(room: Path, stock: Stock) -> Asked:
    shutil.copytree(stock.bundle, room / "mine")
    (room / "mine" / "onnx" / "model.onnx").write_bytes(b"short")
    return Asked(words=["optimize", "mine", "rows.csv", "--out", "small"], says=("onnx/model.onnx",))


def _optimized(stock: Stock, *extra: str, says: tuple[str, ...]) -> Asked:
    return Asked(words=["optimize", str(stock.bundle), "rows.csv", "--out", "small", *extra], says=says)


# An ensemble ----------------------------------------------------------------------------------------------------------


@case("An ensemble", "of one bundle")
def _(room: Path, stock: Stock) -> Asked:
    return _together(str(stock.bundle), says="An ensemble needs at least 2 bundles; got 1.")


@case("An ensemble", "of one bundle twice")
def _(room: Path, stock: Stock) -> Asked:
    return _together(str(stock.bundle), str(stock.bundle), says="must be another bundle; got")


@case("An ensemble", "of bundles that answer different questions")
def _(room: Path, stock: Stock) -> Asked:
    return _together(str(stock.bundle), str(stock.other), says="Bundle")


@case("An ensemble", "of a bundle that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _together(str(stock.bundle), "nothere", says="got 'nothere': no such folder")


@case("An ensemble", "combined in a way that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _together(str(stock.bundle), str(stock.other), "--combine", "median", says="median")


def _together(*words: str, says: str) -> Asked:
    return Asked(words=["ensemble", *words, "--out", "all"], says=(says,))


# An explanation -------------------------------------------------------------------------------------------------------


@case("An explanation", "of a label that is not there: nearest named")
def _(room: Path, stock: Stock) -> Asked:
    return _explained(stock, "profit rose", "--label", "upp", says=("'upp'", "up"))


@case("An explanation", "of no text")
def _(room: Path, stock: Stock) -> Asked:
    return _explained(stock, "   ", says=("at least one text to explain",))


@case("An explanation", "of a file without that column")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows())
    return _explained(stock, "--input", "news.csv", "--text", "body", says=("'body'", "headline"))


@case("An explanation", "with a list of terms that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _explained(stock, "profit rose", "--terms", "terms.txt", says=("terms.txt",))


@case("An explanation", "beside fewer random orders than say anything")
def _(room: Path, stock: Stock) -> Asked:
    return _explained(stock, "profit rose", "--random-orders", "3", says=("--random-orders",))


@case("An explanation", "a folder in the place of its page")
def _(room: Path, stock: Stock) -> Asked:
    (room / "page").mkdir()
    return _explained(stock, "profit rose", "--html", "page", says=("'page'",))


def _explained(stock: Stock, *words: str, says: tuple[str, ...]) -> Asked:
    return Asked(words=["explain", str(stock.bundle), *words], says=says)


# Measuring, and backends ----------------------------------------------------------------------------------------------


@case("Measuring", "a backend that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["bench", str(stock.bundle), "--backend", "tensorrt"], says=("tensorrt", "onnxruntime"))


@case("Measuring", "a file without texts")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", [["headline"], [" "]])
    return Asked(words=["bench", str(stock.bundle), "news.csv"], says=("news.csv",))


@case("Measuring", "no round")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["bench", str(stock.bundle), "--rounds", "0"], says=("--rounds",))


@case("Measuring", "a file of texts that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["bench", str(stock.bundle), "news.csv"], says=("news.csv",))


@case("Predicting", "eight bits of a bundle that ships none")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(
        words=["predict", str(stock.bundle), "profit rose", "--backend", "onnxruntime-int8"],
        says=("ships no network in eight bits", "tapereader optimize"),
    )
