"""What a domain adaptation leaves on disk: a backbone like any other, in one step, with its dates and terms."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tapereader.core.errors import ConfigError
from tapereader.models.backbones import Backbone, ResolvedBackbone, resolve_backbone, write_backbone_card
from tapereader.models.network import quiet
from tapereader.training.pretraining.chunks import Objective
from tapereader.training.pretraining.corpus import Corpus
from tapereader.training.pretraining.objectives import PretrainingNetwork, dropout_fields

MANIFEST = "manifest.json"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
    "generation_config.json", "chat_template.jinja",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AdaptedBackbone:
    """A network in memory that went on learning, and how it fared.

    Parameters
    ----------
    network : float32
    parent : the backbone it was made from
    objective : what it learnt by
    fresh_head : whether the head that guesses masked tokens started from nothing. Its held-out loss before training is
        then that of a head that knows token frequencies alone, and much of the fall is the head's.
    held_out_before, held_out_after : mean loss in nats, a token (masked, causal) or a chunk (contrastive), on held-out
        text, with the same masks or the same dropout
    history : one entry a logged step: step, epoch, loss, rate
    steps, tokens, seconds : optimizer steps, tokens they read (a killed run's included), and wall time of this call
    """

    network: PretrainingNetwork
    parent: ResolvedBackbone
    objective: Objective
    fresh_head: bool
    held_out_before: float
    held_out_after: float
    history: list[dict[str, float]]
    steps: int
    tokens: int
    seconds: float

    def save(self, folder: Path) -> None:
        """Write weights, config and tokenizer in Hugging Face layout; a head for guessing tokens is kept with them."""
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.network.model.save_pretrained(folder)
        stated = json.loads((self.parent.folder / "config.json").read_text(encoding="utf-8"))
        path = folder / "config.json"
        values = json.loads(path.read_text(encoding="utf-8"))
        # What this run set for itself goes back to what the parent says.
        for name in (*dropout_fields(self.network.model.config), "use_cache"):
            if name in stated:
                values[name] = stated[name]
            else:
                values.pop(name, None)
        values.pop("_name_or_path", None)
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in _TOKENIZER_FILES:
            if (self.parent.folder / name).is_file():
                shutil.copyfile(self.parent.folder / name, folder / name)


def adapted_card(parent: Backbone, corpus: Corpus, *, name: str) -> Backbone:
    """Return what the adapted network states about itself.

    Its cut-off is the later of the parent's and the last text's; None where either is unknown, since a bound that
    leaves some of the text out is none.

    Parameters
    ----------
    parent : the backbone that went on learning
    corpus : what it learnt from
    name : of the result
    """
    last = corpus.last_known_at if corpus.undated == 0 else None
    cutoff = parent.pretraining_cutoff
    bound = None if last is None or cutoff is None else max(cutoff, last.date())
    names = ", ".join(source.name for source in corpus.sources if source.used)
    dates = "without a date for every text" if last is None else f"known up to {last.date().isoformat()}"
    forbidding = [
        f"{s.name} ({s.licence.name})" for s in corpus.sources if s.used and s.licence.commercial_use is False
    ]
    terms = f"; went on with text for non-commercial use: {', '.join(forbidding)}" if forbidding else ""
    return replace(
        parent,
        name=name,
        title=f"{parent.name}, adapted to {names}",
        licence=parent.licence + terms,
        pretraining_cutoff=bound,
        cutoff_note=f"{parent.cutoff_note}; then adapted on {names}, {dates}",
        source=None,
    )


def refuse_taken(out: Path) -> None:
    """Refuse a folder that holds something.

    Raises
    ------
    ConfigError
        If it does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"`out` must not exist yet; got {str(out)!r}. Give another name.")


def write_adapted(out: Path, adapted: AdaptedBackbone, corpus: Corpus, manifest: Mapping[str, Any]) -> ResolvedBackbone:
    """Write a backbone folder beside ``out``, open it, and rename it into place.

    Parameters
    ----------
    out : the folder to make; must not exist, or be empty
    adapted : what was learnt
    corpus : from what
    manifest : becomes ``manifest.json``, plain JSON types

    Raises
    ------
    ConfigError
        If ``out`` is taken.
    """
    out = out.resolve()
    refuse_taken(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.parent / f".{out.name}.draft"
    shutil.rmtree(draft, ignore_errors=True)  # what a killed run left
    try:
        adapted.save(draft)
        write_backbone_card(draft, adapted_card(adapted.parent.backbone, corpus, name=out.name))
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        resolve_backbone(draft)  # whole and readable before anybody can see it
        for path in (*draft.iterdir(), draft):
            _sync(path)
        refuse_taken(out)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return resolve_backbone(out)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
