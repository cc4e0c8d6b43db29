"""Types and values of settings in words, from their JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

Schema = Mapping[str, Any]
_WORDS = {"boolean": "true or false", "null": "null", "object": "mapping"}
# Pydantic writes the bounds of a validated number under the names of its own constraints.
_BOUNDS = {
    "least": ("minimum", "ge"),
    "above": ("exclusiveMinimum", "gt"),
    "most": ("maximum", "le"),
    "below": ("exclusiveMaximum", "lt"),
}


def shown_value(value: Any) -> str:
    """Value as one would write it in a spec file, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def type_in_words(schema: Schema) -> str:
    """Type of a setting, such as `whole number >= 1`.

    Args:
        schema: JSON schema of the setting; references lead to a section or to any value.
    """
    return _joined(_alternatives(schema))


def _alternatives(schema: Schema) -> list[str]:
    if "anyOf" in schema:
        return [word for part in schema["anyOf"] for word in _alternatives(part)]
    if values := choices(schema):
        return list(map(shown_value, values))
    if "$ref" in schema or "oneOf" in schema:
        return ["any value" if schema.get("$ref", "").endswith("/JsonValue") else "section"]
    match schema.get("type"):
        case "integer":
            return ["whole number" + _range(schema)]
        case "number":
            return ["number" + _range(schema)]
        case "string":
            return ["text"]
        case "array":
            return [_list(schema)]
        case kind:
            return [_WORDS.get(str(kind), "any value")]


def choices(schema: Schema) -> tuple[Any, ...]:
    """Values that are allowed, if there are only a few; null is left out."""
    if "const" in schema:
        return (schema["const"],)
    inner = [value for part in schema.get("anyOf", ()) for value in choices(part)]
    return tuple(schema.get("enum", inner))


def _list(schema: Schema) -> str:
    items = schema.get("prefixItems")
    if items is None:
        return f"list of any length ({type_in_words(schema['items'])})"
    return f"list of {len(items)} ({_joined(list(dict.fromkeys(map(type_in_words, items))))})"


def _range(schema: Schema) -> str:
    found = {name: schema[key] for name, keys in _BOUNDS.items() for key in keys if key in schema}
    if {"least", "most"} <= found.keys():
        return f" from {found['least']} to {found['most']}"
    signs = {"least": ">=", "above": ">", "most": "<=", "below": "<"}
    return " and".join(f" {signs[name]} {bound}" for name, bound in found.items())


def _joined(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
