"""Fail the documentation build where a page would fetch anything from another site."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.exceptions import PluginError

_FETCHED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"' >]+)""")
_ONLY_NAMED = re.compile(r"""rel=["']?(?:canonical|prev|next)\b""")


def on_post_page(output: str, page: Any, config: Any) -> str:  # noqa: ARG001 - the hook's signature
    """Look through one finished page."""
    fetched = [match[1] for match in _FETCHED.finditer(output) if not _ONLY_NAMED.search(match[0])]
    if fetched:
        raise PluginError(f"A page must fetch nothing from another site; {page.file.src_path} fetches {fetched}.")
    return output
