"""The words everybody shares: records, configuration, the registry of plug-ins, and the errors."""

from tapereader.core.errors import (
    BundleError,
    BusyError,
    ConfigError,
    DataError,
    LookAheadError,
    MissingDataError,
    MissingExtraError,
    StaleDataError,
    TapereaderError,
    UnknownNameError,
)
from tapereader.core.records import Document, Prediction

__all__ = [
    "BundleError",
    "BusyError",
    "ConfigError",
    "DataError",
    "Document",
    "LookAheadError",
    "MissingDataError",
    "MissingExtraError",
    "Prediction",
    "StaleDataError",
    "TapereaderError",
    "UnknownNameError",
]
