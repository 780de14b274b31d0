"""Labelled text made ready to learn from: checked, its copies found, and split so that no part knows another.

Everything here looks at texts, labels and times only; no model is involved.
"""

from tapereader.dataset.checks import check
from tapereader.dataset.contamination import ContaminationReport, Overlap, contamination
from tapereader.dataset.documents import NearDuplicates, mask, near_duplicate_groups, normalise
from tapereader.dataset.findings import CheckReport, Finding
from tapereader.dataset.official import official_split, without_overlap
from tapereader.dataset.parts import Split, split_groups
from tapereader.dataset.splits import grouped_folds, train_validation_test, with_validation
from tapereader.dataset.timesplit import time_split

__all__ = [
    "CheckReport",
    "ContaminationReport",
    "Finding",
    "NearDuplicates",
    "Overlap",
    "Split",
    "check",
    "contamination",
    "grouped_folds",
    "mask",
    "near_duplicate_groups",
    "normalise",
    "official_split",
    "split_groups",
    "time_split",
    "train_validation_test",
    "with_validation",
    "without_overlap",
]
