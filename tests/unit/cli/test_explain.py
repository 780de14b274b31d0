"""`tapereader explain`, from the words typed to what is shown and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapereader.cli.app import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(("explain", *words, "--threads", "1"))
    told = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.out, told.err


def test_texts_are_shown_with_the_words_that_weigh_and_their_signs(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path
) -> None:
    code, out, err = call(capsys, str(tiny_bundle), "profit rose strong", "loss fell", "--method", "occlusion")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "profit rose strong"
    assert lines[1].startswith(("  negative 0.", "  neutral 0.", "  positive 0."))
    assert any(f"{side} {word} " in lines[1] for side in ("for", "against") for word in ("profit", "rose", "strong"))
    assert lines[2].startswith("  faithfulness ")
    assert lines[2].endswith(" of 20 random orders")
    assert lines[4] == "loss fell"
    assert "occlusion on 2 explanations, above random: faithfulness " in out
    assert "\x1b[" not in out


def test_json_is_the_whole_answer(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    code, out, err = call(capsys, str(tiny_bundle), "profit rose", "--json", "--label", "neutral")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["method"] == "occlusion"
    assert answer["explanations"][0]["label"] == "neutral"
    assert [word["text"] for word in answer["explanations"][0]["words"]] == ["profit", "rose"]


def test_a_file_becomes_a_page(capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path) -> None:
    news = tmp_path / "news.csv"
    news.write_text("id,headline\n7,profit rose\n8,\n9,loss <b>fell</b>\n", encoding="utf-8")
    page = tmp_path / "new" / "page.html"
    code, out, err = call(
        capsys, str(tiny_bundle), "--input", str(news), "--text", "headline", "--html", str(page), "--limit", "3",
        "--method", "occlusion",
    )  # fmt: skip
    assert code == 0
    assert err == "Row 2 was not explained: the text is empty.\n"
    assert out.endswith(f"Wrote {page}.\n")
    html = page.read_text(encoding="utf-8")
    assert html.count('<td class="text">') == 2
    assert "<b>fell</b>" not in html


def test_terms_are_read_from_a_file(capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("\ufeff营业利润\n\n增长\n", encoding="utf-8")
    asked = (str(tiny_bundle), "营业利润增长", "--json", "--no-faithfulness", "--method", "occlusion")
    _, out, _ = call(capsys, *asked, "--terms", str(terms))
    assert [word["text"] for word in json.loads(out)["explanations"][0]["words"]] == ["营业利润", "增长"]
    code, _, err = call(capsys, *asked, "--terms", str(tmp_path / "none.txt"))
    assert code == 2
    assert err.startswith("Error: --terms must name a readable file in UTF-8, one term a line;")


def test_colours_are_used_on_a_terminal_alone_and_the_sides_differ_without_them() -> None:
    """Every style sets ink and ground, or neither; only words that speak for the label are underlined."""
    from tapereader.cli.explain import _FEW_COLOURS, _STYLES

    for _, good, bad in (*_STYLES, *_FEW_COLOURS):
        assert "underline" in good
        assert "underline" not in bad
    assert all(" on #" in style for _, *pair in _STYLES for style in pair)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("text", "--input", "news.csv"), "Texts must come as words or from --input; got both. Leave one out."),
        (("--input", "news.csv", "--about", "acme"),
         "--about names the target of texts given as words; got none. A file has a column: --pair."),
        (("text", "--text", "headline"),
         "--text and --pair name columns of a file; got texts given as words. Leave the columns out."),
        (("text", "--against", "rows.csv"),
         "--against says where neighbours are looked for; got no --neighbours K. Give how many."),
        (("text", "--label", "nobody"), "A label must be one of negative, neutral, positive; got 'nobody'."),
    ],
)  # fmt: skip
def test_what_was_asked_wrongly_is_refused(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, words: tuple[str, ...], told: str
) -> None:
    assert call(capsys, str(tiny_bundle), *words) == (2, "", f"Error: {told}\n")
