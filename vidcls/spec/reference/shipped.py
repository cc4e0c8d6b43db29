"""Values that the shipped experiments and sweeps give to a setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vidcls.installed import shipped_folder
from vidcls.spec.reference.value_types import shown_value
from vidcls.spec.yaml import parse_file


@dataclass(frozen=True)
class ShippedValue:
    """Value of a setting in one shipped file.

    Attributes:
        file: File, such as `experiments/cnn3d.yaml`.
        value: Value as it is written there; of a sweep, all values that it searches.
    """

    file: str
    value: str


def shipped_values(key: str) -> tuple[ShippedValue, ...]:
    """Values of a setting in all shipped files that set it, by file.

    Args:
        key: Dotted key without numbers of items, such as `optim.lr`.
    """
    found: list[ShippedValue] = []
    for folder, values_in in (("experiments", _of_experiment), ("sweeps", _of_sweep)):
        for path in sorted(shipped_folder(folder).glob("*.yaml")):
            tree, _ = parse_file(path)
            values = dict.fromkeys(values_in(tree.plain() if tree else {}, key))
            if values:
                found.append(ShippedValue(f"{folder}/{path.name}", "; ".join(values)))
    return tuple(found)


def _of_experiment(content: dict[str, Any], key: str) -> Iterator[str]:
    return map(shown_value, _at(content, key.split(".")))


def _of_sweep(content: dict[str, Any], key: str) -> Iterator[str]:
    for name, parameter in content.get("parameters", {}).items():
        if key == name:
            yield _searched(parameter)
        elif key.startswith(f"{name}."):  # a whole section is searched
            inner = key.removeprefix(f"{name}.").split(".")
            yield from map(shown_value, _at(parameter.get("values", parameter.get("value")), inner))


def _at(value: Any, names: list[str]) -> Iterator[Any]:
    """Values under a key; items of lists are looked into, since they have no names."""
    if not names:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _at(item, names)
    elif isinstance(value, dict) and names[0] in value:
        yield from _at(value[names[0]], names[1:])


def _searched(parameter: dict[str, Any]) -> str:
    match parameter:
        case {"value": value}:
            return shown_value(value)
        case {"values": values}:
            return "one of " + ", ".join(map(shown_value, values))
        case _:
            return ", ".join(f"{name}: {shown_value(value)}" for name, value in parameter.items())
