"""Reads typed values from a parsed YAML file, and reports every mistake instead of only the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml

from vidcls.errors import did_you_mean
from vidcls.spec.explain import unknown_value
from vidcls.spec.scalars import is_long_number, scalar
from vidcls.spec.yaml import KeyPath, Mistake, Node, dotted, in_short

Choice = TypeVar("Choice", bound=str)
_EXPONENT = re.compile(r"(?P<sign>[-+]?)(?P<digits>[0-9.]+)[eE](?P<exponent>[-+]?[0-9]+)")


class Reader:
    """Collects mistakes; each method returns the value, or None after it has recorded a mistake.

    Attributes:
        mistakes: Mistakes found so far.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def wrong(self, node: Node, key: str, message: str) -> None:
        """Record a mistake."""
        self.mistakes.append(Mistake(node.place, key, message))

    def section(
        self, node: Node, key: str, allowed: tuple[str, ...], *, refused: Mapping[str, str] | None = None
    ) -> dict[str, Node]:
        """Read the allowed keys of a mapping; `refused` gives the reason why some other keys are refused."""
        if not isinstance(node.value, dict):
            self.wrong(node, key, f"expected `key: value` lines, got {shown(node)}")
            return {}
        kept = {}
        for name, child in node.value.items():
            if name in allowed:
                kept[name] = child
                continue
            reason = (refused or {}).get(name)
            if reason is None:
                meant = did_you_mean(name, allowed) or f"allowed: {', '.join(allowed)}"
                reason = f"unknown key; {meant}"
            self.wrong(child, f"{key}.{name}" if key else name, reason)
        return kept

    def text(self, node: Node, key: str) -> str | None:
        """Read text that is not empty."""
        if isinstance(node.value, str) and node.value:
            return node.value
        self.wrong(node, key, f"expected text, got {shown(node)}")
        return None

    def choice(self, node: Node, key: str, allowed: tuple[Choice, ...]) -> Choice | None:
        """Read text that must be one of the allowed values."""
        for value in allowed:
            if node.value == value:
                return value
        self.wrong(node, key, unknown_value(node.plain(), allowed))
        return None

    def number(self, node: Node, key: str) -> float | None:
        """Read a finite number; a whole number stays an int."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value == value and abs(value) != float("inf"):
                return value
            self.wrong(node, key, f"expected a finite number, got {value}")
            return None
        self.wrong(node, key, f"expected a number, got {shown(node)}")
        return None

    def whole(self, node: Node, key: str, *, at_least: int) -> int | None:
        """Read a whole number."""
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and value >= at_least:
            return value
        self.wrong(node, key, f"expected a whole number of at least {at_least}, got {shown(node)}")
        return None

    def flag(self, node: Node, key: str) -> bool | None:
        """Read true or false."""
        if isinstance(node.value, bool):
            return node.value
        self.wrong(node, key, f"expected true or false, got {shown(node)}")
        return None


def shown(node: Node) -> str:
    """Format a value for a message."""
    value = node.plain()
    return "nothing" if value is None else in_short(repr(value))


def misread_by_wandb(text: str, name: str) -> list[Mistake]:
    """Find plain scalars that W&B reads as another value, since it parses YAML 1.1 with PyYAML.

    The best known case is `1e-3`, which PyYAML reads as text, so a sweep over it draws text.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        return []  # reported where the file is parsed
    mistakes = []
    for path, node in _scalars(root, (), set()) if root else ():
        if is_long_number(node.value):
            continue  # reported where the file is parsed
        theirs, ours = _as_pyyaml(node), scalar(node.value)
        if node.style is None and repr(theirs) != repr(ours):
            what = "text" if isinstance(theirs, str) else str(theirs)
            message = f"W&B reads {node.value} as {what}; {_advice(node.value, ours, theirs)}"
            mistakes.append(Mistake(f"{name}:{node.start_mark.line + 1}", dotted(path), message))
    return mistakes


def _scalars(node: yaml.Node, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, yaml.ScalarNode]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, path, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag == "tag:yaml.org,2002:merge":
                continue  # refused as an unknown key
            yield from _scalars(key, path, seen)
            inner = (*path, key.value) if isinstance(key, yaml.ScalarNode) else path
            yield from _scalars(value, inner, seen)


def _as_pyyaml(node: yaml.ScalarNode) -> Any:
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError):
        return node.value


def _advice(written: str, ours: Any, theirs: Any) -> str:
    if isinstance(ours, float) and (match := _EXPONENT.fullmatch(written)):
        digits = match["digits"] if "." in match["digits"] else f"{match['digits']}.0"
        exponent = match["exponent"] if match["exponent"][0] in "+-" else f"+{match['exponent']}"
        return f"write {match['sign']}{digits}e{exponent}"
    if ours is None:
        return "write null"
    if isinstance(ours, bool | int | float):
        return f"write {str(ours).lower()}"
    quoted = f"'{written}' in quotes if it is text"
    number = isinstance(theirs, bool | int | float)
    return f"write {str(theirs).lower()}, or {quoted}" if number else f"write {quoted}"
