"""Valid keys of a spec, and suggestions for mistyped keys."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from vidcls.errors import did_you_mean
from vidcls.spec.experiment import Spec
from vidcls.spec.yaml import Node, dotted


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Section classes that an annotation allows, inside of unions, tuples and `Annotated`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, str):
        return []
    arguments = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [section for argument in arguments for section in sections_in(argument)]


def kind_of(section: type[BaseModel]) -> str | None:
    """Value of `kind` that selects a section, or None for a section without `kind`."""
    field = section.model_fields.get("kind")
    return str(get_args(field.annotation)[0]) if field else None


def sections_at(path: tuple[str | int, ...], tree: Node) -> list[type[BaseModel]]:
    """Section classes that are possible at a path; the one selected by `kind` is first."""
    sections: list[type[BaseModel]] = [Spec]
    node: Node | None = tree
    for part in path:
        node = node.child(part) if node else None
        if isinstance(part, int):
            continue  # the items of a list have the sections of the list
        field = sections[0].model_fields.get(part) if sections else None
        if field is None:
            return []
        # The annotation of the field is a union of sections, or a tuple of them.
        sections = sections_in(field.annotation)
        if not isinstance(node.value if node else None, list):
            sections = _selected_first(sections, node)
    return _selected_first(sections, node)


def annotation_at(path: tuple[str | int, ...], tree: Node) -> Any:
    """Type of the setting at a path; for an item, that of its list or mapping; None for an unknown key."""
    *parents, leaf = path
    sections = sections_at(tuple(parents), tree)
    if sections and isinstance(leaf, str):
        field = sections[0].model_fields.get(leaf)
        return field.annotation if field else None
    container = annotation_at(tuple(parents), tree) if parents else None
    items = [item for kind in _alternatives(container) for item in get_args(kind)[-2:] if item is not ...]
    return items[-1] if items else None


def is_text(annotation: Any) -> bool:
    """Whether a setting takes any text, and otherwise only null."""
    return {str} == {kind for kind in _alternatives(annotation) if kind is not NoneType}


def holds_text(annotation: Any) -> bool:
    """Whether a setting is a list of texts, or a mapping to texts."""
    items = [get_args(kind) for kind in _alternatives(annotation) if get_origin(kind) in (tuple, dict)]
    return bool(items) and all(is_text(item) for item in items[0] if item is not ...)


def is_optional(annotation: Any) -> bool:
    """Whether a setting may be null."""
    return NoneType in _alternatives(annotation)


def _alternatives(annotation: Any) -> list[Any]:
    """Types in a union, without the metadata of `Annotated`."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for argument in get_args(annotation) for kind in _alternatives(argument)]
    return [annotation]


def _selected_first(sections: list[type[BaseModel]], node: Node | None) -> list[type[BaseModel]]:
    kind_node = node.child("kind") if node else None
    kind = kind_node.value if kind_node else None
    return sorted(sections, key=lambda section: kind_of(section) != kind) if kind else sections


def all_keys(section: type[BaseModel] = Spec, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a spec, over all kinds, without items of lists."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = [] if get_origin(field.annotation) is tuple else sections_in(field.annotation)
        if not inner:
            yield key
        for candidate in inner:
            yield from all_keys(candidate, f"{key}.")


def explain_unknown(path: tuple[str | int, ...], tree: Node) -> str:
    """Message for an unknown key with a suggestion and the allowed keys."""
    *parent, leaf = path
    name = str(leaf)
    sections = sections_at(tuple(parent), tree)
    if not sections:
        return "unknown key"
    selected, others = sections[0], sections[1:]
    kinds = [str(kind_of(other)) for other in others if name in other.model_fields]
    if kinds:
        inside = sorted({dotted((*parent, key)) for key in all_keys(selected) if key.endswith(f".{name}")})
        its_place = f"set {' or '.join(inside)}" if inside else f"it belongs to kind: {' or '.join(kinds)}"
        return f"has no effect for kind: {kind_of(selected)}; {its_place}"
    known = list(selected.model_fields)
    if meant := did_you_mean(name, known, shown=lambda key: dotted((*parent, key))):
        return f"unknown key; {meant}"
    elsewhere = sorted({key for key in all_keys() if key.rsplit(".", 1)[-1] == name})
    if elsewhere:
        return f"unknown key in this section; did you mean {' or '.join(elsewhere)}?"
    return f"unknown key; allowed: {', '.join(known)}"
