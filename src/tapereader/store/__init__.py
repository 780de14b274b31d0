"""What is kept: a text is scored once by a bundle, and every later step reads the same bits.

Names are loaded when first used, so that whoever keeps nothing does not load a database library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"PredictionStore": "tapereader.store.predictions"}

__all__ = ["PredictionStore"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tapereader.store' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
