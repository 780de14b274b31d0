"""Names to plug-ins; the only reader of entry points."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tapereader.core.errors import ConfigError, UnknownNameError

GROUPS = ("tapereader.sources", "tapereader.backbones", "tapereader.tasks", "tapereader.strategies", "tapereader.sinks")


class Registry:
    """The plug-ins of one group, found by name and loaded only when asked for.

    Ours and a stranger's come the same way, through installed entry points. The registry finds; it never calls.

    Parameters
    ----------
    group : one of ``GROUPS``
    plugins : name to object, instead of the installed ones (for tests and notebooks)

    Raises
    ------
    ConfigError
        If the group is unknown or two packages carry one name.

    Examples
    --------
    >>> Registry("tapereader.tasks", {"trend": "anything"}).names()
    ('trend',)
    """

    def __init__(self, group: str, plugins: Mapping[str, Any] | None = None) -> None:
        if group not in GROUPS:
            raise ConfigError(f"A plug-in group must be one of {', '.join(GROUPS)}; got {group!r}.")
        self.group = group
        self._found: dict[str, Any] = dict(plugins) if plugins is not None else _installed(group)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted; imports nothing."""
        return tuple(sorted(self._found))

    def find(self, name: str) -> Any:
        """Return the plug-in of that name, importing it now.

        Raises
        ------
        UnknownNameError
            With the known names and the nearest one.
        """
        if name not in self._found:
            known = ", ".join(self.names()) or "none"
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownNameError(f"No {self.group} is called {name!r}; known: {known}.{hint}")
        value = self._found[name]
        return value.load() if isinstance(value, EntryPoint) else value


def _installed(group: str) -> dict[str, Any]:
    found = list(entry_points(group=group))
    twice = [name for name, count in Counter(point.name for point in found).items() if count > 1]
    # One distribution seen through two paths (an editable install) is the same plug-in, not a clash.
    for name in twice:
        values = {point.value for point in found if point.name == name}
        if len(values) > 1:
            raise ConfigError(
                f"A name in {group} must belong to one package; {name!r} is claimed by {sorted(values)}. "
                "Uninstall one of them."
            )
    return {point.name: point for point in found}
