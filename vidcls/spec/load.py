"""Loads files and overrides as one validated spec, or reports all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidcls.errors import UserError
from vidcls.files import expand_home
from vidcls.spec.experiment import Spec
from vidcls.spec.explain import SpecError, validate
from vidcls.spec.overrides import override
from vidcls.spec.show import yaml_text
from vidcls.spec.yaml import Mistake, Node, in_short, parse_file, parse_text

_CONTENT = "spec"
_KEY = re.compile(r"[a-z]+(?:\.\w+)+")


@dataclass(frozen=True)
class LoadedSpec:
    """Spec with the positions of its settings, for later messages.

    Attributes:
        spec: Validated spec.
        path: Requested file.
        tree: Merged settings of the file, its parent and the overrides.
    """

    spec: Spec
    path: Path
    tree: Node

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Add the position of a setting to an error that begins with its key.

        It is used for mistakes that are found only with the data or the model, by code without the files.
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
            node = node.child(node.step(part)) or node
        return node.place


def load_spec(path: Path, overrides: Sequence[str] = (), *, data_file: Path | None = None) -> LoadedSpec:
    """Read a spec file with its parent, replace its data section, apply overrides, and validate.

    Args:
        path: YAML file.
        overrides: `key=value` texts with dotted keys, see `vidcls.spec.overrides`.
        data_file: YAML file whose `data` section replaces that of the spec.

    Raises:
        SpecError: If there are mistakes; it lists each with file, line and key.
    """
    tree, mistakes = _read_with_parent(path)
    if tree is not None and data_file is not None:
        mistakes += _swap_data(tree, data_file)
    return _validated(path, tree, mistakes, overrides)


def load_content(content: Mapping[str, Any], overrides: Sequence[str] = ()) -> LoadedSpec:
    """Validate a spec that is given as a mapping, as from a notebook; see `load_spec`.

    Raises:
        SpecError: If there are mistakes; it lists each with its key.
    """
    tree, mistakes = parse_text(yaml_text(dict(content)), _CONTENT)
    return _validated(Path(_CONTENT), tree, mistakes, overrides)


def _validated(
    path: Path, tree: Node | None, mistakes: list[Mistake], overrides: Sequence[str]
) -> LoadedSpec:
    if tree is None:
        raise SpecError(mistakes)
    mistakes += override(tree, overrides)
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
    try:
        parent_path = path.parent / expand_home(extends.value)
    except ValueError as error:
        return tree, [*mistakes, Mistake(extends.place, "extends", str(error))]
    parent, more = parse_file(parent_path)
    if parent is None:
        reasons = "; ".join(mistake.message for mistake in more)
        return tree, [
            *mistakes,
            Mistake(extends.place, "extends", f"{in_short(str(parent_path), 200)}: {reasons}"),
        ]
    if further := parent.child("extends"):
        message = f"the parent {parent_path} also has `extends`; only one level is allowed"
        more.append(Mistake(extends.place, "extends", f"{message} ({further.place})"))
    return _merge(parent, tree), mistakes + more


def _merge(below: Node, above: Node) -> Node:
    """Merge two trees: `above` wins; sections merge by key, but another `kind` replaces its section."""
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
            mistakes.append(Mistake(node.place, key, "a file for --data must have only the section `data:`"))
    if "data" not in other.value:
        mistakes.append(Mistake(str(data_file), "data", "missing; a file for --data must have this section"))
    else:
        tree.value["data"] = other.value["data"]
    return mistakes
