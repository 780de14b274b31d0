"""What comes before and after any training: rows checked and dealt, and the manifest of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle
from tapereader.bundle.writing import refuse_taken
from tapereader.core.errors import ConfigError
from tapereader.dataset import check
from tapereader.dataset.choice import choose_split, find_groups
from tapereader.dataset.parts import Split
from tapereader.governance import ModelFacts, RunManifest, collect_environment
from tapereader.models.backbones import ResolvedBackbone
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.recipes.terms import backbone_terms
from tapereader.recipes.train_config import TrainConfig, portable
from tapereader.sources import LabelledText

#: Told what is being done, and how far it is: (what, done, of).
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """Rows that may be learnt from.

    Parameters
    ----------
    labelled : all rows
    split : how they were dealt
    groups : int array (N,), one number for rows that are no evidence apart: near-copies, and one value of ``group``
    warnings : findings that did not stop the run
    """

    labelled: LabelledText
    split: Split
    groups: NDArray[np.int64]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training made.

    Parameters
    ----------
    bundle : the bundle on disk
    report : page for people beside the bundle, not in it: it shows texts of the data set, which are not ours to pass on
    facts : what card and report were written from
    warnings : findings in the data that did not stop the training
    """

    bundle: Bundle
    report: Path
    facts: ModelFacts
    warnings: tuple[str, ...]


def prepare(config: TrainConfig, out: Path, *, replace: bool, say: Report, data_root: Path | None) -> Prepared:
    """Read, check and deal the rows.

    Raises
    ------
    ConfigError
        If ``out`` is taken.
    DataError
        If the rows cannot be learnt from, with row numbers.
    """
    if out.exists() and not replace and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"`out` must not exist yet; got {str(out)!r}. Give another name, or `--replace`.")
    refuse_taken(out, replace)
    say("Reading and checking the rows", 0, 0)
    options = FileOptions(**{name: getattr(config.columns, name) for name in type(config.columns).model_fields})
    labelled = open_labelled(config.dataset, options=options, root=data_root)
    checked = check(labelled, threshold=config.split.near_duplicates)
    checked.raise_for_errors()
    groups = find_groups(labelled, config.split)
    split = choose_split(labelled, config.split, groups)
    return Prepared(labelled=labelled, split=split, groups=groups, warnings=tuple(checked.lines()))


def run_manifest(
    config: TrainConfig, labelled: LabelledText, split: Split, resolved: ResolvedBackbone, started: datetime
) -> RunManifest:
    """Return what made a model: config, data, split, parents, terms and machine, from ``started`` until now."""
    card = labelled.card
    return RunManifest(
        kind="train",
        config_id=config.id,
        config=portable(config).model_dump(mode="json"),
        data_ids={card.name: labelled.id},
        split_ids={split.name: split.id},
        seed=config.finetune.seed,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parents=(backbone_parent(resolved),),
        licences=(
            {"of": card.name, "name": card.licence.name, "commercial_use": card.licence.commercial_use,
             "source": card.licence.source},
            *backbone_terms(resolved),
        ),
        synthetic=card.synthetic,
        **collect_environment(),
    )  # fmt: skip


def backbone_parent(resolved: ResolvedBackbone) -> dict[str, Any]:
    """Return a backbone as a manifest names it among the parents of a model."""
    backbone = resolved.backbone
    cutoff = backbone.pretraining_cutoff
    return {
        "kind": "backbone",
        "name": backbone.name,
        "sha256": resolved.sha256,
        "cutoff": None if cutoff is None else cutoff.isoformat(),
        "cutoff_note": backbone.cutoff_note,
    }
