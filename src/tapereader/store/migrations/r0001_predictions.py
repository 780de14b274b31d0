"""The table of predictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001"
down_revision: str | None = None


def upgrade(operations: Operations) -> None:
    """Make the table."""
    operations.create_table(
        "predictions",
        sa.Column("bundle_id", sa.Text, primary_key=True),
        sa.Column("text_hash", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("probabilities", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("prediction_set", sa.Text, nullable=False),
        sa.Column("abstained", sa.Boolean, nullable=False),
        sa.Column("backend", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
    )
