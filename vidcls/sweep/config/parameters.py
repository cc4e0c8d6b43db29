"""Reads the section `parameters` of a sweep file into a search space."""

from __future__ import annotations

import json
import math
from typing import Any

from vidcls.spec.yaml import Node, in_short
from vidcls.sweep.config.reading import Reader, shown
from vidcls.sweep.space.distributions import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    IntUniform,
    LogNormal,
    LogUniform,
    Normal,
    Real,
    Shape,
    Uniform,
)

_BOUNDS, _LARGEST_EXPONENT = ("min", "max"), 700.0
_KEYS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": _BOUNDS,
    "uniform": _BOUNDS,
    "q_uniform": (*_BOUNDS, "q"),
    "log_uniform": _BOUNDS,
    "q_log_uniform": (*_BOUNDS, "q"),
    "log_uniform_values": _BOUNDS,
    "q_log_uniform_values": (*_BOUNDS, "q"),
    "inv_log_uniform": _BOUNDS,
    "inv_log_uniform_values": _BOUNDS,
    "normal": ("mu", "sigma"),
    "q_normal": ("mu", "sigma", "q"),
    "log_normal": ("mu", "sigma"),
    "q_log_normal": ("mu", "sigma", "q"),
    "beta": ("a", "b"),
    "q_beta": ("a", "b", "q"),
}
"""Keys of each distribution besides `distribution`; bounds, values and probabilities are required."""
_ALL_KEYS = ("distribution", "parameters", *dict.fromkeys(key for keys in _KEYS.values() for key in keys))
KeyNames = tuple[str, ...]


def read_parameters(reader: Reader, node: Node, *, nested_reason: str = "") -> dict[str, Distribution]:
    """Read the distributions by dotted key, in the order of W&B.

    Args:
        reader: Collects the mistakes.
        node: Node of the section.
        nested_reason: Reason to refuse nested parameters; empty if they are allowed.
    """
    leaves: dict[KeyNames, Node] = {}
    _flatten(reader, node, (), leaves, nested_reason)
    found: dict[KeyNames, Distribution] = {}
    first: dict[str, Node] = {}
    for path, leaf in leaves.items():
        name = ".".join(path)
        if name in first:
            reader.wrong(leaf, f"parameters.{name}", f"given twice; first at {first[name].place}")
            continue
        first[name] = leaf
        if distribution := _Parameter(reader, leaf, f"parameters.{name}").read():
            found[path] = distribution
    for name in first:
        parts = name.split(".")
        for above in (".".join(parts[:k]) for k in range(1, len(parts))):
            if above in first:
                what = f"replaces the section in which {name} is set"
                reader.wrong(first[above], f"parameters.{above}", what)
    return {".".join(path): found[path] for path in sorted(found)}


def _flatten(reader: Reader, node: Node, path: KeyNames, leaves: dict[KeyNames, Node], reason: str) -> None:
    where = ".".join(("parameters", *path))
    if not isinstance(node.value, dict) or not node.value:
        reader.wrong(node, where, f"expected parameters by key, got {shown(node)}")
        return
    for key, child in node.value.items():
        inner = child.child("parameters")
        if inner is None:
            leaves[(*path, key)] = child
            continue
        if reason:
            reader.wrong(child, f"{where}.{key}", reason)
        for other in child.value if isinstance(child.value, dict) else ():
            if other != "parameters":
                reader.wrong(child, f"{where}.{key}.{other}", "has no effect together with `parameters`")
        _flatten(reader, inner, (*path, key), leaves, reason)


class _Parameter:
    """Reads one parameter."""

    def __init__(self, reader: Reader, node: Node, key: str) -> None:
        self._reader = reader
        self._node = node
        self._key = key

    def read(self) -> Distribution | None:
        if not isinstance(self._node.value, dict):
            self._wrong("", f"expected value:, values: or min: and max:, got {shown(self._node)}")
            return None
        num_before = len(self._reader.mistakes)
        kind = self._kind(self._reader.section(self._node, self._key, _ALL_KEYS))
        if kind is None or len(self._reader.mistakes) > num_before:
            return None
        return self._build(kind)

    def _kind(self, given: dict[str, Node]) -> str | None:
        if "distribution" in given:
            key = f"{self._key}.distribution"
            kind = self._reader.choice(given["distribution"], key, tuple(_KEYS))
        else:
            kind = self._implied(given)
        if kind is None:
            return None
        for name in given:
            if name not in {"distribution", *_KEYS[kind]}:
                others = [other for other, keys in _KEYS.items() if name in keys]
                self._wrong(name, f"has no effect with {kind}; it belongs to {', '.join(others[:4])}")
        for name in _KEYS[kind]:
            if name not in given and name in {"value", "values", "probabilities", *_BOUNDS}:
                self._wrong("", f"{kind} needs {name}")
        return kind

    def _implied(self, given: dict[str, Node]) -> str | None:
        if "value" in given:
            return "constant"
        if "values" in given:
            return "categorical_w_probabilities" if "probabilities" in given else "categorical"
        if "min" in given and "max" in given:
            bounds = [given[name].value for name in _BOUNDS]
            whole = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in bounds)
            return "int_uniform" if whole else "uniform"
        needed = {"mu": "normal", "sigma": "normal", "q": "q_uniform", "a": "beta", "b": "beta"}
        guess = next((f"distribution: {needed[name]}" for name in given if name in needed), None)
        self._wrong("", f"needs {guess or 'value, values, or min and max'}")
        return None

    def _build(self, kind: str) -> Distribution | None:
        if kind == "constant":
            value = self._child("value").plain()
            return Constant(value) if self._is_json("value", value) else None
        if kind.startswith("categorical"):
            return self._categorical(weighted=kind != "categorical")
        if kind == "int_uniform":
            return self._int_uniform()
        shape = self._shape(kind)
        q = self._q() if kind.startswith("q_") else None
        if shape is None or (kind.startswith("q_") and q is None):
            return None
        return Real(shape, q)

    def _categorical(self, *, weighted: bool) -> Distribution | None:
        node = self._child("values")
        if not isinstance(node.value, list) or not node.value:
            self._wrong("values", f"expected a list such as [a, b], got {shown(node)}")
            return None
        values = [item.plain() for item in node.value]
        if not self._is_json("values", values):
            return None
        seen: set[str] = set()
        for item, value in zip(node.value, values, strict=True):
            text = _canonical(value)
            if text in seen:
                self._reader.wrong(item, f"{self._key}.values", f"{in_short(text)} is given twice")
                return None
            seen.add(text)
        if not weighted:
            return Categorical(tuple(values))
        shares = self._probabilities(len(values))
        return Categorical(tuple(values), shares) if shares else None

    def _is_json(self, name: str, value: Any) -> bool:
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            self._wrong(name, "expected finite numbers")
            return False
        return True

    def _probabilities(self, num_values: int) -> tuple[float, ...] | None:
        key = f"{self._key}.probabilities"
        node = self._child("probabilities")
        items = node.value if isinstance(node.value, list) else []
        if len(items) != num_values:
            what = f"expected {num_values} numbers, one for each value, got {shown(node)}"
            self._reader.wrong(node, key, what)
            return None
        found = [self._reader.number(item, key) for item in items]
        shares = tuple(share for share in found if share is not None)
        if len(shares) < num_values:
            return None
        if min(shares) < 0 or not math.isclose(sum(shares), 1.0, rel_tol=1e-5):
            text = f"expected numbers of at least 0 with the sum 1, got the sum {sum(shares):g}"
            self._reader.wrong(node, key, text)
            return None
        return shares

    def _int_uniform(self) -> Distribution | None:
        bounds = self._numbers(*_BOUNDS)
        if bounds is None or not self._ascending(*bounds):
            return None
        for name, bound in zip(_BOUNDS, bounds, strict=True):
            if not isinstance(bound, int):
                self._wrong(name, f"int_uniform needs whole numbers, got {bound}")
                return None
        return IntUniform(int(bounds[0]), int(bounds[1]))

    def _shape(self, kind: str) -> Shape | None:
        family = kind.removeprefix("q_")
        if family in {"normal", "log_normal"}:
            pair = self._numbers("mu", "sigma", mu=0.0, sigma=1.0)
            if pair is None or not self._positive(sigma=pair[1]):
                return None
            return Normal(*pair) if family == "normal" else LogNormal(*pair)
        if family == "beta":
            pair = self._numbers("a", "b", a=1.0, b=1.0)
            return Beta(*pair) if pair and self._positive(a=pair[0], b=pair[1]) else None
        pair = self._numbers(*_BOUNDS)
        if pair is None or not self._ascending(*pair):
            return None
        if family == "uniform":
            return Uniform(*pair)
        if family.endswith("_values"):
            return LogUniform(*pair) if self._positive(min=pair[0]) else None
        if max(map(abs, pair)) > _LARGEST_EXPONENT:
            why = f"{kind} takes exponents of e, and e to this power is not a finite number"
            self._wrong("max", f"{why}; use log_uniform_values")
            return None
        low, high = pair if family == "log_uniform" else (-pair[1], -pair[0])
        shape = LogUniform(math.exp(low), math.exp(high))
        return None if self._could_be_values(kind, *pair, shape=shape) else shape

    def _could_be_values(self, kind: str, low: float, high: float, *, shape: LogUniform) -> bool:
        """Refuse bounds that W&B reads as exponents but that the user probably meant as values."""
        # Exponents of 1 / x are above 0 for all x below 1, so there only small exponents are suspicious.
        is_odd = low >= 0 and high <= 1 if kind.startswith("inv") else low > 0 or (low == 0 and high <= 1)
        if is_odd:
            other = f"{kind.removeprefix('inv_')}_values"
            values = f"min: {low:g}, max: {high:g}" if low > 0 else "min (above 0) and max"
            drawn = f"from {shape.low:.4g} to {shape.high:.4g}"
            self._wrong(
                "",
                f"{kind} takes exponents of e: this draws values {drawn}. For values from {low:g} to {high:g}"
                f" write distribution: {other}, {values}; for values {drawn} write distribution: {other}, "
                f"min: {shape.low:.6g}, max: {shape.high:.6g}",
            )
        return is_odd

    def _q(self) -> float | None:
        found = self._numbers("q", "q", q=1)
        return found[0] if found and self._positive(q=found[0]) else None

    def _numbers(self, first: str, second: str, **defaults: float) -> tuple[float, float] | None:
        values = []
        for name in (first, second):
            node = self._node.child(name)
            values.append(defaults[name] if node is None else self._reader.number(node, self._path(name)))
        low, high = values
        return None if low is None or high is None else (low, high)

    def _ascending(self, low: float, high: float) -> bool:
        if low < high:
            return True
        hint = "; for a single value, write value:" if low == high else ""
        self._wrong("min", f"must be below max, got {low} and {high}{hint}")
        return False

    def _positive(self, **numbers: float) -> bool:
        bad = [name for name, number in numbers.items() if number <= 0]
        for name in bad:
            self._wrong(name, f"must be above 0, got {numbers[name]}")
        return not bad

    def _child(self, name: str) -> Node:
        child = self._node.child(name)
        assert child is not None
        return child

    def _path(self, name: str) -> str:
        return f"{self._key}.{name}" if name else self._key

    def _wrong(self, name: str, message: str) -> None:
        node = self._node.child(name) if name else None
        self._reader.wrong(node or self._node, self._path(name), message)


def _canonical(value: Any) -> str:
    """Same text for values that mean the same setting: 1 and 1.0, but not true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)
