"""Read our docstrings as they are meant: after a parameter's name comes what it is, not its type.

Standard NumPy docstrings put the type there; ours would repeat the annotation, so they put the meaning there. For the
reference pages the two are put where the pages expect them.
"""

from __future__ import annotations

from typing import Any

import griffe

_NAMED = (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.other_parameters)


class HouseStyle(griffe.Extension):
    """Moves the words after a parameter's name into its description, and its annotation into the type."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:  # noqa: ARG002 - the hook's signature
        """Look through all docstrings of the package."""
        waiting: list[Any] = [pkg]
        while waiting:
            one = waiting.pop()
            waiting.extend(member for member in one.members.values() if not member.is_alias)
            if one.docstring is not None:
                _rearrange(one)


def _rearrange(one: Any) -> None:
    for section in one.docstring.parsed:
        if section.kind not in _NAMED:
            continue
        for parameter in section.value:
            written = parameter.annotation
            words = "".join(map(str, written)) if isinstance(written, griffe.Expr) else str(written or "")
            parameter.description = " ".join(filter(None, [words, parameter.description]))
            places = [_declared(one, name.strip(" *")) for name in parameter.name.split(",")]
            place = next(filter(None, places), None)
            parameter.annotation = place and place.annotation
            default = None if place is None else getattr(place, "default", getattr(place, "value", None))
            parameter.value = None if default is None else str(default)


def _declared(one: Any, name: str) -> Any:
    """Return where a documented name is declared: a function's parameter, the constructor's, or a field."""
    made = one if one.is_function else one.members.get("__init__")
    if made is not None and name in made.parameters:
        return made.parameters[name]
    field = None if one.is_function else one.members.get(name)
    return field if field is not None and field.is_attribute else None
