"""Class names: their ids, their order, and names that are missing or too similar."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from vidcls.data.listing.listing import ListedVideo, Problem

# Text that programs write for a missing value; `none` is not included, since it may be a class.
_NO_LABEL = frozenset({"nan", "nat", "n/a", "#n/a", "<na>"})
_NO_GROUP = _NO_LABEL | {"none", "null", "na"}


def label_problem(label: str, *, where: str) -> Problem | None:
    """Problem if `label`, written in a table at `where`, is not a class name."""
    if not label:
        return Problem("label", f"{where}: no label")
    if label.casefold() in _NO_LABEL:
        return Problem(
            "label",
            f"{where}: label {label!r} usually stands for a missing value; write the class, or change the "
            "spelling if this is its name",
        )
    return None


def group_problem(group: str, *, where: str) -> Problem | None:
    """Problem if `group` stands for a missing value, since all such rows would form one group."""
    if group.casefold() in _NO_GROUP:
        return Problem(
            "table",
            f"{where}: group {group!r} usually stands for a missing value; leave the cell empty if the "
            "group is not known",
        )
    return None


class ClassIds:
    """Class names with their ids from a table; the first row with a name or an id counts."""

    def __init__(self) -> None:
        self._id_of: dict[str, tuple[int, str]] = {}
        self._name_of: dict[int, tuple[str, str]] = {}

    def add(self, name: str, number: str, *, where: str) -> Problem | None:
        """Add class `name` with id `number` from the row at `where`; a problem if the row cannot be used."""
        if not name:
            return Problem("label", f"{where}: no class name")
        if (problem := label_problem(name, where=where)) is not None:
            return problem
        if not re.fullmatch(r"[0-9]{1,9}", number):
            return Problem(
                "label", f"{where}: label id {number!r} of class {name} is not a whole number of at least 0"
            )
        known_id, id_where = self._id_of.get(name, (int(number), where))
        known_name, name_where = self._name_of.get(int(number), (name, where))
        if known_id != int(number):
            return Problem(
                "label", f"{where}: class {name} has id {number} here and {known_id} in {id_where}"
            )
        if known_name != name:
            return Problem(
                "label", f"{where}: id {number} is class {name} here, {known_name} in {name_where}"
            )
        self._id_of[name] = int(number), id_where
        self._name_of[int(number)] = name, name_where
        return None

    def name_of(self, number: int) -> str | None:
        """Class with this id; None if there is none."""
        return self._name_of[number][0] if number in self._name_of else None

    def __contains__(self, name: str) -> bool:
        """Whether a class has this name."""
        return name in self._id_of

    def ids(self) -> tuple[int, ...]:
        """All ids, sorted."""
        return tuple(sorted(self._name_of))

    def ordered(self) -> tuple[str, ...]:
        """Class names in the order of their ids, which need neither start at 0 nor be dense."""
        return tuple(self._name_of[number][0] for number in self.ids())


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class order without ids from a table: by name, or by number if all names are numbers."""
    distinct = set(names)
    if all(re.fullmatch(r"[0-9]+", name) for name in distinct):
        # Digits are compared as text: a name may be too long for Python to convert to a number.
        return tuple(sorted(distinct, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name)))
    return tuple(sorted(distinct))


def alike_labels(classes: Iterable[str], entries: Iterable[ListedVideo]) -> Iterator[Problem]:
    """Warnings for class names that differ only in case, blanks or Unicode form."""
    where: dict[str, str] = {}
    for entry in entries:
        where.setdefault(entry.label, entry.where)
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[_plain(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = " and ".join(f"{name!a} ({where.get(name, 'no video')})" for name in names)
            yield Problem(
                "alike_labels",
                f"{shown} are {len(names)} classes that differ only in case, blanks or Unicode form; "
                "if they are one class, write only one name",
            )


def _plain(name: str) -> str:
    visible = "".join(
        char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf"
    )
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).replace("_", " ").split())
