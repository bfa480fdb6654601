"""Dataclasses from parsed JSON: these fields, exactly these types, and a line that names the one that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from .config import encoder_class

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")


def strict(cls: type[D], data: object, where: str) -> D:
    """Build a dataclass from parsed JSON: its fields, exactly their types, an int where a float is asked.

    A field with a default may be missing: it may be younger than the file.
    """
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object")
    if missing := [name for name in needed if name not in data]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    if unknown := [name for name in data if name not in names]:
        raise ValueError(f"{where} has unknown fields: {', '.join(map(str, unknown))}")
    return cls(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in data.items()})


def _member(members: tuple[Any, ...], value: object) -> Any:
    """Which of the types of a union a value is to have: an encoder by its kind, else null, a list or a plain value."""
    if all(is_dataclass(member) for member in members):
        return encoder_class(value.get("kind", "dste") if isinstance(value, dict) else None)
    if value is None and NoneType in members:
        return NoneType
    return next((m for m in members if (get_origin(m) is tuple) == isinstance(value, list)), members[0])


def _value(expected: Any, value: object, where: str) -> Any:
    if get_origin(expected) is UnionType:
        expected = _member(get_args(expected), value)
    origin, arguments = get_origin(expected), get_args(expected)
    if isinstance(expected, type) and is_dataclass(expected):
        return strict(expected, value, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return value
    if expected is float and isinstance(value, int | float) and type(value) is not bool and math.isfinite(value):
        return float(value)
    if expected in (int, str, bool, NoneType) and type(value) is expected:
        return value
    wanted = (
        f"one of {', '.join(map(repr, arguments))}" if origin is Literal else getattr(expected, "__name__", expected)
    )
    raise ValueError(f"{where} must be {wanted}, not {value!r:.80}")
