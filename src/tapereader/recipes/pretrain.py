"""``pretrain``: unlabelled text of one's own field in; a backbone like any other out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapereader.core.config import read_mapping
from tapereader.governance import RunManifest, collect_environment
from tapereader.models.backbones import ResolvedBackbone, resolve_backbone
from tapereader.recipes.run_folder import run_folder
from tapereader.recipes.terms import backbone_terms
from tapereader.training import processes
from tapereader.training.pretraining import (
    AdaptedBackbone,
    Corpus,
    PretrainConfig,
    adapt_backbone,
    build_corpus,
    choose_objective,
    refuse_taken,
    write_adapted,
)
from tapereader.training.pretraining.corpus import text_id

#: Told what is being done, and how far it is: (what, done, of).
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """What a domain adaptation made.

    Parameters
    ----------
    backbone : the result, checked and on disk
    manifest : what made it
    corpus : facts about the text: documents, first and last day, what was left out and why
    held_out : loss before and after on text that was kept away, and what it is a loss of
    warnings : what a judge of the result must know
    """

    backbone: ResolvedBackbone
    manifest: RunManifest
    corpus: dict[str, Any]
    held_out: dict[str, Any]
    warnings: tuple[str, ...]


def build_config(path: Path | None, *, values: dict[str, Any], overrides: tuple[str, ...] = ()) -> PretrainConfig:
    """Put a config together: the file, then options, then ``--set``.

    Parameters
    ----------
    path : YAML file or None
    values : options as nested plain values; None entries are left out
    overrides : ``a.b=value``
    """
    asked = read_mapping(path)
    for name, value in values.items():
        if isinstance(value, dict):
            inner = asked.get(name)
            given = {key: one for key, one in value.items() if one is not None}
            asked[name] = (inner if isinstance(inner, dict) else {}) | given
        elif value is not None:
            asked[name] = value
    return PretrainConfig.from_mapping(read_mapping(None, overrides=overrides, base=asked))


def pretrain(
    config: PretrainConfig,
    out: Path,
    *,
    report: Report | None = None,
    allow_download: bool = False,
    data_root: Path | None = None,
) -> PretrainResult:
    """Read and filter text, go on with a backbone's pretraining, and write the result as a backbone folder.

    A run that is killed leaves its checkpoints in a hidden folder beside ``out``; the same call goes on from there.

    Parameters
    ----------
    config : what to do
    out : folder of the result, which must not exist
    report : told how far it is
    allow_download : let a hub id be fetched
    data_root : folder of named sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    ConfigError
        If the objective does not fit the backbone, or ``out`` is taken.
    LookAheadError
        If ``until`` is set and a text has no date.
    DataError
        If too little text is left.
    """
    say = report or _silent
    processes.refuse_several("pretrain")
    out = Path(out)
    refuse_taken(out)
    started = datetime.now(UTC)
    parent = resolve_backbone(config.backbone, allow_download=allow_download)
    choose_objective(config, parent)
    say("Reading and filtering the text", 0, 0)
    corpus = build_corpus(config.corpus, seed=config.seed, root=data_root)
    with run_folder(out, {"config": config.id, "corpus": corpus.id, "parent": parent.sha256}) as work:
        say("Pretraining", 0, 0)
        adapted = adapt_backbone(
            corpus, config, work_dir=work, progress=lambda done, of: say("Pretraining", done, of),
            allow_download=allow_download,
        )  # fmt: skip
    say("Writing the backbone", 0, 0)
    manifest = _manifest(config, corpus, adapted, started)
    facts, held_out = _corpus_facts(corpus), _held_out_facts(adapted, corpus)
    written = write_adapted(
        out, adapted, corpus, {"manifest": manifest.to_dict(), "corpus": facts, "held_out": held_out}
    )
    shutil.rmtree(work, ignore_errors=True)
    return PretrainResult(
        backbone=written, manifest=manifest, corpus=facts, held_out=held_out,
        warnings=_warnings(config, corpus, adapted),
    )  # fmt: skip


def _silent(what: str, done: int, of: int) -> None:
    """Report to nobody."""


def _manifest(config: PretrainConfig, corpus: Corpus, adapted: AdaptedBackbone, started: datetime) -> RunManifest:
    backbone = adapted.parent.backbone
    cutoff = backbone.pretraining_cutoff
    return RunManifest(
        kind="pretrain",
        config_id=config.id,
        config=config.model_dump(mode="json"),
        data_ids={source.name: source.id for source in corpus.sources},
        split_ids={"train": text_id(corpus.train), "held_out": text_id(corpus.held_out)},
        seed=config.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=(
            {
                "kind": "backbone",
                "name": backbone.name,
                "sha256": adapted.parent.sha256,
                "cutoff": None if cutoff is None else cutoff.isoformat(),
                "cutoff_note": backbone.cutoff_note,
            },
        ),
        licences=(
            *(
                {"of": source.name, "name": source.licence.name, "commercial_use": source.licence.commercial_use,
                 "source": source.licence.source}
                for source in corpus.sources
            ),
            *backbone_terms(adapted.parent),
        ),
        synthetic=any(source.synthetic for source in corpus.sources),
        **collect_environment(),
    )  # fmt: skip


def _corpus_facts(corpus: Corpus) -> dict[str, Any]:
    first, last = corpus.first_known_at, corpus.last_known_at
    return {
        "id": corpus.id,
        "first_known_at": None if first is None else first.isoformat(),
        "last_known_at": None if last is None else last.isoformat(),
        "documents": corpus.counts(),
        "sources": [{"name": s.name, "id": s.id, "rows": s.rows, "used": s.used} for s in corpus.sources],
    }


def _held_out_facts(adapted: AdaptedBackbone, corpus: Corpus) -> dict[str, Any]:
    return {
        "objective": adapted.objective,
        "documents": len(corpus.held_out),
        "loss_before": adapted.held_out_before,
        "loss_after": adapted.held_out_after,
        "fresh_head": adapted.fresh_head,
        "steps": adapted.steps,
        "tokens": adapted.tokens,
        "seconds": adapted.seconds,
    }


def _warnings(config: PretrainConfig, corpus: Corpus, adapted: AdaptedBackbone) -> tuple[str, ...]:
    told = []
    until, cutoff = config.corpus.until, adapted.parent.backbone.pretraining_cutoff
    if until is not None and cutoff is None:
        told.append(
            f"The text ends before {until}, but nobody states when that of {config.backbone!r} does: the result may "
            "have read later text."
        )
    elif until is not None and cutoff is not None and cutoff >= until:
        told.append(
            f"The text ends before {until}, but {config.backbone!r} may have read text up to {cutoff}: so has the "
            "result."
        )
    if corpus.undated:
        told.append(f"{corpus.undated:,} texts have no date: the cut-off of the result is unknown.")
    if adapted.fresh_head:
        told.append(
            "The backbone came without a head for masked tokens: part of the fall in loss is a fresh head's, not the "
            "network's."
        )
    if adapted.held_out_after >= adapted.held_out_before:
        told.append("The held-out loss did not fall: the result is not better adapted than its parent.")
    return tuple(told)
