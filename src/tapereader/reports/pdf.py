"""A report as PDF: the page of the browser, laid out on paper."""

from __future__ import annotations

import logging
import warnings

from tapereader.core.errors import MissingExtraError, missing_extra
from tapereader.reports.style import fix_colours

#: What the layout needs from the operating system; pip cannot bring it.
SYSTEM_PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")


def page_pdf(html: str) -> bytes:
    """Lay a page out on A4 sheets.

    The page's own rules for paper apply: light colours, no section title at the foot of a sheet, no chart in two
    pieces. Nothing is fetched: what a page has from elsewhere is left out.

    Parameters
    ----------
    html : a whole document, as :func:`tapereader.reports.model_page` writes it

    Returns
    -------
    bytes of a PDF file

    Raises
    ------
    MissingExtraError
        If the extra `report`, or a system library that it draws with, is not installed.
    """
    try:
        with warnings.catch_warnings():
            # Without HarfBuzz-Subset it subsets fonts in another way today, and says that a later version will not.
            warnings.simplefilter("ignore", DeprecationWarning)
            import weasyprint
    except ModuleNotFoundError as error:
        raise missing_extra("report", needed_for="A PDF") from error
    except OSError as error:
        raise MissingExtraError(
            "A PDF needs the Pango library of the operating system, which cannot be loaded. On Debian or Ubuntu run: "
            f"apt-get install {' '.join(SYSTEM_PACKAGES)}. The page itself needs none of it."
        ) from error
    # Rules meant for browsers alone are no news to whoever asked for paper.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=("data",))
    return bytes(weasyprint.HTML(string=fix_colours(html), url_fetcher=nothing).write_pdf())
