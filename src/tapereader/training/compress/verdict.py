"""Whether a smaller network is still good enough: what it lost, and how often it says the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.conformal import answers
from tapereader.bundle.contract import LabelContract
from tapereader.training.evaluation import Comparison, compare

#: Share of held-out rows on which a variant must say what its parent says; fewer bits change no more than that.
AGREEMENT_FLOORS = {"bf16": 0.995, "int8-dynamic": 0.98, "int8-static": 0.98}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a change of a network cost.

    Parameters
    ----------
    comparison : the variant (``ours``) against its parent (``theirs``) on the test part, with a paired interval
    lost : of the headline metric: hundredths for labels (points of macro-F1), units of R2 for numbers; negative is a
        gain
    agreement, n_agreement : share of held-out rows (validation and test) with the same answer, of how many; None for
        numbers
    faults : why it is refused, in words; empty where it is good enough
    """

    comparison: Comparison
    lost: float
    agreement: float | None
    n_agreement: int
    faults: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "comparison": self.comparison.to_dict(), "lost": self.lost, "agreement": self.agreement,
            "n_agreement": self.n_agreement, "faults": list(self.faults),
        }  # fmt: skip


def judge_variant(
    contract: LabelContract,
    targets: NDArray[Any],
    *,
    before: FloatArray,
    after: FloatArray,
    groups: ArrayLike,
    test: slice,
    thresholds: tuple[float, float],
    budget: float,
    floor: float | None,
    seed: int,
) -> Verdict:
    """Compare a variant with its parent on the same held-out rows.

    What was lost is the difference itself, not an end of its interval: on a small test part the interval of two equal
    networks is wider than any useful budget. It is stated beside the difference.

    Parameters
    ----------
    contract : label contract
    targets : of N held-out rows, validation and test
    before, after : calibrated outputs on them, (N, C) or (N,)
    groups : int array (N,)
    test : which of the rows are the test part; what was lost is counted on them alone
    thresholds : multi-label only: after and before
    budget : what may be lost, in the unit of ``Verdict.lost``
    floor : least agreement, or None
    seed : of the interval
    """
    found = compare(
        contract, targets[test], after[test], before[test], groups=np.asarray(groups)[test], seed=seed,
        thresholds=thresholds,
    )  # fmt: skip
    unit, scale = ("R2", 1.0) if contract.kind == "regression" else (f"points of {found.metric}", 100.0)
    lost = -scale * found.difference
    agreement = None if contract.kind == "regression" else same_answers(contract, after, before, thresholds)
    faults = []
    # A fall by the budget itself is within it, whatever the last bits say.
    if not lost <= budget + 1e-9:
        low, high = sorted((-scale * found.high, -scale * found.low))
        faults.append(f"it loses {lost:.2f} {unit} ({low:.2f} to {high:.2f}) and may lose {budget:g}")
    if floor is not None and agreement is not None and agreement < floor:
        faults.append(
            f"it agrees with its parent on {100 * agreement:.2f} % of {len(before)} held-out rows and must on "
            f"{100 * floor:g} %"
        )
    return Verdict(comparison=found, lost=lost, agreement=agreement, n_agreement=len(before), faults=tuple(faults))


def same_answers(
    contract: LabelContract, ours: FloatArray, theirs: FloatArray, thresholds: tuple[float, float] = (0.5, 0.5)
) -> float:
    """Return the share of rows with the same answer; for several labels a row, with the same set of them.

    Examples
    --------
    >>> two = LabelContract(kind="single-label", names=("down", "up"))
    >>> same_answers(two, np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[0.6, 0.4], [0.7, 0.3]]))
    0.5
    """
    mine, yours = (
        answers(contract, outputs, threshold=threshold)
        for outputs, threshold in zip((ours, theirs), thresholds, strict=True)
    )
    same = mine == yours
    return float((same.all(axis=1) if same.ndim == 2 else same).mean())
