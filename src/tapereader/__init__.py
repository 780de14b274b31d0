"""Tapereader: fine-tune language models on financial text, and read the result without torch.

Names are loaded when first used, so that importing the package stays fast and needs no deep-learning library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "tapereader.bundle",
    "Engine": "tapereader.engine",
    "LabelContract": "tapereader.bundle",
    "LabelledText": "tapereader.sources",
    "TapereaderError": "tapereader.core",
    "TextClassifier": "tapereader.training",
    "TextRegressor": "tapereader.training",
    "load_dataset": "tapereader.sources",
}

__all__ = [
    "Bundle",
    "Engine",
    "LabelContract",
    "LabelledText",
    "TapereaderError",
    "TextClassifier",
    "TextRegressor",
    "__version__",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tapereader' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
