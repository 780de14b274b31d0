"""The bad inputs: what is put into an empty folder, what is asked, and what has to be said."""

# ruff: noqa: ARG001  (every case is given the folder and the stock, whether it needs them or not)

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = "profit loss rose fell sales shares debt record warning strong weak the of in a company year net dividend"
_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789.,-%"
_LONG = ("--set", "finetune.epochs=20", "--set", "finetune.optimizer.learning_rate=0.003")
_GOOD, _BAD = ("rose", "strong", "record"), ("fell", "weak", "warning")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked, and what has to happen.

    Parameters
    ----------
    words : after ``tapereader``
    code : exit code it must leave with
    says : parts of what it must say
    makes : names in the folder that may, and must, be new afterwards
    stdin : standard input, or None for an empty one
    environment : variables set for this one
    most_bytes : no file may grow above this, as on a full disk; None sets no limit
    unmake : called afterwards
    """

    words: Sequence[str]
    code: int = 2
    says: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    stdin: bytes | None = None
    environment: dict[str, str] = field(default_factory=dict)
    most_bytes: int | None = None
    unmake: Callable[[], object] | None = None


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What is made once: a tiny network with random weights, and two bundles trained from it.

    Parameters
    ----------
    network : Hugging Face folder
    bundle : answers ``down`` or ``up``
    other : answers ``buy`` or ``sell`` about a named target
    """

    network: Path
    bundle: Path
    other: Path


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad input: ``prepare`` fills an empty folder and returns what to ask."""

    subject: str
    name: str
    prepare: Callable[[Path, Stock], Asked]


CASES: list[Case] = []


def case(subject: str, name: str) -> Callable[[Callable[[Path, Stock], Asked]], Callable[[Path, Stock], Asked]]:
    """Add a function to the cases."""

    def add(prepare: Callable[[Path, Stock], Asked]) -> Callable[[Path, Stock], Asked]:
        CASES.append(Case(subject=subject, name=name, prepare=prepare))
        return prepare

    return add


def make_stock(home: Path) -> Stock:
    """Make the network and train the two bundles with the real command."""
    home.mkdir(parents=True)
    stock = Stock(network=home / "tiny", bundle=home / "bundle", other=home / "other")
    _make_network(stock.network)
    write_rows(home / "rows.csv", rows())
    write_rows(
        home / "pairs.csv",
        [["text", "label", "pair"], *([text, "sell" if tone == "up" else "buy", "ACME"] for text, tone in rows()[1:])],
    )
    for name, extra, out in (("rows.csv", (), stock.bundle), ("pairs.csv", ("--pair", "pair"), stock.other)):
        # It has to learn something, or any network would answer the sanity sentences as it does.
        words = ["train", str(home / name), "--backbone", str(stock.network), "--out", str(out), *extra, *_LONG]
        subprocess.run([sys.executable, "-m", "tapereader.cli.app", *words], check=True, capture_output=True)  # noqa: S603
    return stock


def _make_network(folder: Path) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    torch.manual_seed(0)
    names = [*_MARKS, *_WORDS.split(), *_SIGNS, *(f"##{sign}" for sign in _SIGNS)]
    vocabulary = {name: position for position, name in enumerate(dict.fromkeys(names))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106  (a token of a vocabulary)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128,
    )  # fmt: skip
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def rows(count: int = 60) -> list[list[str]]:
    """Return a header and labelled headlines of which no two are near-copies."""
    found = [["headline", "label"]]
    for n in range(count):
        word = (_GOOD if n % 2 else _BAD)[n // 2 % 3]
        found.append(
            [f"{('profit', 'sales', 'debt')[n % 3]} {word} {_name(n)} {_name(n + 251)}", "up" if n % 2 else "down"]
        )
    return found


def _name(n: int) -> str:
    """Return a made-up word, another for every number below five hundred."""
    first, rest = divmod(n, 50)
    return f"{'bcdfghklmn'[rest % 10]}{'aeiou'[rest // 10]}{'prstvwxzqj'[first % 10]}{'oiaue'[(first + rest) % 5]}"


def write_rows(path: Path, table: Sequence[Sequence[str]], *, encoding: str = "utf-8") -> Path:
    """Write a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(table)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def checked(
    *, code: int = 2, says: tuple[str, ...] = (), extra: Sequence[str] = (), name: str = "rows.csv", **other: Any
) -> Asked:
    """Ask to check a file, which reads it as training does."""
    return Asked(words=["data", "check", name, *extra], code=code, says=says, **other)


def trained(
    stock: Stock, *, code: int = 2, says: tuple[str, ...] = (), extra: Sequence[str] = (), name: str = "rows.csv",
    out: str = "model", **other: Any,
) -> Asked:  # fmt: skip
    """Ask to train on a file with the tiny network."""
    made = () if code else (out, f"{out}-report.html")
    words = ["train", name, "--out", out, *extra]
    if "--backbone" not in extra:
        words += ["--backbone", str(stock.network)]
    return Asked(words=words, code=code, says=says, makes=made, **other)


# A file ---------------------------------------------------------------------------------------------------------------


@case("The file", "no such file")
def _(room: Path, stock: Stock) -> Asked:
    return trained(stock, name="headlnes.csv", says=("must exist; got 'headlnes.csv'",))


@case("The file", "a folder instead of a file")
def _(room: Path, stock: Stock) -> Asked:
    (room / "texts").mkdir()
    return checked(name="texts", says=("one file; got the folder 'texts'. Name a file inside it.",))


@case("The file", "an empty file")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.csv").touch()
    return checked(says=("must have rows; got 'rows.csv' with 0 bytes",))


@case("The file", "a header and no rows")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(0))
    return checked(says=("at least one data row",))


@case("The file", "UTF-8 with a byte-order mark: works")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(), encoding="utf-8-sig")
    return checked(code=0, says=("60 rows, 0 errors",))


@case("The file", "UTF-16 with a byte-order mark: works")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(), encoding="utf-16")
    return checked(code=0, says=("60 rows, 0 errors",))


@case("The file", "UTF-16 without a byte-order mark: encoding named")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(), encoding="utf-16-le")
    return checked(says=("UTF-16 without a byte-order mark", "utf-16-le"))


@case("The file", "Chinese in GBK: encoding named")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(
        room / "rows.csv",
        [["text", "label"], ["公司营业利润同比下降", "down"], ["净利润大幅增长", "up"]],
        encoding="gbk",
    )
    return checked(says=("line 2 of 'rows.csv'", "gb18030"))


@case("The file", "Chinese in GBK with --encoding gb18030: works")
def _(room: Path, stock: Stock) -> Asked:
    numbers = "一二三四五六七八九十"
    texts = [[f"{first}公司第{second}季度利润{'增长' if n % 2 else '下降'}", "up" if n % 2 else "down"]
             for n, (first, second) in enumerate((a, b) for a in "甲乙丙丁戊" for b in numbers)]  # fmt: skip
    write_rows(room / "rows.csv", [["text", "label"], *texts], encoding="gbk")
    return checked(code=0, extra=("--encoding", "gb18030", "--language", "zh"), says=("50 rows, 0 errors",))


@case("The file", "German in Latin-1: encoding named")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["text", "label"], ["Gewinn rückläufig in Zürich", "down"]], encoding="latin-1")
    return checked(says=("line 2 of 'rows.csv'", "cp1252"))


@case("The file", "the wrong encoding asked for")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["text", "label"], ["Gewinn rückläufig in Zürich", "down"]], encoding="latin-1")
    return checked(extra=("--encoding", "utf-8"), says=("got bytes in line 2 of 'rows.csv' that are not UTF-8",))


@case("The file", "an encoding that does not exist")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return checked(extra=("--encoding", "utf-9"), says=("must be one Python knows", "got 'utf-9'"))


@case("The file", "Parquet cut short")
def _(room: Path, stock: Stock) -> Asked:
    _parquet(room / "rows.parquet")
    whole = (room / "rows.parquet").read_bytes()
    (room / "rows.parquet").write_bytes(whole[: len(whole) // 2])
    return checked(name="rows.parquet", says=("A Parquet file must be whole; got 'rows.parquet'",))


@case("The file", "Parquet with the name of a CSV file")
def _(room: Path, stock: Stock) -> Asked:
    _parquet(room / "rows.csv")
    return checked(says=("'rows.csv'",))


@case("The file", "NUL bytes in a CSV file")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.csv").write_bytes(b"text,label\nprofit rose,up\nprofit\0fell,down\n")
    return checked(says=("no NUL bytes; got one in line 3",))


@case("The file", "a broken line of JSON")
def _(room: Path, stock: Stock) -> Asked:
    lines = ['{"text": "profit rose", "label": "up"}', '{"text": "sales fell", "label": "do']
    (room / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return checked(name="rows.jsonl", says=("one JSON object; got line 2 of 'rows.jsonl'",))


@case("The file", "a JSON line that is no object")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.jsonl").write_text('["profit rose", "up"]\n', encoding="utf-8")
    return checked(name="rows.jsonl", says=("one JSON object, like {'text': ...}; got line 1",))


@case("The file", "a CSV row with too many cells")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.csv").write_text("text,label\nprofit rose, sales too,up\n", encoding="utf-8")
    return checked(says=("must have 2 cells like the header; got 3 in row 1 (line 2)",))


@case("The file", "a quote that is never closed")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.csv").write_text('text,label\n"profit rose,up\nsales fell,down\n', encoding="utf-8")
    return checked(says=("closed quotes",))


@case("The file", "one column name twice")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.csv").write_text("text,label,label\nprofit rose,up,up\n", encoding="utf-8")
    return checked(says=("Column names must differ; got 'label' twice",))


@case("The file", "a spreadsheet")
def _(room: Path, stock: Stock) -> Asked:
    (room / "rows.xlsx").write_bytes(b"PK\x03\x04 a workbook")
    return checked(name="rows.xlsx", says=("Save the sheet as CSV UTF-8",))


def _parquet(path: Path) -> None:
    import pandas as pd

    header, *cells = rows()
    pd.DataFrame(cells, columns=header).to_parquet(path)


# Columns and rows -----------------------------------------------------------------------------------------------------


@case("Columns", "a column that is not there")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return checked(extra=("--text", "body"), says=("must be one of headline, label; got 'body' for 'rows.csv'",))


@case("Columns", "a misspelt column: nearest named")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return checked(extra=("--text", "hedline"), says=("Did you mean 'headline'?",))


@case("Columns", "no column with a telling name")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["a", "b"], *rows()[1:]])
    return checked(says=("must be named, since none has a telling name; the columns are a, b", "--text"))


@case("Columns", "two columns could be meant")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["headline", "body", "label"], *([t, t, y] for t, y in rows()[1:])])
    return checked(says=("both 'headline' and 'body' could be meant", "--text"))


@case("Columns", "the same column for text and label")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return checked(extra=("--text", "headline", "--label", "headline"), says=("'headline'",))


@case("Rows", "labels missing (empty, NaN)")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[5][1], table[9][1] = "", "NaN"
    write_rows(room / "rows.csv", table)
    return trained(stock, says=("missing-label", "(rows 5, 9)"))


@case("Rows", "a label outside --labels")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[7][1] = "sideways"
    write_rows(room / "rows.csv", table)
    return checked(extra=("--labels", "down,up"), says=("unknown-label", "'sideways'", "(row 7)"))


@case("Rows", "one class only")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["text", "label"], *([text, "up"] for text, _ in rows()[1:])])
    return checked(says=("up",))


@case("Rows", "two rows")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(2))
    return trained(stock, says=("rare-class",))


@case("Rows", "empty and blank texts")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[3][0], table[4][0], table[6][0] = "", "   ", "\t"
    write_rows(room / "rows.csv", table)
    return checked(says=("empty-text", "(rows 3, 4, 6)"))


@case("Rows", "numbers among the texts")
def _(room: Path, stock: Stock) -> Asked:
    lines = [
        json.dumps({"text": 12 if n == 3 else text, "label": tone}) for n, (text, tone) in enumerate(rows()[1:], 1)
    ]
    (room / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return checked(name="rows.jsonl", says=("must be a string; got 12 (int) in row 3",))


@case("Rows", "an id in the place of the label")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["text", "label"], *([text, f"id-{n}"] for n, (text, _) in enumerate(rows()[1:]))])
    return checked(says=("rare-class",))


@case("Rows", "a megabyte of text in one row: works, told")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[2][0] = " ".join(f"profit {_name(n)}" for n in range(75_000))
    write_rows(room / "rows.csv", table)
    return trained(stock, code=0, extra=("--set", "finetune.epochs=1"), says=("huge-text", "(row 2)"))


@case("Rows", "damaged characters: works, told")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[4][0] += " ZÃ¼rich"
    write_rows(room / "rows.csv", table)
    return trained(stock, code=0, says=("mojibake", "(row 4)"))


@case("Rows", "one text with two labels: works, told")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[2][0] = table[1][0]
    write_rows(room / "rows.csv", table)
    return checked(code=0, says=("conflicting-labels", "(rows 1, 2)"))


@case("Rows", "pictures and an endless word: works")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[1][0], table[2][0] = "📈🚀" * 40, "x" * 20_000
    write_rows(room / "rows.csv", table)
    return trained(stock, code=0)


@case("Rows", "times in several zones: works")
def _(room: Path, stock: Stock) -> Asked:
    zones = ("Z", "+08:00", "-05:00")
    write_rows(room / "rows.csv", _timed(lambda n: f"2024-03-{1 + n % 28:02d}T09:30:00{zones[n % 3]}"))
    return checked(code=0, extra=("--time", "at"), says=("60 rows, 0 errors",))


@case("Rows", "times without a zone")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", _timed(lambda n: f"2024-03-{1 + n % 28:02d} 09:30:00"))
    return checked(extra=("--time", "at"), says=("must have a time zone; got '2024-03-01 09:30:00'",))


@case("Rows", "times that are none")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", _timed(lambda n: "yesterday" if n == 4 else "2024-03-01"))
    return checked(extra=("--time", "at"), says=("got 'yesterday' in row 5",))


def _timed(at: Callable[[int], str]) -> list[list[str]]:
    return [["text", "label", "at"], *([text, tone, at(n)] for n, (text, tone) in enumerate(rows()[1:]))]


# What is asked for ----------------------------------------------------------------------------------------------------


@case("The data set's name", "misspelt: nearest named")
def _(room: Path, stock: Stock) -> Asked:
    return checked(name="fomc-stanse", says=("got 'fomc-stanse', neither. Did you mean 'fomc-stance'?",))


@case("The data set's name", "a named one with options for files")
def _(room: Path, stock: Stock) -> Asked:
    return checked(name="synthetic-sentiment", extra=("--text", "x"), says=("Only a file of your own takes",))


@case("The data set's name", "TAPEREADER_DATA not set")
def _(room: Path, stock: Stock) -> Asked:
    return checked(name="fomc-stance", says=("TAPEREADER_DATA",))


@case("The data set's name", "TAPEREADER_DATA names no folder")
def _(room: Path, stock: Stock) -> Asked:
    return checked(name="fomc-stance", says=("nowhere",), environment={"TAPEREADER_DATA": "nowhere"})


@case("Options", "a field that is not there: nearest named")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.epoch=2", "finetune.epoch: no such field; did you mean epochs?")


@case("Options", "a value of the wrong type")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.epochs=many", "finetune.epochs: must be a valid integer; got 'many'")


@case("Options", "fewer than no epochs")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.epochs=-3", "finetune.epochs: must be greater than or equal to 1; got -3")


@case("Options", "a learning rate that is not a number")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.optimizer.learning_rate=.nan", "finetune.optimizer.learning_rate")


@case("Options", "--set without a value")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.epochs", "must look like `a.b=value`; got 'finetune.epochs'")


@case("Options", "more tokens than the network has")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "finetune.max_length=100000", "max_length")


@case("Options", "a baseline that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _set(room, stock, "judging.baselines=[majorty]", "`baselines` must be among")


@case("Options", "a configuration file that is no YAML")
def _(room: Path, stock: Stock) -> Asked:
    (room / "train.yaml").write_text("finetune: {epochs: 3\nseed: ]\n", encoding="utf-8")
    return _configured(room, stock, "must be readable YAML; got 'train.yaml'")


@case("Options", "a configuration file with a list in it")
def _(room: Path, stock: Stock) -> Asked:
    (room / "train.yaml").write_text("- epochs\n- seed\n", encoding="utf-8")
    return _configured(room, stock, "must hold `field: value` lines; got 'train.yaml'")


@case("Options", "a configuration file that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _configured(room, stock, "got 'train.yaml'")


@case("Options", "a configuration file with a text for a section")
def _(room: Path, stock: Stock) -> Asked:
    (room / "train.yaml").write_text("finetune: fast\n", encoding="utf-8")
    return _configured(room, stock, "finetune")


@case("Options", "--seed abc")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows())
    return trained(stock, extra=("--seed", "abc"), says=("--seed",))


@case("Options", "--split nonsense")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(
        words=["evaluate", str(stock.bundle), "rows.csv", "--split", "nonsense"], says=("nonsense", "validation")
    )


@case("Options", "a misspelt option")
def _(room: Path, stock: Stock) -> Asked:
    return trained(stock, extra=("--bakbone", "x"), says=("--bakbone", "--backbone"))


@case("Options", "a misspelt verb")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["trian", "rows.csv"], says=("trian",))


def _set(room: Path, stock: Stock, change: str, says: str) -> Asked:
    write_rows(room / "rows.csv", rows())
    return trained(stock, extra=("--set", change), says=(says,))


def _configured(room: Path, stock: Stock, says: str) -> Asked:
    write_rows(room / "rows.csv", rows())
    return trained(stock, extra=("--config", "train.yaml"), says=(says,))


# The network to start from --------------------------------------------------------------------------------------------


@case("The network", "a misspelt name: nearest named")
def _(room: Path, stock: Stock) -> Asked:
    return _started(room, stock, "minilmm", "Did you mean 'minilm'?")


@case("The network", "a folder that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return _started(room, stock, "./my-network", "A backbone's folder must exist; got './my-network'.")


@case("The network", "a folder without a network")
def _(room: Path, stock: Stock) -> Asked:
    (room / "mine").mkdir()
    return _started(room, stock, "./mine", "config.json")


@case("The network", "weights kept as a pickle")
def _(room: Path, stock: Stock) -> Asked:
    folder = _network(room, stock)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return _started(room, stock, "./mine", "Weights must be safetensors only")


@case("The network", "weights cut short")
def _(room: Path, stock: Stock) -> Asked:
    weights = _network(room, stock) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return _started(room, stock, "./mine", "Copy it again.")


@case("The network", "a Git LFS pointer in the place of the weights")
def _(room: Path, stock: Stock) -> Asked:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 90868376\n"
    (_network(room, stock) / "model.safetensors").write_text(pointer, encoding="utf-8")
    return _started(room, stock, "./mine", "git lfs pull")


@case("The network", "no tokenizer")
def _(room: Path, stock: Stock) -> Asked:
    (_network(room, stock) / "tokenizer.json").unlink()
    return _started(room, stock, "./mine", "must hold tokenizer.json")


@case("The network", "code of its own")
def _(room: Path, stock: Stock) -> Asked:
    config = {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}
    (_network(room, stock) / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return _started(room, stock, "./mine", "which is never run")


@case("The network", "a hub id that is not here")
def _(room: Path, stock: Stock) -> Asked:
    return _started(room, stock, "nobody/no-such-network", "must be in the local Hugging Face cache; it is not")


def _network(room: Path, stock: Stock) -> Path:
    shutil.copytree(stock.network, room / "mine")
    return room / "mine"


def _started(room: Path, stock: Stock, backbone: str, says: str) -> Asked:
    write_rows(room / "rows.csv", rows())
    return trained(stock, extra=("--backbone", backbone), says=(says,))


# Where it is written --------------------------------------------------------------------------------------------------


@case("The place", "a folder that is taken")
def _(room: Path, stock: Stock) -> Asked:
    (room / "model").mkdir()
    (room / "model" / "notes.txt").write_text("mine", encoding="utf-8")
    return _written(room, stock, says=("must not exist yet; got 'model'. Give another name",))


@case("The place", "--replace over a folder that is no bundle")
def _(room: Path, stock: Stock) -> Asked:
    (room / "model").mkdir()
    (room / "model" / "notes.txt").write_text("mine", encoding="utf-8")
    return _written(room, stock, extra=("--replace",), says=("Only a bundle can be replaced",))


@case("The place", "a file of that name")
def _(room: Path, stock: Stock) -> Asked:
    (room / "model").write_text("mine", encoding="utf-8")
    return _written(room, stock, says=("'model'",))


@case("The place", "a file where a folder should be")
def _(room: Path, stock: Stock) -> Asked:
    (room / "runs").write_text("mine", encoding="utf-8")
    return _written(room, stock, out="runs/model", says=("runs",))


@case("The place", "a folder nobody may write to")
def _(room: Path, stock: Stock) -> Asked:
    if os.geteuid() == 0:  # to root no mode forbids anything, but this file system does
        return _written(room, stock, out="/sys/model", says=("must be writable",))
    (room / "closed").mkdir(mode=0o555)
    return _written(room, stock, out="closed/model", says=("must be writable",))


@case("The place", "a disk that fills up while training")
def _(room: Path, stock: Stock) -> Asked:
    return _written(room, stock, most_bytes=40_000, says=("disk", "full"))


@case("The place", "a small disk that is full")
def _(room: Path, stock: Stock) -> Asked:
    (room / "disk").mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(room / "disk")]
    mounted = subprocess.run(mount, capture_output=True, check=False)  # noqa: S603  (fixed words)
    if mounted.returncode != 0:  # not ours to mount here: files that may not grow stand in for it
        return _written(room, stock, out="disk/model", most_bytes=40_000, says=("disk", "full"))
    return _written(
        room, stock, out="disk/model", says=("disk", "full"),
        unmake=lambda: subprocess.run(["/bin/umount", str(room / "disk")], check=True),  # noqa: S603  (fixed words)
    )  # fmt: skip


@case("The place", "a disk that fills up while answering")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows(1000))
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--output", "scored.csv"]
    return Asked(words=words, most_bytes=20_000, says=("'scored.csv' must be written", "Nothing was left behind."))


@case("The place", "an output of an unknown kind")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows())
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--output", "scored.xlsx"]
    return Asked(words=words, says=("must end in .csv, .jsonl or .parquet", "'scored.xlsx'"))


@case("The place", "the input as output")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows())
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--output", "news.csv"]
    return Asked(words=words, says=("must be another file than", "'news.csv' for both"))


def _written(room: Path, stock: Stock, **asked: Any) -> Asked:
    write_rows(room / "rows.csv", rows())
    return trained(stock, **asked)


# A bundle -------------------------------------------------------------------------------------------------------------


@case("The bundle", "no such folder")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", "nothere", "profit rose"], says=("got 'nothere': no such folder",))


@case("The bundle", "a folder without a manifest")
def _(room: Path, stock: Stock) -> Asked:
    (_bundle(room, stock) / "manifest.json").unlink()
    return _answered("A bundle must be a folder with a manifest.json; 'mine' has none.")


@case("The bundle", "label order swapped in contract.json")
def _(room: Path, stock: Stock) -> Asked:
    _edit(_bundle(room, stock) / "contract.json", '"down"', '"up"')
    return _answered("would swap every answer")


@case("The bundle", "label order swapped in model/config.json")
def _(room: Path, stock: Stock) -> Asked:
    _edit(_bundle(room, stock) / "model" / "config.json", '"down"', '"up"')
    return _answered("would swap every answer")


@case("The bundle", "label order swapped in both")
def _(room: Path, stock: Stock) -> Asked:
    folder = _bundle(room, stock)
    _edit(folder / "contract.json", '"down"', '"up"')
    _edit(folder / "model" / "config.json", '"down"', '"up"')
    return _answered("must have the SHA-256")


@case("The bundle", "one bit of the weights flipped")
def _(room: Path, stock: Stock) -> Asked:
    path = _bundle(room, stock) / "onnx" / "model.onnx"
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    return _answered("onnx/model.onnx of bundle 'mine' must have the SHA-256")


@case("The bundle", "another model's weights, hashes made to fit")
def _(room: Path, stock: Stock) -> Asked:
    folder = _bundle(room, stock)
    shutil.copy(stock.other / "onnx" / "model.onnx", folder / "onnx" / "model.onnx")
    _rehash(folder)
    return _answered("Network, labels and calibration do not belong together")


@case("The bundle", "the network cut short, hashes made to fit")
def _(room: Path, stock: Stock) -> Asked:
    folder = _bundle(room, stock)
    path = folder / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:5000])
    _rehash(folder)
    return _answered("onnx/model.onnx")


@case("The bundle", "another model's tokenizer")
def _(room: Path, stock: Stock) -> Asked:
    _edit(_bundle(room, stock) / "model" / "tokenizer.json", '"profit"', '"prophet"')
    return _answered("It belongs to another model")


@case("The bundle", "a file missing")
def _(room: Path, stock: Stock) -> Asked:
    (_bundle(room, stock) / "onnx" / "model.onnx").unlink()
    return _answered("'onnx/model.onnx' is missing")


@case("The bundle", "a pickle put in")
def _(room: Path, stock: Stock) -> Asked:
    (_bundle(room, stock) / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return _answered("'model/pytorch_model.bin'. Remove it.")


@case("The bundle", "a manifest that was edited")
def _(room: Path, stock: Stock) -> Asked:
    _edit(_bundle(room, stock) / "manifest.json", '"seed": 0', '"seed": 1')
    return _answered("The manifest was edited: restore it.")


@case("The bundle", "a manifest that is no JSON")
def _(room: Path, stock: Stock) -> Asked:
    (_bundle(room, stock) / "manifest.json").write_text("{", encoding="utf-8")
    return _answered("manifest.json of bundle 'mine' must be readable JSON")


@case("The bundle", "a format of the future")
def _(room: Path, stock: Stock) -> Asked:
    _edit(_bundle(room, stock) / "manifest.json", '"format": 1', '"format": 9')
    return _answered("must be 1; got 9")


@case("The bundle", "trained for other labels than the data's")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", [["text", "label"], *([t, "hawk" if y == "up" else "dove"] for t, y in rows()[1:])])
    return Asked(words=["evaluate", str(stock.bundle), "rows.csv"], says=("['down', 'up']", "['dove', 'hawk']"))


@case("The bundle", "judged on a part that other rows do not have")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "rows.csv", rows(40))
    words = ["evaluate", str(stock.bundle), "rows.csv", "--split", "test"]
    return Asked(words=words, says=("`split` must be 'all' for rows the bundle was not trained on; got 'test'",))


@case("The bundle", "asks about a named target, and none is given")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.other), "ACME beats forecasts"], says=("--about",))


@case("The bundle", "asks about no target, and one is given")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.bundle), "ACME beats forecasts", "--about", "ACME"], says=("pair",))


def _bundle(room: Path, stock: Stock) -> Path:
    shutil.copytree(stock.bundle, room / "mine")
    return room / "mine"


def _answered(says: str) -> Asked:
    return Asked(words=["predict", "mine", "profit rose"], says=(says,))


def _edit(path: Path, one: str, other: str) -> None:
    """Exchange two texts in a file; it must change."""
    held = path.read_text(encoding="utf-8")
    changed = held.replace(one, "\0").replace(other, one).replace("\0", other)
    assert changed != held, f"{path} does not hold {one}"
    path.write_text(changed, encoding="utf-8")


def _rehash(folder: Path) -> None:
    """Make a damaged bundle's manifest fit, as somebody would who edits bundles by hand."""
    from tapereader.bundle.folder import bundle_id, file_hash, list_files

    stated = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    files = {name: file_hash(folder / name) for name in list_files(folder)}
    stated |= {"files": files, "bundle_id": bundle_id(files, stated["manifest"])}
    (folder / "manifest.json").write_text(json.dumps(stated), encoding="utf-8")


# Texts to answer ------------------------------------------------------------------------------------------------------


@case("Texts to answer", "none: standard input is empty")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.bundle)], says=("at least one data row; got '<stdin>' with none",))


@case("Texts to answer", "words and a file")
def _(room: Path, stock: Stock) -> Asked:
    words = ["predict", str(stock.bundle), "profit rose", "--input", "news.csv"]
    return Asked(words=words, says=("got both. Leave one out.",))


@case("Texts to answer", "no such file")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.bundle), "--input", "news.csv"], says=("must exist; got 'news.csv'",))


@case("Texts to answer", "no such column")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows())
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--text", "headlin", "--output", "scored.csv"]
    return Asked(words=words, says=("Did you mean 'headline'?",))


@case("Texts to answer", "bytes that are not UTF-8 on standard input")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(
        words=["predict", str(stock.bundle)], stdin="利润增长百分之十\n".encode("gbk"), says=("line 1", "gb18030")
    )


@case("Texts to answer", "a broken row far down: nothing half-written")
def _(room: Path, stock: Stock) -> Asked:
    write_rows(room / "news.csv", rows(3000))
    with (room / "news.csv").open("a", encoding="utf-8") as file:
        file.write("one,cell,too many\n")
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--output", "scored.csv"]
    return Asked(words=words, says=("got 3 in row 3001 (line 3002)",))


@case("Texts to answer", "blank rows in a file: answered around, counted")
def _(room: Path, stock: Stock) -> Asked:
    table = rows()
    table[3][0], table[4][0] = "", "   "
    write_rows(room / "news.csv", table)
    words = ["predict", str(stock.bundle), "--input", "news.csv", "--output", "scored.csv"]
    return Asked(words=words, code=0, makes=("scored.csv",), says=("60 rows, 2 without an answer",))


@case("Texts to answer", "more threads than none")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.bundle), "profit rose", "--threads", "0"], says=("--threads",))


@case("Texts to answer", "a backend that is not there")
def _(room: Path, stock: Stock) -> Asked:
    return Asked(words=["predict", str(stock.bundle), "profit rose", "--backend", "tensorrt"], says=("onnxruntime",))
