"""Files and overrides in, one validated spec out; or every mistake at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vidcls.errors import UserError
from vidcls.spec.experiment import Spec
from vidcls.spec.explain import SpecError, validate
from vidcls.spec.yaml import Mistake, Node, dotted, parse_file, parse_text

COMMAND_LINE = "command line"
_KEY = re.compile(r"[a-z]+(?:\.\w+)+")
_OVERRIDE = re.compile(r"(?P<key>[A-Za-z_]\w*(?:\.\w+)*)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class LoadedSpec:
    """A spec with the places that its settings came from, for later messages.

    Attributes:
        spec: The validated spec.
        path: The file that was asked for.
        tree: What the file, its parent and the overrides said together.
    """

    spec: Spec
    path: Path
    tree: Node

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Give the place of a setting to an error that begins with its key.

        For what is found wrong only once the data or the model is known, by code that sees no files.
        """
        try:
            yield
        except UserError as error:
            key, separator, _ = error.message.partition(": ")
            if not separator or not _KEY.fullmatch(key):
                raise
            raise UserError(f"{self._place(key)}: {error.message}", hint=error.hint) from error

    def _place(self, key: str) -> str:
        node = self.tree
        for part in key.split("."):
            node = node.child(int(part) if part.isdigit() else part) or node
        return node.place


def load_spec(path: Path, overrides: Sequence[str] = (), *, data_file: Path | None = None) -> LoadedSpec:
    """Read a spec file with its parent, swap its data section, apply overrides, validate.

    Args:
        path: The YAML file.
        overrides: `key=value` texts with dotted keys; values follow YAML 1.2.
        data_file: A YAML file whose `data` section replaces the spec's.

    Raises:
        SpecError: Naming every mistake by file, line and key.
    """
    tree, mistakes = _read_with_parent(path)
    if tree is None:
        raise SpecError(mistakes)
    if data_file is not None:
        mistakes += _swap_data(tree, data_file)
    parsed = [_parse_override(text) for text in overrides]
    mistakes += [item for item in parsed if isinstance(item, Mistake)]
    settings = [item for item in parsed if not isinstance(item, Mistake)]
    # A changed kind replaces its section, so it goes first: the other overrides are meant for the new one.
    for keys, node in sorted(settings, key=lambda item: (item[0][-1] != "kind", len(item[0]))):
        mistakes += _override(tree, keys, node)
    spec, found = validate(tree)
    mistakes += found
    if spec is None or mistakes:
        raise SpecError(sorted(mistakes, key=_by_place))
    return LoadedSpec(spec, path, tree)


def _by_place(mistake: Mistake) -> tuple[str, int]:
    file, _, line = mistake.place.rpartition(":")
    return (file, int(line)) if line.isdigit() else (mistake.place, 0)


def _read_with_parent(path: Path) -> tuple[Node | None, list[Mistake]]:
    tree, mistakes = parse_file(path)
    if tree is None or not isinstance(tree.value, dict) or "extends" not in tree.value:
        return tree, mistakes
    extends = tree.value.pop("extends")
    if not isinstance(extends.value, str):
        wrong = Mistake(extends.place, "extends", "expected the path of one YAML file, relative to this one")
        return tree, [*mistakes, wrong]
    parent_path = path.parent / extends.value
    parent, more = parse_file(parent_path)
    if parent is None:
        reasons = "; ".join(mistake.message for mistake in more)
        return tree, [*mistakes, Mistake(extends.place, "extends", f"{parent_path}: {reasons}")]
    if further := parent.child("extends"):
        message = f"the parent {parent_path} extends a file itself; one level is allowed"
        more.append(Mistake(extends.place, "extends", f"{message} ({further.place})"))
    return _merge(parent, tree), mistakes + more


def _merge(below: Node, above: Node) -> Node:
    """Settings of `above` win; sections merge by key, but another `kind` starts its section anew."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    old, new = below.value.get("kind"), above.value.get("kind")
    if new is not None and (old is None or old.value != new.value):
        return above
    merged = dict(below.value)
    for key, child in above.value.items():
        merged[key] = _merge(merged[key], child) if key in merged else child
    return Node(merged, above.place)


def _swap_data(tree: Node, data_file: Path) -> list[Mistake]:
    other, mistakes = parse_file(data_file)
    if other is None:
        return mistakes
    assert isinstance(tree.value, dict)
    assert isinstance(other.value, dict)
    for key, node in other.value.items():
        if key != "data":
            mistakes.append(Mistake(node.place, key, "a file for --data holds one section, `data:`"))
    if "data" not in other.value:
        mistakes.append(Mistake(str(data_file), "data", "missing; a file for --data holds that section"))
    else:
        tree.value["data"] = other.value["data"]
    return mistakes


def _parse_override(text: str) -> tuple[list[str], Node] | Mistake:
    match = _OVERRIDE.fullmatch(text)
    if match is None:
        return Mistake(COMMAND_LINE, "", f"{text!r} is no override; write key=value, such as optim.lr=3e-4")
    key, value = match["key"], match["value"]
    if not value.strip():
        return Mistake(COMMAND_LINE, key, f"no value; write {key}=VALUE, or {key}=null for none")
    node, mistakes = parse_text(value, "")
    if node is None or mistakes:
        reason = mistakes[0].message if mistakes else "cannot be read"
        return Mistake(COMMAND_LINE, key, f"{value!r}: {reason}")
    return key.split("."), node


def _override(tree: Node, keys: list[str], value: Node) -> list[Mistake]:
    node = tree
    for depth, key in enumerate(keys[:-1]):
        child = node.child(int(key) if key.isdigit() and isinstance(node.value, list) else key)
        if child is None and isinstance(node.value, dict):
            child = node.value[key] = Node({}, COMMAND_LINE)
        if child is None or not isinstance(child.value, dict | list):
            where = dotted(tuple(keys[: depth + 1]))
            return [Mistake(COMMAND_LINE, ".".join(keys), f"{where} holds no settings of its own")]
        node = child
    leaf = keys[-1]
    if isinstance(node.value, list):
        if not leaf.isdigit() or int(leaf) >= len(node.value):
            return [Mistake(COMMAND_LINE, ".".join(keys), f"the list has items 0 to {len(node.value) - 1}")]
        node.value[int(leaf)] = value
    elif isinstance(node.value, dict):
        old = node.value.get("kind")
        if leaf == "kind" and (old is None or old.value != value.value):
            node.value.clear()
        node.value[leaf] = value
    return []
