"""The few errors the package raises; each is also the built-in a caller would expect.

A message answers, in this order: what must hold, what came instead, where, and what to do now.
"""

from __future__ import annotations


class TapereaderError(Exception):
    """Anything the package refuses, with a message written for its reader."""


class ConfigError(TapereaderError, ValueError):
    """A configuration, option or argument that was asked for wrongly."""


class UnknownNameError(TapereaderError, LookupError):
    """A name that no registered plug-in, data set, label or column carries."""


class DataError(TapereaderError, ValueError):
    """Input data that cannot be used as it is."""


class LookAheadError(DataError):
    """Data that was not yet known at the moment it would be used."""


class MissingDataError(DataError):
    """Data that is needed and is not there."""


class StaleDataError(DataError):
    """Data older than the stated limit."""


class BundleError(TapereaderError, RuntimeError):
    """A bundle that is damaged, foreign or made for another task."""


class BusyError(TapereaderError, RuntimeError):
    """A request that cannot be taken now because too many are waiting; later it can."""


class MissingExtraError(TapereaderError, ImportError):
    """A verb that needs an optional extra which is not installed."""


def missing_extra(extra: str, *, needed_for: str) -> MissingExtraError:
    """Build the error for an optional extra that is not installed.

    Examples
    --------
    >>> print(missing_extra("train", needed_for="Fine-tuning"))
    Fine-tuning needs the extra `train`, which is not installed. Run: pip install "tapereader[train]".
    """
    return MissingExtraError(
        f'{needed_for} needs the extra `{extra}`, which is not installed. Run: pip install "tapereader[{extra}]".'
    )
