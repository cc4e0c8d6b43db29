"""Parses YAML files into trees that store the position of each value.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so `3e-4` is a
number and `on` is text; `None` also counts as null, because Python programs write it. Tags and duplicate keys
are refused, and so is content that no spec needs and that could exhaust memory: large files, devices, values
multiplied by aliases, deep nesting, numbers with many digits.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vidcls.errors import did_you_mean
from vidcls.spec.scalars import Scalar, has_surrogate, is_long_number, scalar

COMMAND_LINE = "command line"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_INDEX = re.compile(r"[0-9]{1,6}")
MAX_DEPTH = 32
_MAX_BYTES = 2**18
_MAX_VALUES = 50_000
_MAX_SHOWN = 60  # characters of foreign text in a message
_MAX_MESSAGE = 400

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One mistake in a request, in one line.

    Attributes:
        place: Position: `file:line`, a file, or `command line`.
        key: Dotted path of the setting; empty if the mistake concerns no setting.
        message: Description of the mistake and the allowed values.
    """

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        message = in_short(self.message, _MAX_MESSAGE)
        return ": ".join(part for part in (self.place, in_short(self.key), message) if part)


@dataclass
class Node:
    """Value of a YAML file with its position.

    Attributes:
        value: Scalar, list of nodes, or nodes by key.
        place: Position: `file:line` or `command line`.
    """

    value: Scalar | list[Node] | dict[str, Node]
    place: str

    def plain(self) -> Any:
        """Value as plain Python: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def child(self, part: str | int) -> Node | None:
        """Node under a key or an index, or None."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None

    def step(self, part: str) -> str | int:
        """Part of a dotted key for this node: an index if the node is a list, otherwise a key."""
        return int(part) if isinstance(self.value, list) and _INDEX.fullmatch(part) else part


def in_short(text: str, longest: int = _MAX_SHOWN) -> str:
    """Foreign text for a message: in one line, and shortened in its middle if it is long."""
    if len(text) > longest:
        text = f"{text[: longest - 20]}...{text[-15:]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def parse_text(text: str, name: str) -> tuple[Node | None, list[Mistake]]:
    """Parse YAML text.

    Args:
        text: YAML document.
        name: File name, which precedes the line in positions.

    Returns:
        Tree (None if the text could not be parsed), and all mistakes.
    """
    root = _compose(text, name)
    if isinstance(root, Mistake):
        return None, [root]
    if root is None:
        return None, [Mistake(name, "", "empty file; a spec needs at least `name` and `model`")]
    converter = _Converter(name)
    try:
        return converter.convert(root, ()), converter.mistakes
    except _TooManyError as error:
        return None, [Mistake(name, "", str(error))]


def parse_value(text: str, *, items_are_text: bool = False) -> Node | str:
    """Parse a list or a mapping in YAML's flow style, such as `[a, b]`, from the command line.

    Args:
        text: Text that begins with a bracket.
        items_are_text: Treat plain scalars as text, even `2024` and `true`.

    Returns:
        Value, or a text about what is wrong.
    """
    root = _compose(text, "")
    if not isinstance(root, yaml.Node):
        return root.message if root else "cannot be read"
    if rest := text[root.end_mark.index :].strip():
        return f"nothing may follow the closing bracket, found {in_short(repr(rest))}"
    converter = _Converter("", plain_is_text=items_are_text)
    try:
        node = converter.convert(root, ())
    except _TooManyError as error:
        return str(error)
    return converter.mistakes[0].message if converter.mistakes else node


def parse_file(path: Path) -> tuple[Node | None, list[Mistake]]:
    """Parse a YAML file that must contain a mapping; an unreadable file is a mistake, never an exception."""
    try:
        text = _read(path)
    except FileNotFoundError:
        return None, [Mistake(str(path), "", f"no such file{_nearby(path)}")]
    except UnicodeDecodeError:
        return None, [Mistake(str(path), "", "binary file; expected a YAML spec in UTF-8 text")]
    except OSError as error:
        return None, [Mistake(in_short(str(path)), "", f"cannot be read: {error.strerror}")]
    except ValueError as error:
        return None, [Mistake(in_short(str(path)), "", str(error))]
    node, mistakes = parse_text(text, str(path))
    if node is not None and not isinstance(node.value, dict):
        got = "a list" if isinstance(node.value, list) else f"the text {str(node.value)[:40]!r}"
        return None, [*mistakes, Mistake(node.place, "", f"expected `key: value` lines, found {got}")]
    return node, mistakes


def _read(path: Path) -> str:
    if "\0" in str(path):
        raise ValueError("a path cannot contain a NUL character")
    mode = path.stat().st_mode
    # Checked first: opening a pipe without a writer blocks, and a device may never end.
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{'a folder' if stat.S_ISDIR(mode) else 'a device or a pipe'}; expected a YAML file"
        )
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES // 1024} KB; expected a YAML file written by hand")
    return content.decode("utf-8-sig")


def _compose(text: str, name: str) -> yaml.Node | Mistake | None:
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except RecursionError:
        return Mistake(name, "", "nested too deeply")
    except yaml.MarkedYAMLError as error:
        return _syntax_mistake(error, text, name)
    except yaml.YAMLError as error:
        return Mistake(name, "", f"not a text file that YAML allows: {' '.join(str(error).split())}")
    except (
        ValueError,
        OverflowError,
    ):  # raised by PyYAML for a code point or a version that Python cannot convert
        return Mistake(
            name, "", "not valid YAML: an escape such as \\U or a %YAML line with a number too large"
        )


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    names = sorted(other.name for other in path.parent.iterdir() if other.suffix in {".yaml", ".yml"})
    stems = {Path(name).stem: name for name in names}
    if meant := did_you_mean(path.stem, stems, shown=lambda stem: str(path.with_name(stems[stem]))):
        return f"; {meant}"
    return f"; {path.parent}/ has {', '.join(names[:8])}" if names else ""


def _syntax_mistake(error: yaml.MarkedYAMLError, text: str, name: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = text.splitlines()
    content = lines[line] if line < len(lines) else ""
    place = f"{name}:{line + 1}" if name else ""
    if "\t" in content[: len(content) - len(content.lstrip())] or "'\\t'" in str(error.problem):
        return Mistake(place, "", "a tab; YAML indents with spaces only")
    return Mistake(place, "", f"not valid YAML: {in_short(str(error.problem or error.context))}")


class _TooManyError(Exception):
    """The file has more values than should be in memory; the values read so far are useless."""


class _Converter:
    """Converts nodes of PyYAML, and collects mistakes.

    Args:
        name: Name of the file; empty for the command line.
        plain_is_text: Whether a scalar without quotes is always text.
    """

    def __init__(self, name: str, *, plain_is_text: bool = False) -> None:
        self.mistakes: list[Mistake] = []
        self._name = name
        self._plain_is_text = plain_is_text
        self._num_values = 0

    def convert(self, node: yaml.Node, path: KeyPath) -> Node:
        """Convert the tree below a node; an alias repeats the value of its anchor."""
        place = self._place(node)
        self._num_values += 1
        if self._num_values > _MAX_VALUES:
            raise _TooManyError(
                f"more than {_MAX_VALUES:,} values, where an alias counts as all values that it repeats"
            )
        if len(path) > MAX_DEPTH:
            self._wrong(place, path, "nested too deeply, or an alias that contains itself")
            return Node(None, place)
        if node.tag not in _PLAIN_TAGS:
            shown = in_short(node.tag.replace("tag:yaml.org,2002:", "!!"))
            self._wrong(place, path, f"YAML tag {shown} is not allowed; write the plain value")
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, place, path), place)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.convert(item, (*path, i)) for i, item in enumerate(node.value)], place)
        assert isinstance(node, yaml.MappingNode)
        return Node(dict(self._pairs(node, path)), place)

    def _scalar(self, node: yaml.ScalarNode, place: str, path: KeyPath) -> Scalar:
        text: str = node.value
        if has_surrogate(text):
            self._wrong(place, path, "a character that is not allowed in UTF-8")
            return None
        if node.style is not None or self._plain_is_text:
            return text
        if is_long_number(text):
            self._wrong(place, path, f"a number of {len(text):,} digits; put it in quotes if it is text")
            return None
        return scalar(text)

    def _pairs(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Node]]:
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(place, path, "a key must be plain text")
                continue
            key = key_node.value
            if has_surrogate(key):
                self._wrong(place, path, "a key with a character that is not allowed in UTF-8")
                continue
            if key in first:
                self._wrong(place, (*path, key), f"duplicate key, first on line {first[key]}")
                continue
            first[key] = key_node.start_mark.line + 1
            child = self.convert(value_node, (*path, key))
            # The position of a section is its key, not its first child, as expected in an editor.
            yield key, Node(child.value, place)

    def _place(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}" if self._name else COMMAND_LINE

    def _wrong(self, place: str, path: KeyPath, message: str) -> None:
        self.mistakes.append(Mistake(place, dotted(path), message))


def dotted(path: KeyPath) -> str:
    """Format a path: `("model", "members", 0, "kind")` becomes `model.members[0].kind`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
