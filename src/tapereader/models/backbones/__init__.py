"""Pretrained networks by name, path or hub id: what each is, and where on this machine it lies.

Nothing here loads a network; ``resolve_backbone`` gives the checked folder that others load.
"""

from tapereader.models.backbones.card import read_backbone_card, write_backbone_card
from tapereader.models.backbones.cutoffs import HUB_FACTS, HubFacts
from tapereader.models.backbones.records import UNKNOWN_CUTOFF, Backbone, BackboneKind, ResolvedBackbone
from tapereader.models.backbones.resolve import DEFAULT_BACKBONE, backbone_names, find_backbone, resolve_backbone

__all__ = [
    "DEFAULT_BACKBONE",
    "HUB_FACTS",
    "UNKNOWN_CUTOFF",
    "Backbone",
    "BackboneKind",
    "HubFacts",
    "ResolvedBackbone",
    "backbone_names",
    "find_backbone",
    "read_backbone_card",
    "resolve_backbone",
    "write_backbone_card",
]
