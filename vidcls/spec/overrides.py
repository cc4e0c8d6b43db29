"""Settings from the command line: `optim.lr=3e-4`.

If a setting takes text, everything after the `=` is that text: brackets, quotes, ` #` and blanks belong to
it, and `2024` and `true` are text too. Only `null` and `None` mean no value, if that is allowed. Any other
value follows YAML 1.2, with lists and mappings as `[a, b]` and `{key: value}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidcls.spec.keys import annotation_at, holds_text, is_optional, is_text
from vidcls.spec.scalars import has_surrogate, is_long_number, scalar
from vidcls.spec.yaml import COMMAND_LINE, MAX_DEPTH, KeyPath, Mistake, Node, dotted, in_short, parse_value

_OVERRIDE = re.compile(r"(?P<key>[A-Za-z_]\w*(?:\.\w+)*)=(?P<value>.*)", re.DOTALL)
_NOTHING = ("null", "Null", "NULL", "None", "~")


def override(tree: Node, texts: Sequence[str]) -> list[Mistake]:
    """Apply overrides to a tree.

    Args:
        tree: Tree of a spec; it is changed.
        texts: `key=value` texts with dotted keys.

    Returns:
        Mistakes in the overrides.
    """
    mistakes: list[Mistake] = []
    settings: list[tuple[list[str], str]] = []
    for text in texts:
        match = _OVERRIDE.fullmatch(text)
        if match is None:
            shown = f"{in_short(repr(text))} is not an override"
            mistakes.append(Mistake(COMMAND_LINE, "", f"{shown}; write key=value, such as optim.lr=3e-4"))
        elif match["key"].count(".") >= MAX_DEPTH:
            mistakes.append(Mistake(COMMAND_LINE, match["key"], "unknown key; no setting has so many parts"))
        else:
            settings.append((match["key"].split("."), match["value"]))
    # A changed kind replaces its section, so it is applied first: the other overrides are for the new one.
    for keys, value in sorted(settings, key=lambda item: (item[0][-1] != "kind", len(item[0]))):
        mistakes += _override(tree, keys, value)
    return mistakes


def _override(tree: Node, keys: list[str], text: str) -> list[Mistake]:
    node = tree
    path: KeyPath = ()
    for key in keys[:-1]:
        path = (*path, node.step(key))
        child = node.child(path[-1])
        if child is None and isinstance(node.value, dict):
            child = node.value[key] = Node({}, COMMAND_LINE)
        if child is None or not isinstance(child.value, dict | list):
            where = ".".join(keys[: len(path)])
            return [
                Mistake(COMMAND_LINE, ".".join(keys), f"{in_short(where)} is a single setting, not a section")
            ]
        node = child
    leaf = node.step(keys[-1])
    value = _read(text, (*path, leaf), tree)
    if isinstance(value, str):
        return [Mistake(COMMAND_LINE, ".".join(keys), value)]
    if isinstance(node.value, list):
        if not isinstance(leaf, int) or leaf >= len(node.value):
            return [Mistake(COMMAND_LINE, ".".join(keys), f"the list has items 0 to {len(node.value) - 1}")]
        node.value[leaf] = value
    elif isinstance(node.value, dict):
        old = node.value.get("kind")
        if leaf == "kind" and (old is None or old.value != value.value):
            node.value.clear()
        node.value[str(leaf)] = value
    return []


def _read(text: str, path: KeyPath, tree: Node) -> Node | str:
    """Value of a text for the setting at a path, or a text about what is wrong."""
    annotation = annotation_at(path, tree)
    if has_surrogate(text):
        return f"{in_short(repr(text))} is not UTF-8 text"
    if not text or (not text.strip() and not is_text(annotation)):
        key = dotted(path)
        return f"no value; write {key}=VALUE{f', or {key}=null for none' if is_optional(annotation) else ''}"
    if is_text(annotation):
        return Node(None if is_optional(annotation) and text in _NOTHING else text, COMMAND_LINE)
    text = text.strip()
    if text.startswith(("[", "{")):
        value = parse_value(text, items_are_text=holds_text(annotation))
        return f"{in_short(repr(text))}: {value}" if isinstance(value, str) else value
    if is_long_number(text):
        return f"a number of {len(text):,} digits is too large"
    return Node(scalar(text), COMMAND_LINE)
