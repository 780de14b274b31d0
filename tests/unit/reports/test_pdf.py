"""Reports on paper: whole, light, and with a message where the system cannot draw them."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tapereader.core import MissingExtraError
from tapereader.reports import model_page
from tapereader.reports.pdf import page_pdf
from tapereader.reports.style import fix_colours

Facts = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _drawable() -> None:
    pytest.importorskip("weasyprint", reason="a PDF needs the extra report", exc_type=ModuleNotFoundError)
    try:
        page_pdf("<p>")
    except MissingExtraError as error:
        pytest.skip(f"the system cannot draw a PDF: {error}")


def sheets(pdf: bytes) -> int:
    """Count the pages, which stand in compressed object streams."""
    found = len(re.findall(rb"/Type /Page\b", pdf))
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            found += len(re.findall(rb"/Type /Page\b", zlib.decompressobj().decompress(stream)))
        except zlib.error:
            continue  # a stream that is not compressed was counted above
    return found


def test_a_report_is_a_few_sheets(model_facts: Facts) -> None:
    pdf = page_pdf(model_page(model_facts()))
    assert pdf.startswith(b"%PDF-")
    assert 2 <= sheets(pdf) <= 4


def test_a_break_is_a_sheet() -> None:
    """What the test above counts with."""
    assert sheets(page_pdf("<p>a")) == 1
    assert sheets(page_pdf("<p>a<p style='break-before:page'>b<p style='break-before:page'>c")) == 3


def test_charts_have_the_light_colours_and_the_rest_of_the_page_is_as_it_was(model_facts: Facts) -> None:
    page = model_page(model_facts(title="var(--ink) is a title"))
    fixed = fix_colours(page)
    charts = re.findall(r"<svg\b.*?</svg>", page, re.DOTALL)
    assert len(charts) >= 3
    assert any("var(--" in chart for chart in charts)
    drawn = re.findall(r"<svg\b.*?</svg>", fixed, re.DOTALL)
    assert not any("var(--" in chart for chart in drawn)
    assert any("#0b5fa0" in chart for chart in drawn)
    assert "<title>var(--ink) is a title</title>" in fixed


def test_nothing_is_fetched_for_it(tmp_path: Any, model_facts: Facts) -> None:
    """A picture from the disk would be drawn if it were read, and make the file larger."""
    (tmp_path / "red.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>seen</text></svg>', encoding="utf-8"
    )
    address = (tmp_path / "red.svg").as_uri()
    assert len(page_pdf(f'<img src="{address}" alt="x">')) == pytest.approx(len(page_pdf('<img alt="x">')), abs=40)


def test_without_the_system_library_the_debian_packages_are_named() -> None:
    """A loader that finds no library stands in for a system without Pango."""
    program = (
        "import ctypes.util, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'weasyprint':\n"
        "            raise OSError('cannot load library libpango-1.0-0')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tapereader.reports.pdf import page_pdf\n"
        "try:\n"
        "    page_pdf('<p>')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == (
        "A PDF needs the Pango library of the operating system, which cannot be loaded. On Debian or Ubuntu run: "
        "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0. The page itself needs none of it.\n"
    )
