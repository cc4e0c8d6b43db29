"""Attributes that a data set of the user may have: `classes`, `labels`, `groups` and `ids`.

classes   names of the classes, in the order of the labels; else the names are the numbers
labels    label of each item; else each item is read once for its label
groups    source of each item, such as the film that it was cut from; None where it is not known
ids       name of each item, unique over all splits; else `train/0`, `train/1`, ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vidcls.errors import UserError


def classes_of(dataset: Any, where: str) -> tuple[str, ...] | None:
    """Names of the classes; None if the data set does not name them.

    Args:
        dataset: Data set of the user.
        where: Name of it for messages.

    Raises:
        UserError: If they are no different texts.
    """
    found = _listed(dataset, "classes", where)
    if found is None:
        return None
    if not all(isinstance(name, str) and name for name in found):
        raise UserError(f"{where}.classes: expected names, got {found!r:.80}", hint="write a list of texts")
    if len(set(found)) != len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise UserError(f"{where}.classes: {twice!r} occurs twice")
    return tuple(found)


def each_of(dataset: Any, name: str, where: str, *, read: Callable[[Any], Any]) -> list[Any] | None:
    """Attribute with a value for each item, read by `read`; None if the data set does not have it.

    Raises:
        UserError: If it is no list of the length of the data set.
    """
    found = _listed(dataset, name, where)
    if found is None:
        return None
    if len(found) != len(dataset):
        raise UserError(
            f"{where}.{name}: has {len(found)} values for {len(dataset)} items", hint="give one for each item"
        )
    return [read(value) for value in found]


def _listed(dataset: Any, name: str, where: str) -> list[Any] | None:
    found = getattr(dataset, name, None)
    if found is None:
        return None
    if hasattr(found, "tolist"):  # an array, a tensor, a column of pandas
        found = found.tolist()
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise UserError(f"{where}.{name}: expected a list, got {type(found).__name__}")
    return list(found)
