"""What a check found, and how it is told to a person or a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from tapereader.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Severity = Literal["error", "warning"]
#: Row numbers kept with a finding; ``count`` has them all.
MAX_ROWS = 20
_SHOWN_ROWS = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing, in a labelled data set.

    Parameters
    ----------
    code : lower-case words with hyphens, such as ``missing-label``
    severity : ``error`` where training cannot go on, else ``warning``
    message : what must hold, what came instead, what to do
    rows : positions in the source counted from 1, at most 20
    count : how many rows in all
    """

    code: str
    severity: Severity
    message: str
    rows: tuple[int, ...]
    count: int

    def line(self) -> str:
        """Return the finding as one line, with the first row numbers."""
        return f"{self.severity}  {self.code}: {self.message}{self._where()}"

    def _where(self) -> str:
        if not self.rows:
            return ""
        numbers = ", ".join(str(row) for row in self.rows[:_SHOWN_ROWS])
        more = f" and {self.count - _SHOWN_ROWS:,} more" if self.count > _SHOWN_ROWS else ""
        return f" ({'row' if self.count == 1 else 'rows'} {numbers}{more})"


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """All findings on one data set, errors first.

    Parameters
    ----------
    name : of the data set
    n_rows : rows looked at
    findings : errors, then warnings, each in the order of the checks
    """

    name: str
    n_rows: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def raise_for_errors(self) -> None:
        """Refuse the data set if any finding is an error.

        Raises
        ------
        DataError
            Listing every error with its first row numbers.
        """
        if not self.errors:
            return
        lines = [f"  {finding.line().removeprefix('error  ')}" for finding in self.errors]
        raise DataError(f"Data set {self.name!r} has {counted(len(self.errors), 'error')}:\n" + "\n".join(lines))

    def lines(self) -> list[str]:
        """Return the report for a terminal: one line a finding, then one that sums up."""
        n_errors, n_warnings = len(self.errors), len(self.warnings)
        summary = (
            f"{self.name}: {counted(self.n_rows, 'row')}, {counted(n_errors, 'error')}, "
            f"{counted(n_warnings, 'warning')}"
        )
        return [*(finding.line() for finding in self.findings), summary]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "n_rows": self.n_rows,
            "n_errors": len(self.errors),
            "n_warnings": len(self.warnings),
            "findings": [asdict(finding) | {"rows": list(finding.rows)} for finding in self.findings],
        }


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


class Findings:
    """Collects findings while checks run: positions go in, source row numbers come out.

    Parameters
    ----------
    rows : int array (N,), the source row number of each position
    """

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self._rows = rows
        self._found: list[Finding] = []

    def add(self, code: str, severity: Severity, message: str, positions: Iterable[int] = ()) -> None:
        """Keep one finding about the rows at those positions."""
        where = list(positions)
        rows = tuple(int(self._rows[position]) for position in where[:MAX_ROWS])
        self._found.append(Finding(code=code, severity=severity, message=message, rows=rows, count=len(where)))

    def sorted(self) -> tuple[Finding, ...]:
        """Return all findings, errors first."""
        return tuple(sorted(self._found, key=lambda finding: finding.severity != "error"))
