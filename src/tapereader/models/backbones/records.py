"""What is known about a pretrained network before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from tapereader.models.weights import WeightsSource

BackboneKind = Literal["encoder", "decoder", "seq2seq"]
#: The note where nobody knows how late a network's text reaches.
UNKNOWN_CUTOFF = "unknown: treat as contaminated"


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pretrained network: what it is, what it may be used for, and how late the text it has read can be.

    Parameters
    ----------
    name : as the user asks for it: a registered name, a hub id, or a folder's name
    title : for people
    kind : ``encoder`` (BERT and kin), ``decoder`` (GPT-2, Llama, Qwen and kin) or ``seq2seq`` (T5, BART)
    parameters : how many numbers it has
    languages : ISO 639-1 codes; empty where unknown
    licence : of the weights; ``not stated`` where nobody says
    pretraining_cutoff : the latest day from which text in its training can be, or None where unknown. A bound, not an
        estimate: a test window that starts later cannot have been read.
    cutoff_note : where that date comes from, in words
    source : where its weights come from, or None for a folder or hub id
    prefix : put before every text
    max_tokens : tokens it can read at once, special tokens included
    """

    name: str
    title: str
    kind: BackboneKind
    parameters: int
    languages: tuple[str, ...]
    licence: str
    pretraining_cutoff: date | None
    cutoff_note: str
    source: WeightsSource | None = None
    prefix: str = ""
    max_tokens: int = 512


@dataclass(frozen=True, kw_only=True)
class ResolvedBackbone:
    """A backbone that is on this machine.

    Parameters
    ----------
    backbone : what it is
    folder : Hugging Face layout: ``config.json``, ``*.safetensors``, ``tokenizer.json``
    sha256 : hash of the weight file; for weights in several files, of their sorted names and hashes
    revision : commit on the hub, or None
    """

    backbone: Backbone
    folder: Path
    sha256: str
    revision: str | None = None
