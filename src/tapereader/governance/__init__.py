"""What must be provable later: what made an artefact, and the card that tells people about it.

Everything above writes down to here; nothing here knows of models, data sets or files.
"""

from tapereader.governance.cards import model_card
from tapereader.governance.changes import changes_section, changes_table
from tapereader.governance.facts import DatasetFacts, ModelFacts
from tapereader.governance.lineage import RunManifest, collect_environment, collect_hardware, without_paths

__all__ = [
    "DatasetFacts",
    "ModelFacts",
    "RunManifest",
    "changes_section",
    "changes_table",
    "collect_environment",
    "collect_hardware",
    "model_card",
    "without_paths",
]
