"""``evaluate``: a bundle's answers on labelled rows, judged with intervals; only answers in words need torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle, LabelContract
from tapereader.bundle.conformal import abstentions, prediction_intervals, prediction_sets
from tapereader.core.errors import BundleError, ConfigError, DataError
from tapereader.dataset import check
from tapereader.dataset.choice import SplitConfig, find_groups
from tapereader.recipes.data import FileOptions, open_labelled
from tapereader.recipes.own_rows import deal_again
from tapereader.recipes.predict import open_any
from tapereader.recipes.words import WordsEngine, cut_note
from tapereader.sources import LabelledText
from tapereader.training.baselines import BASELINES
from tapereader.training.evaluation import Comparison, Evaluation, compare, evaluate_outputs
from tapereader.training.slices import Mistake, Slice, score_slices, worst_mistakes

#: The one baseline that reads the network's own states.
_EMBEDDED = "frozen-embedding"
Part = Literal["train", "validation", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """How a bundle did on some rows.

    Parameters
    ----------
    bundle_id, dataset, part, n : what was judged, on what
    synthetic : whether a program wrote the rows
    seen : where the rows are the bundle's own data set and not its test part, a sentence that says so
    notes : what else a reader of the scores must know
    evaluation : of the bundle
    before : of the network before it was tuned, as the bundle keeps it; on its own test part alone
    baselines, comparisons : fitted on the split's own training rows, or kept in the bundle; empty where there are none
    kept : names among them (and ``before``) that the bundle keeps and were not fitted again
    slices, mistakes : where it does well and badly
    """

    bundle_id: str
    dataset: str
    part: Part
    n: int
    synthetic: bool
    seen: str
    notes: tuple[str, ...]
    evaluation: Evaluation
    before: Evaluation | None
    baselines: dict[str, Evaluation]
    comparisons: dict[str, Comparison]
    kept: tuple[str, ...]
    slices: list[Slice]
    mistakes: list[Mistake]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "bundle_id": self.bundle_id, "dataset": self.dataset, "part": self.part, "n": self.n,
            "synthetic": self.synthetic, "seen": self.seen, "notes": list(self.notes),
            "evaluation": self.evaluation.to_dict(),
            "before": None if self.before is None else self.before.to_dict(),
            "baselines": {name: found.to_dict() for name, found in self.baselines.items()},
            "comparisons": {name: found.to_dict() for name, found in self.comparisons.items()},
            "kept": list(self.kept),
            "slices": [found.to_dict() for found in self.slices],
            "mistakes": [found.to_dict() for found in self.mistakes],
        }  # fmt: skip


def evaluate(
    bundle: Bundle | Path | str,
    dataset: str,
    *,
    part: Part | None = None,
    options: FileOptions | None = None,
    baselines: tuple[str, ...] = ("majority", "word-list", "tfidf"),
    seed: int = 0,
    data_root: Path | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> EvaluationResult:
    """Judge a bundle on a named data set or a file.

    Where the rows are those the bundle was trained on, its own split is made again, checked against the stored hash,
    and by default only its test part is judged, beside baselines fitted on its training part and what the bundle keeps:
    the network before tuning, and the baseline on frozen embeddings. Any other rows are judged whole.

    Parameters
    ----------
    bundle : a loaded bundle, or its folder
    dataset : name or file
    part : which rows; None takes ``test`` of the bundle's own data set, and ``all`` of any other
    options : how to read a file, or None to go by its obvious names
    baselines : fitted beside it, where there are training rows
    seed : of the intervals
    data_root : folder of named data sets; None takes ``TAPEREADER_DATA``
    report : told what is being done

    Raises
    ------
    BundleError
        If labels differ, or the bundle's split cannot be made again.
    ConfigError
        If a part is asked of rows that the bundle has no split of.
    """
    engine = open_any(bundle)
    contract = engine.bundle.contract
    labelled = open_labelled(dataset, options=options or FileOptions(), root=data_root)
    check(labelled).raise_for_errors()
    contract.check_same(
        _as_asked(contract, labelled.card.contract), ours=f"Bundle {engine.bundle.id!r}", theirs=f"data set {dataset!r}"
    )
    if engine.bundle.has_pair != (labelled.pairs is not None):
        raise DataError(
            f"Bundle {engine.bundle.id!r} {'asks' if engine.bundle.has_pair else 'does not ask'} about a second text; "
            f"data set {dataset!r} {'has none' if engine.bundle.has_pair else 'has one'}."
        )
    own = labelled.id in engine.bundle.manifest.get("data_ids", {}).values()
    part = part or ("test" if own else "all")
    rows, learn, groups = _rows(engine.bundle, labelled, part, own=own)
    judged = labelled.take(rows)
    calibration = engine.bundle.calibration
    outputs = engine.outputs(judged.texts, judged.pairs)
    sets: Any = None
    if calibration.coverage is not None:
        find: Any = prediction_intervals if contract.kind == "regression" else prediction_sets
        sets = find(contract, outputs, calibration)
    judge: dict[str, Any] = {"groups": groups[rows], "seed": seed}
    evaluation = evaluate_outputs(
        contract, judged.targets(), outputs, prediction_sets=sets, promised=calibration.coverage,
        abstained=None if calibration.abstain_below is None else abstentions(contract, outputs, calibration),
        threshold=calibration.threshold, **judge,
    )  # fmt: skip
    found: dict[str, Evaluation] = {}
    against: dict[str, Comparison] = {}
    for name in baselines if len(learn) else ():
        if report is not None:
            report(f"Fitting the baseline {name}", 0, 0)
        theirs = _baseline(name, labelled.take(learn), groups[learn], judged, seed)
        found[name] = evaluate_outputs(contract, judged.targets(), theirs, **judge)
        against[name] = compare(
            contract, judged.targets(), outputs, theirs, thresholds=(calibration.threshold, 0.5), **judge
        )
    kept = _kept(engine.bundle, len(judged)) if own and part == "test" else _Kept()
    # A baseline that needs the deep-learning library is not fitted again: the bundle keeps what it reached.
    embedded = [_EMBEDDED] if baselines and _EMBEDDED in kept.baselines else []
    stored = ["before"] if kept.before is not None else []
    for name in embedded:
        found[name] = kept.baselines[name]
    for name in (*embedded, *stored):
        against |= {name: kept.comparisons[name]} if name in kept.comparisons else {}
    cut = cut_note(engine.n_cut, len(judged), engine.bundle.max_length) if isinstance(engine, WordsEngine) else ""
    return EvaluationResult(
        bundle_id=engine.bundle.id,
        dataset=labelled.card.name,
        part=part,
        n=len(judged),
        synthetic=labelled.card.synthetic,
        notes=(cut,) if cut else (),
        before=kept.before,
        kept=(*embedded, *stored),
        seen=_seen(own, part),
        evaluation=evaluation,
        baselines=found,
        comparisons=against,
        slices=score_slices(
            judged, judged.targets(), outputs, contract, groups=groups[rows], threshold=calibration.threshold, seed=seed
        ),
        mistakes=worst_mistakes(judged, judged.targets(), outputs, contract, threshold=calibration.threshold),
    )


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What a bundle keeps of its own judgement."""

    before: Evaluation | None = None
    baselines: dict[str, Evaluation] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)


def _kept(bundle: Bundle, n: int) -> _Kept:
    """Read what the bundle reached on its test part; nothing where it keeps none, or of another number of rows."""
    path = bundle.path / "evaluation.json"
    if not path.is_file():
        return _Kept()
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        if stated["evaluation"]["n"] != n:
            return _Kept()
        before = stated.get("before")
        return _Kept(
            before=None if before is None else Evaluation.from_dict(before),
            baselines={name: Evaluation.from_dict(one) for name, one in (stated.get("baselines") or {}).items()},
            comparisons={name: Comparison(**one) for name, one in (stated.get("comparisons") or {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"evaluation.json of bundle {bundle.id!r} must hold the scores of its training; got {error}. Restore it."
        ) from error


def _as_asked(contract: LabelContract, rows: LabelContract) -> LabelContract:
    """Return the rows' contract in the kind in which the bundle answers: words say one label, ordered or not."""
    if contract.kind == "generation" and rows.kind in ("single-label", "ordinal"):
        return LabelContract(kind="generation", names=rows.names)
    return rows


def _rows(
    bundle: Bundle, labelled: LabelledText, part: Part, *, own: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to judge, the rows a baseline may learn from, and the groups of all rows."""
    everything, nothing = np.arange(len(labelled)), np.arange(0)
    if not own:
        if part != "all":
            raise ConfigError(
                f"`split` must be 'all' for rows the bundle was not trained on; got {part!r}. The bundle has a split "
                f"of {', '.join(bundle.manifest.get('data_ids', {}))} only, with the contents it had then."
            )
        return everything, nothing, find_groups(labelled, SplitConfig())
    split, groups = deal_again(bundle, labelled)
    if part == "all":
        return everything, nothing, groups
    learn = np.concatenate([split.train, split.validation]) if part == "test" else nothing
    return getattr(split, part), learn, groups


def _seen(own: bool, part: Part) -> str:
    if not own or part == "test":
        return ""
    return f"These rows ({part}) were used to make the bundle: the scores are not what new text will get."


def _baseline(
    name: str, learn: LabelledText, groups: NDArray[np.int64], judged: LabelledText, seed: int
) -> NDArray[np.float64]:
    if name not in BASELINES or name == _EMBEDDED:
        usable = ", ".join(known for known in BASELINES if known != _EMBEDDED)
        raise ConfigError(f"`baselines` must be among {usable}; got {name!r}.")
    fitted = BASELINES[name](learn.card.contract, language=learn.card.language, seed=seed)
    fitted.fit(learn.texts, learn.targets(), pairs=learn.pairs, groups=groups)
    return fitted.outputs(judged.texts, pairs=judged.pairs)
