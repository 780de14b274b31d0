"""Frozen, closed, hashed configuration: YAML in, every fault reported at once."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic._internal._model_construction import ModelMetaclass  # it has no public name

from tapereader.core.errors import ConfigError

#: Mark a field that names a place or a display choice, so that it does not enter the config's id:
#: ``Field(..., json_schema_extra=NOT_IDENTITY)``.
NOT_IDENTITY: dict[str, Any] = {"identity": False}


class _Reporting(ModelMetaclass):
    """Turn a constructor's faults into our error; a nested config is checked by its parent, in one report."""

    def __call__(cls: Any, *args: Any, **values: Any) -> Any:  # noqa: N805  # a class is its instance
        try:
            return type.__call__(cls, *args, **values)
        except ValidationError as error:
            raise ConfigError(_describe(cls, error)) from error


class Config(BaseModel, metaclass=_Reporting):
    """Base of every configuration: immutable, strict, and named by its contents.

    Unknown fields are refused, types are not coerced (``"yes"`` is not 1, ``1`` is accepted for a float), NaN is
    refused, and all faults are reported together with their dotted paths. Two configs with one ``id`` ask for the
    same thing; fields marked ``NOT_IDENTITY`` (paths, display) do not take part.

    Raises
    ------
    ConfigError
        Listing every problem at once.

    Examples
    --------
    >>> class Cutoff(Config):
    ...     horizon_days: int = 5
    >>> Cutoff().id == Cutoff(horizon_days=5).id
    True
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @property
    def id(self) -> str:
        """Twelve hex digits that name what this configuration asks for."""
        payload = json.dumps(_identity(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(payload.encode()).hexdigest()[:12]

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like a new one."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Self:
        """Build from plain JSON-like values, as YAML gives them (lists for tuples)."""
        try:
            return cls.model_validate_json(json.dumps(values, default=str))
        except ValidationError as error:
            raise ConfigError(_describe(cls, error)) from error

    @classmethod
    def load(cls, path: Path | str | None = None, overrides: tuple[str, ...] | list[str] = ()) -> Self:
        """Read a YAML file, then apply ``a.b=value`` overrides in order.

        Parameters
        ----------
        path : YAML file, or None for the defaults
        overrides : strings ``dotted.path=value``; the value is read as YAML

        Raises
        ------
        ConfigError
            If the file cannot be read, is not a mapping, or any field is wrong.
        """
        return cls.from_mapping(read_mapping(path, overrides=overrides))

    def to_yaml(self) -> str:
        """Write as YAML that :meth:`load` reads back to an equal config."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_mapping(
    path: Path | str | None, *, overrides: tuple[str, ...] | list[str] = (), base: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Read a YAML file as plain values, unchecked, and apply overrides; the file's fields stand over ``base``.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not a mapping, or an override has no value.
    """
    values: dict[str, Any] = copy.deepcopy(base or {})
    if path is not None:
        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"A config file must be readable YAML; got {str(path)!r}: {_fault(error)}.") from error
        if not isinstance(found, dict):
            raise ConfigError(f"A config file must hold `field: value` lines; got {str(path)!r} with {found!r}.")
        values |= found
    for override in overrides:
        _apply(values, override)
    return values


def _fault(error: Exception) -> str:
    """Say in one line what is wrong with a file or its YAML, and where."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', None) or 'it is broken'} in line {mark.line + 1}, column {mark.column + 1}"
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, raw = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"An override must look like `a.b=value`; got {override!r}.")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of override {override!r} must be YAML: {_fault(error)}.") from error
    *parents, last = path.strip().split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"Override {override!r} goes below `{parent}`, which is the value {inner!r}.")
        values = inner
    values[last] = value


def _identity(value: Any) -> Any:
    if isinstance(value, Config):
        fields = type(value).model_fields
        return {
            name: _identity(getattr(value, name))
            for name, field in fields.items()
            if not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("identity") is False)
        }
    if isinstance(value, dict):
        return {str(key): _identity(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(inner) for inner in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value)


def _describe(cls: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _field_names(cls, fault["loc"][:-1]), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"  {path}: no such field{hint}")
        elif fault["type"] == "missing":
            lines.append(f"  {path}: must be given")
        elif fault["type"] == "value_error":
            lines.append(f"  {path or cls.__name__}: {fault['ctx']['error']}")
        else:
            message = fault["msg"].replace("Input should be", "must be")
            lines.append(f"  {path}: {message[0].lower()}{message[1:]}; got {fault['input']!r}")
    plural = "problem" if len(lines) == 1 else "problems"
    return f"{cls.__name__} has {len(lines)} {plural}:\n" + "\n".join(lines)


def _field_names(cls: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    current: Any = cls
    for part in path:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return []
        candidates = (field.annotation, *get_args(field.annotation))
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return list(getattr(current, "model_fields", {}))
