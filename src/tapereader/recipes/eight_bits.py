"""The network in eight bits beside the one in float: made, judged against it, and shipped where it is as good."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle, Calibration, ContractFacts, write_bundle
from tapereader.bundle.folder import INT8
from tapereader.core.errors import ConfigError
from tapereader.dataset.parts import Split
from tapereader.engine import Engine, token_batches
from tapereader.engine.backends import has_exact_int8, processor_flags
from tapereader.engine.batching import Batch
from tapereader.sources import LabelledText
from tapereader.training.compress.int8 import quantize_dynamic
from tapereader.training.compress.verdict import judge_variant

#: What answers by default must say what the network in float says on this share of held-out rows, and lose no more.
_AGREEMENT, _BUDGET, _BUDGET_R2 = 0.995, 0.5, 0.005
#: Held-out rows below which a share of them says nothing: one other answer in fewer is more than is allowed.
_LEAST_ROWS = 200
#: Training texts on which is seen how large numbers become, and tokens of a batch of them.
_TEXTS, _TOKENS = 256, 512


@dataclass(frozen=True, eq=False, kw_only=True)
class EightBits:
    """What became of a network in eight bits.

    Parameters
    ----------
    outputs : its answers on the test part where it is shipped, else None
    facts : ``shipped``; and ``why`` it is not, or ``agreement`` on ``n`` held-out rows and ``lost`` of the headline
    """

    outputs: NDArray[np.float64] | None
    facts: Mapping[str, Any]


def add_int8(
    parts: Path, draft: Bundle, labelled: LabelledText, split: Split, *, groups: NDArray[np.int64], seed: int,
    threads: int | None,
) -> EightBits:  # fmt: skip
    """Make the network in eight bits, and put it into ``parts`` where it answers as the one in float does.

    Parameters
    ----------
    parts : holds ``onnx/model.onnx``
    draft : a bundle of it on disk, which may be written to
    labelled, split, groups : all rows, how they were dealt, and which are no evidence apart
    seed : of the interval
    threads : processor threads, or None for all
    """
    if not has_exact_int8(processor_flags()):
        return _left_out("the processor it was made on cannot sum products of eight bits exactly, so it was not judged")
    try:
        seen = training_batches(draft, labelled, split, n=_TEXTS, seed=seed)
        quantize_dynamic(draft.onnx_path, draft.int8_path, seen, bits=8)
    except ConfigError as error:
        return _left_out(str(error))
    contract, both = draft.contract, np.concatenate([split.validation, split.test])
    rows = labelled.take(both)
    if len(rows) < _LEAST_ROWS:
        return _left_out(f"it is judged on at least {_LEAST_ROWS} held-out rows, and there are {len(rows)}")
    before, after = (
        Engine(draft, backend=backend, threads=threads, check=False).outputs(rows.texts, rows.pairs)
        for backend in ("onnxruntime", "onnxruntime-int8")
    )
    first = len(split.validation)
    verdict = judge_variant(
        contract, rows.targets(), before=before, after=after, groups=groups[both], test=slice(first, len(both)),
        thresholds=(draft.calibration.threshold,) * 2, budget=_BUDGET_R2 if contract.kind == "regression" else _BUDGET,
        floor=_AGREEMENT, seed=seed,
    )  # fmt: skip
    if verdict.faults:
        return _left_out(" and ".join(verdict.faults))
    shutil.copyfile(draft.int8_path, parts / INT8)
    comparison = verdict.comparison
    return EightBits(
        outputs=after[first:],
        facts={
            "shipped": True, "agreement": verdict.agreement, "n": verdict.n_agreement, "metric": comparison.metric,
            "gain": comparison.difference, "low": comparison.low, "high": comparison.high,
        },
    )  # fmt: skip


def training_batches(bundle: Bundle, labelled: LabelledText, split: Split, *, n: int, seed: int) -> list[Batch]:
    """Return batches of ``n`` texts drawn from the training part, short ones, which are hardly padded."""
    drawn = labelled.take(np.random.default_rng(seed).permutation(split.train)[:n])
    chunks = bundle.tokenizer().encode(drawn.texts, drawn.pairs)
    return list(token_batches(chunks, budget=_TOKENS, pad_id=bundle.pad_id))


def write_draft(folder: Path, parts: Path, facts: ContractFacts, calibration: Calibration) -> Bundle:
    """Write what can be asked already: a network without card, terms and lineage."""

    def fill(into: Path) -> None:
        shutil.copytree(parts, into, dirs_exist_ok=True)

    return write_bundle(
        folder,
        contract_facts=facts,
        calibration=calibration,
        manifest={"kind": "draft"},
        fill=fill,
    )


def _left_out(why: str) -> EightBits:
    return EightBits(outputs=None, facts={"shipped": False, "why": why})
