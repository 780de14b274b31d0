"""What a network is made of: pretrained backbones, the part that learns, the head, and the task it answers.

Names are loaded when first used: looking up a backbone needs no torch, building a network does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AdapterConfig": "tapereader.models.adapters",
    "Backbone": "tapereader.models.backbones",
    "ObjectiveConfig": "tapereader.models.heads",
    "ResolvedBackbone": "tapereader.models.backbones",
    "Task": "tapereader.models.tasks",
    "TextNetwork": "tapereader.models.network",
    "WeightsSource": "tapereader.models.weights",
    "backbone_names": "tapereader.models.backbones",
    "find_backbone": "tapereader.models.backbones",
    "find_task": "tapereader.models.tasks",
    "get_weights": "tapereader.models.weights",
    "resolve_backbone": "tapereader.models.backbones",
    "task_names": "tapereader.models.tasks",
}

__all__ = [
    "AdapterConfig",
    "Backbone",
    "ObjectiveConfig",
    "ResolvedBackbone",
    "Task",
    "TextNetwork",
    "WeightsSource",
    "backbone_names",
    "find_backbone",
    "find_task",
    "get_weights",
    "resolve_backbone",
    "task_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tapereader.models' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
