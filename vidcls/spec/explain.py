"""Turns validation errors of pydantic into one-line messages for the user."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from vidcls.errors import UserError, did_you_mean
from vidcls.spec.experiment import Spec
from vidcls.spec.keys import explain_unknown, kind_of, sections_at
from vidcls.spec.yaml import Mistake, Node, dotted, in_short

Loc = tuple[str | int, ...]
_MOST = 50  # maximum number of mistakes shown at once

_WANTED = {
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "string_type": "expected text; put it in quotes",
    "tuple_type": "expected a list such as [a, b]",
    "list_type": "expected a list such as [a, b]",
    "dict_type": "expected a mapping",
    "model_type": "expected `key: value` lines",
    "model_attributes_type": "expected `key: value` lines",
    "finite_number": "expected a finite number",
}


class SpecError(UserError):
    """One or more mistakes in specs; exit code 2.

    Attributes:
        mistakes: Mistakes, each with its position, key and message.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        lines = [str(mistake) for mistake in mistakes[:_MOST]]
        if len(mistakes) > _MOST:
            lines.append("and more; correct these first")
        super().__init__("\n".join(lines))
        self.mistakes = tuple(mistakes)


def validate(tree: Node) -> tuple[Spec | None, list[Mistake]]:
    """Check a tree against the spec and report every mistake.

    Pydantic checks across fields only if each field alone is valid. So an invalid setting is removed after it
    was reported, and the rest is checked again, until nothing new is found.
    """
    plain = tree.plain()
    mistakes: list[Mistake] = []
    removed: set[Loc] = set()
    while True:
        try:
            spec = Spec.model_validate_json(json.dumps(plain))
        except ValidationError as error:
            rows = error.errors(include_url=False)
        else:
            return (None if mistakes else spec), mistakes
        num_removed = len(removed)
        for row in rows:
            path = _path(row["loc"], tree)
            if row["type"] == "missing" and path in removed:
                continue
            if row["type"] == "union_tag_not_found" and (*path, "kind") in removed:
                continue
            if row["type"] == "too_short" and len(row["input"]) >= row["ctx"]["min_length"]:
                continue  # its items were invalid, and are reported separately
            message = _message(row, path, tree)
            at = path
            if row["type"] == "value_error":
                path, message = split_key(path, message)
                at = path
            elif row["type"] == "union_tag_invalid":
                at = (*path, "kind")
            mistake = Mistake(place_of(at, tree), dotted(at), message)
            if mistake not in mistakes:  # what is missing is found missing each time
                mistakes.append(mistake)
            removed |= _remove(plain, path)
            if len(mistakes) > _MOST:
                return None, mistakes
        if len(removed) == num_removed:
            return None, mistakes


def _path(loc: Loc, tree: Node) -> Loc:
    """Pydantic location without the union tags between keys."""
    path: Loc = ()
    for part in loc:
        sections = sections_at(path, tree)
        tags = {kind_of(section) for section in sections}
        if part in tags and part not in sections[0].model_fields:
            continue
        path = (*path, part)
    return path


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _remove(plain: Any, path: Loc) -> set[Loc]:
    """Remove a setting; for an invalid item of a list, remove the list."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return set()
    for part in path[:-1]:
        plain = _step(plain, part)
    if isinstance(plain, dict) and path[-1] in plain:
        del plain[path[-1]]
        return {path}
    return set()


def place_of(path: Loc, tree: Node) -> str:
    """`file:line` of a setting, or of what it would be in."""
    node = tree
    for part in path:
        child = node.child(part)
        if child is None:
            break
        node = child
    return node.place


def split_key(path: Loc, message: str) -> tuple[Loc, str]:
    """Split a message of a check across fields, `key: message`; the key is relative to its section."""
    key, separator, rest = message.partition(": ")
    if separator and " " not in key:
        return (*path, *key.split(".")), rest
    return path, message


def explain(row: Mapping[str, Any], path: Loc, *, unknown_key: Callable[[], str]) -> str:
    """What is wrong with one setting, from a row of `ValidationError.errors()`.

    Args:
        row: The row.
        path: Path of the setting in the file.
        unknown_key: Says what an unknown key was probably meant to be.
    """
    kind, context = row["type"], row.get("ctx", {})
    got = f", got {shown(row.get('input'))}"
    if kind == "extra_forbidden":
        return unknown_key()
    if kind == "missing":
        return "required, but not set"
    if kind == "value_error":
        return str(context["error"])
    if kind in {"union_tag_invalid", "literal_error"}:
        return _choices(context, row, path)
    if kind in _WANTED:
        return _WANTED[kind] + got
    if kind == "string_pattern_mismatch":
        return f"allowed are letters, digits, `.`, `_` and `-`, and it must begin with a letter or digit{got}"
    text = str(row["msg"]).replace("Input should be", "must be")
    text = text.replace("Tuple should have", "must have").replace("String should have", "must have")
    return f"{text}{got}"


def _message(row: Mapping[str, Any], path: Loc, tree: Node) -> str:
    if row["type"] == "union_tag_not_found":
        names = ", ".join(str(kind_of(section)) for section in sections_at(path, tree))
        return f"needs a kind; allowed: {names}"
    return explain(row, path, unknown_key=lambda: explain_unknown(path, tree))


def _choices(context: Mapping[str, Any], row: Mapping[str, Any], path: Loc) -> str:
    raw = context.get("expected_tags") or context.get("expected") or ""
    words = [choice.strip(" '") for choice in str(raw).replace(" or ", ", ").split(",")]
    choices = [{"True": "true", "False": "false"}.get(word, word) for word in words]  # as YAML writes them
    value = context.get("tag", row.get("input"))
    is_kind = (path and path[-1] == "kind") or "tag" in context
    return unknown_value(value, choices, what="unknown kind" if is_kind else "unknown value")


def unknown_value(value: Any, allowed: Sequence[str], *, what: str = "unknown value") -> str:
    """The refusal of a value that is none of those that are allowed."""
    meant = did_you_mean(str(value), allowed)
    return f"{what} {shown(value)}; allowed: {', '.join(allowed)}{meant and f'; {meant}'}"


def shown(value: Any) -> str:
    """Format a value of a spec for a message."""
    return in_short(json.dumps(value) if not isinstance(value, str) else repr(value))
