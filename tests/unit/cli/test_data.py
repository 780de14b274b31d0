"""The verbs of `tapereader data`, from the words typed to what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapereader.cli.app import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(words)
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


@pytest.fixture
def headlines(tmp_path: Path) -> Path:
    """Thirty different headlines in two classes, one of them without a label."""
    companies = ["Norvik", "Halden", "Ostra", "Brisk", "Calder", "Venlo", "Tamsin", "Arkona", "Lindor", "Merrow"]
    rows = [f"{name} says that {what},{tone}" for name in companies for what, tone in (
        ("quarterly profit rose well above forecasts", "good"),
        ("it lost its largest customer in Asia", "bad"),
        ("a plant fire stopped production for weeks", "bad"),
    )]  # fmt: skip
    rows[7] = "Ostra says nothing at all about next year,"
    path = tmp_path / "headlines.csv"
    path.write_text("headline,tone\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_list_names_every_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "data", "list", "--json")
    answer = json.loads(out)
    assert code == 0
    assert {"financial-phrasebank", "fomc-stance", "cn-finese"} <= {line["card"]["name"] for line in answer["labelled"]}
    assert "corpus-reuters-company-news" in {card["name"] for card in answer["unlabelled"]}


def test_list_says_what_is_not_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out, _ = call(capsys, "data", "list", "--data", str(tmp_path), "--json")
    states = {line["state"] for line in json.loads(out)["labelled"] if not line["card"]["synthetic"]}
    assert states == {"absent"}


def test_describe_a_data_set_that_is_not_here_shows_its_card(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = call(capsys, "data", "describe", "fomc-stance", "--data", str(tmp_path))
    assert code == 0
    assert "dovish: Points to easier monetary policy." in out
    assert "rows here        none; set TAPEREADER_DATA, or import the release" in out


def test_describe_counts_a_file(capsys: pytest.CaptureFixture[str], headlines: Path) -> None:
    code, out, _ = call(capsys, "data", "describe", str(headlines), "--label", "tone", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["rows"] == 30
    assert answer["label_counts"] == {"bad": 19, "good": 10}


def test_check_reports_rows_and_leaves_with_2(capsys: pytest.CaptureFixture[str], headlines: Path) -> None:
    code, out, err = call(capsys, "data", "check", str(headlines), "--label", "tone")
    assert code == 2
    assert err == ""
    first, *_, last = out.splitlines()
    assert first.startswith("error  missing-label: ")
    assert first.endswith("(row 8)")
    assert last.startswith("headlines: 30 rows, 1 error,")


def test_check_passes_a_good_file(capsys: pytest.CaptureFixture[str], headlines: Path) -> None:
    lines = headlines.read_text(encoding="utf-8").splitlines()
    del lines[8]
    headlines.write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = call(capsys, "data", "check", str(headlines), "--label", "tone", "--json")
    assert code == 0
    assert json.loads(out)["n_errors"] == 0


def test_check_against_itself_finds_every_text(capsys: pytest.CaptureFixture[str], headlines: Path) -> None:
    words = ("data", "check", str(headlines), "--against", str(headlines), "--label", "tone", "--json")
    _, out, _ = call(capsys, *words)
    found = json.loads(out)["contamination"]
    assert (found["n_exact"], found["share"]) == (30, 1.0)


def test_the_order_of_labels_is_the_one_given(capsys: pytest.CaptureFixture[str], headlines: Path) -> None:
    words = (
        "data",
        "describe",
        str(headlines),
        "--label",
        "tone",
        "--kind",
        "ordinal",
        "--labels",
        "good, bad",
        "--json",
    )
    _, out, _ = call(capsys, *words)
    contract = json.loads(out)["card"]["contract"]
    assert (contract["kind"], contract["names"]) == ("ordinal", ["good", "bad"])


def test_a_named_data_set_takes_no_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "data", "check", "fomc-stance", "--text", "sentence", "--label", "tone")
    assert (code, out) == (2, "")
    assert err == (
        "Error: Only a file of your own takes `text`, `label`; got the named data set 'fomc-stance'. Leave them out.\n"
    )


def test_a_misspelt_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "data", "check", "fomcstance")
    assert code == 2
    assert err == (
        "Error: A data set must be a name from `tapereader data list` or a file; got 'fomcstance', neither. "
        "Did you mean 'fomc-stance'?\n"
    )


def write_phrasebank(release: Path) -> Path:
    """The four files of the release, in the encoding and line ends of its authors."""
    release.mkdir()
    agreed = ["Sales rose to EUR 5 mn .@positive", "The bank is based in Turku .@neutral", "Profit fell .@negative"]
    disputed = ["The deal covers Åland .@neutral"]
    for name, lines in (
        ("AllAgree", agreed),
        ("75Agree", agreed),
        ("66Agree", agreed),
        ("50Agree", agreed + disputed),
    ):
        text = "".join(f"{line}\r\n" for line in lines)
        (release / f"Sentences_{name}.txt").write_bytes(text.encode("iso-8859-1"))
    return release


def test_import_reads_a_release_into_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    release = write_phrasebank(tmp_path / "FinancialPhraseBank-v1.0")
    root = tmp_path / "data"
    root.mkdir()
    code, out, err = call(capsys, "data", "import", "financial-phrasebank", str(release), "--data", str(root), "--json")
    assert (code, err) == (0, "")
    assert Path(json.loads(out)["path"]).is_file()
    _, out, _ = call(capsys, "data", "describe", "financial-phrasebank", "--data", str(root), "--json")
    found = json.loads(out)
    assert found["rows"] == 4
    assert found["card"]["origin"].startswith("original release")


def test_import_makes_the_folder_that_the_variable_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_phrasebank(tmp_path / "release")
    monkeypatch.setenv("TAPEREADER_DATA", str(tmp_path / "new" / "data"))
    code, out, err = call(capsys, "data", "import", "financial-phrasebank", str(release))
    assert (code, err) == (0, "")
    written = tmp_path / "new" / "data" / "financial_phrasebank" / "sentences.parquet"
    assert out == f"Wrote {written}.\n"
    assert written.is_file()


def test_import_without_a_folder_says_which_two_ways_there_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAPEREADER_DATA", raising=False)
    code, out, err = call(capsys, "data", "import", "financial-phrasebank", str(tmp_path))
    assert (code, out) == (2, "")
    assert err == (
        "Error: An import must know the folder to write into; got neither `--data DIR` nor TAPEREADER_DATA. Give one "
        "of them; a folder that does not exist yet is made.\n"
    )


def test_import_of_the_wrong_files_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "data", "import", "financial-phrasebank", str(tmp_path), "--data", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert "Traceback" not in err
