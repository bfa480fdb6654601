"""Schema: every message's fields for whoever writes a client of their own, generated from the messages themselves.

skelstream protocol            # as in docs/protocol.md
skelstream protocol --json     # JSON Schema
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import msgspec.inspect as types
import numpy as np

from .coding import KINDS
from .messages import SHOWN
from .sockets import PROTOCOL
from .sound import DTYPES

_ARRAY = {
    "description": "An array: its dtype, its shape, and its numbers in C order, little-endian, as MessagePack's bin.",
    "type": "array",
    "prefixItems": [
        {"enum": list(DTYPES), "description": "f float32, d float64, B uint8"},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 5},
        {"type": "string", "contentEncoding": "binary"},
    ],
    "minItems": 3,
    "maxItems": 3,
}


def json_schema() -> dict[str, Any]:
    """All messages as JSON Schema: a message is one of these objects, its `type` says which."""

    def array(kind: type) -> dict[str, Any]:
        assert kind is np.ndarray
        return {"$ref": "#/$defs/Array"}

    references, messages = msgspec.json.schema_components(
        KINDS.values(), schema_hook=array, ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"skelstream protocol {PROTOCOL}",
        "oneOf": list(references),
        "$defs": {**messages, "Array": _ARRAY},
    }


def reference() -> str:
    """All messages as Markdown: what each is, and its fields."""
    return "\n".join(_section(name.decode(), kind) for name, kind in KINDS.items())


def _section(name: str, kind: type) -> str:
    structure = types.type_info(kind)
    assert isinstance(structure, types.StructType)
    shown = ["", "Viewers on other machines get it, too."] if kind in SHOWN else []
    rows = [f"| `{field.encode_name}` | {_said(field.type)} | {_default(field)} |" for field in structure.fields]
    table = ["| field | type | if left out |", "|---|---|---|", *rows]
    return "\n".join([f"### {name}", "", inspect.getdoc(kind) or "", *shown, "", *table, ""])


def _said(kind: types.Type) -> str:
    """A field's type as people say it."""
    match kind:
        case types.LiteralType():
            return " or ".join(f"`{value!r}`".replace("'", '"') for value in kind.values)
        case types.UnionType():
            return " or ".join(_said(one) for one in kind.types)
        case types.VarTupleType():
            return f"list of {_said(kind.item_type)}"
        case types.TupleType():
            return f"[{', '.join(_said(one) for one in kind.item_types)}]"
        case types.DictType():
            return f"map of {_said(kind.key_type)} to {_said(kind.value_type)}"
        case types.CustomType():
            return "array"
        case _:
            return {"NoneType": "nil", "BytesType": "bin"}.get(name := type(kind).__name__, name[:-4].lower())


def _default(field: types.Field) -> str:
    if field.required:
        return "an error"
    if field.default is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default).decode()}`"
    return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
