"""The schema of a store as this version reads and writes it; ``migrations`` brings older ones to it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, LargeBinary, MetaData, Table, Text

#: The newest migration: a store at this revision has exactly the tables below.
REVISION = "0001"
#: Where a store says its revision. Not Alembic's own name, so that a server's database can be shared with others.
VERSION_TABLE = "tapereader_version"

METADATA = MetaData()

#: Numbers are little-endian float64 bytes: a float column of SQLite turns NaN into NULL and -0.0 into 0.0.
#: Instants are ISO 8601 in UTC, always with microseconds, so that their order as text is their order in time.
PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("bundle_id", Text, primary_key=True),
    Column("text_hash", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("probabilities", LargeBinary, nullable=False),
    Column("value", LargeBinary),
    Column("prediction_set", Text, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("backend", Text, nullable=False),
    Column("made_at", Text, nullable=False),
)
