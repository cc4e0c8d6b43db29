"""YAML files as trees that remember where each value stands.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so `3e-4` is a
number and `on` is text; `None` counts as null besides, because Python programs write it. Tags and
duplicate keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_NULL = re.compile(r"(?:null|Null|NULL|None|~|)$")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"[-+]?[0-9]+$")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_MAX_DEPTH = 32

Scalar = str | int | float | bool | None
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with what was asked for, in one line.

    Attributes:
        place: `file:line`, a file, or `command line`.
        key: Dotted path of the setting, empty if none is concerned.
        message: What was wrong and what is allowed.
    """

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


@dataclass
class Node:
    """A value of a YAML file with the place where it stands.

    Attributes:
        value: A scalar, a list of nodes, or nodes by key.
        place: `file:line` or `command line`.
    """

    value: Scalar | list[Node] | dict[str, Node]
    place: str

    def plain(self) -> Any:
        """The value as plain Python: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def child(self, part: str | int) -> Node | None:
        """The node under a key or an index, or None."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None


def scalar(text: str) -> Scalar:
    """What a plain scalar means under YAML 1.2."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if _INFINITE.match(text):
        return float(text.replace(".", ""))
    return text


def parse_text(text: str, name: str) -> tuple[Node | None, list[Mistake]]:
    """Parse YAML text.

    Args:
        text: The document.
        name: What stands before the line in places: a file name, or empty for text without lines.

    Returns:
        The tree, None where the text could not be parsed, and every mistake found.
    """
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except RecursionError:
        return None, [Mistake(name, "", "nested too deep")]
    except yaml.MarkedYAMLError as error:
        return None, [_syntax_mistake(error, text, name)]
    except yaml.YAMLError as error:
        return None, [Mistake(name, "", f"not a text file that YAML allows: {' '.join(str(error).split())}")]
    if root is None:
        return None, [Mistake(name, "", "empty file; a spec needs at least `name` and `model`")]
    mistakes: list[Mistake] = []
    return _convert(root, name, (), mistakes), mistakes


def parse_file(path: Path) -> tuple[Node | None, list[Mistake]]:
    """Parse a YAML file that must hold a mapping; what cannot be read is a mistake, never an exception."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None, [Mistake(str(path), "", f"no such file{_nearby(path)}")]
    except UnicodeDecodeError:
        return None, [Mistake(str(path), "", "binary file; expected a YAML spec in UTF-8 text")]
    except OSError as error:
        return None, [Mistake(str(path), "", f"cannot be read: {error.strerror}")]
    node, mistakes = parse_text(text, str(path))
    if node is not None and not isinstance(node.value, dict):
        got = "a list" if isinstance(node.value, list) else f"the text {str(node.value)[:40]!r}"
        return None, [*mistakes, Mistake(node.place, "", f"expected `key: value` lines, found {got}")]
    return node, mistakes


def _nearby(path: Path) -> str:
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    names = sorted(other.name for other in path.parent.iterdir() if other.suffix in {".yaml", ".yml"})
    stems = {Path(name).stem: name for name in names}
    near = get_close_matches(path.stem, stems, n=1)
    if near:
        return f"; did you mean {path.with_name(stems[near[0]])}?"
    return f"; {path.parent}/ has {', '.join(names[:8])}" if names else ""


def _syntax_mistake(error: yaml.MarkedYAMLError, text: str, name: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = text.splitlines()
    content = lines[line] if line < len(lines) else ""
    place = f"{name}:{line + 1}" if name else ""
    if "\t" in content[: len(content) - len(content.lstrip())] or "'\\t'" in str(error.problem):
        return Mistake(place, "", "a tab; YAML indents with spaces only")
    return Mistake(place, "", f"not valid YAML: {error.problem or error.context}")


def _convert(node: yaml.Node, name: str, path: Path_, mistakes: list[Mistake]) -> Node:
    place = f"{name}:{node.start_mark.line + 1}" if name else "command line"
    key = dotted(path)
    if len(path) > _MAX_DEPTH:
        mistakes.append(Mistake(place, key, "nested too deep, or an alias that holds itself"))
        return Node(None, place)
    if node.tag not in _PLAIN_TAGS:
        shown = node.tag.replace("tag:yaml.org,2002:", "!!")
        mistakes.append(Mistake(place, key, f"YAML tag {shown} is not allowed; write the plain value"))
    if isinstance(node, yaml.ScalarNode):
        return Node(scalar(node.value) if node.style is None else node.value, place)
    if isinstance(node, yaml.SequenceNode):
        items = [_convert(item, name, (*path, i), mistakes) for i, item in enumerate(node.value)]
        return Node(items, place)
    assert isinstance(node, yaml.MappingNode)
    return Node(dict(_pairs(node, name, path, mistakes)), place)


def _pairs(
    node: yaml.MappingNode, name: str, path: Path_, mistakes: list[Mistake]
) -> Iterator[tuple[str, Node]]:
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        place = f"{name}:{line}" if name else "command line"
        if not isinstance(key_node, yaml.ScalarNode):
            mistakes.append(Mistake(place, dotted(path), "a key must be plain text"))
            continue
        key = key_node.value
        if key in first:
            where = f"first on line {first[key]}"
            mistakes.append(Mistake(place, dotted((*path, key)), f"duplicate key, {where}"))
            continue
        first[key] = line
        child = _convert(value_node, name, (*path, key), mistakes)
        # A section's place is its key, where an editor's cursor belongs, not its first child.
        yield key, Node(child.value, place)


def dotted(path: Path_) -> str:
    """`("model", "members", 0, "kind")` as `model.members[0].kind`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
