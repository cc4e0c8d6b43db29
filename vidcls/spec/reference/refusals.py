"""Why the checks of a section refuse a setting, read from the source of the checks.

A check raises `ValueError("key: reason")`, where the key is relative to its section, or it checks the single
field that its decorator names. Values that are only known when the check runs become `…`.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel

from vidcls.spec.base import Section

Refusals = Mapping[str, tuple[str, ...]]
"""Reasons by dotted key, relative to a section."""
_Words = Mapping[str, str]
_UNKNOWN = "…"


@cache
def refusals(section: type[BaseModel]) -> Refusals:
    """Reasons for which the checks of a section and of its base classes refuse a setting."""
    found: dict[str, list[str]] = defaultdict(list)
    for base in reversed(section.__mro__):
        if issubclass(base, Section) and base is not Section:
            for key, reason in _of_class(base):
                found[key].append(reason)
    return {key: tuple(reasons) for key, reasons in found.items()}


def _of_class(section: type[Section]) -> Iterator[tuple[str, str]]:
    module = ast.parse(inspect.getsource(sys.modules[section.__module__]))
    known = _assigned(module)
    for definition in module.body:
        if not (isinstance(definition, ast.ClassDef) and definition.name == section.__name__):
            continue
        for check in definition.body:
            if isinstance(check, ast.FunctionDef):
                field = _field_of(check)
                for message in _messages(check.body, known | _assigned(check), {}):
                    yield (field, message) if field else _split(message)


def _split(message: str) -> tuple[str, str]:
    key, _, reason = message.partition(": ")
    return key, reason


def _field_of(check: ast.FunctionDef) -> str | None:
    """Field that the decorator of a check names, or None for a check of the whole section."""
    for decorator in check.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name(id="field_validator"), args=[ast.Constant(value=str(field)), *_]):
                return field
    return None


def _assigned(scope: ast.Module | ast.FunctionDef) -> dict[str, ast.expr]:
    """Values that are assigned to a name in a module or a function."""
    found: dict[str, ast.expr] = {}
    for statement in scope.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
    return found


def _messages(statements: list[ast.stmt], known: Mapping[str, ast.expr], words: _Words) -> Iterator[str]:
    """Messages of all errors that the statements can raise; a loop gives one for each of its values."""
    for statement in statements:
        match statement:
            case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError"), args=[message])):
                yield _text(message, words)
            case ast.For(target=target, iter=values, body=body):
                for value in _elements(values, known):
                    yield from _messages(body, known, {**words, **_bound(target, value, known)})
            case ast.If(body=body, orelse=orelse):
                yield from _messages(body, known, words)
                yield from _messages(orelse, known, words)


def _text(message: ast.expr, words: _Words) -> str:
    match message:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, words) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return words.get(name, _UNKNOWN)
        case _:
            return _UNKNOWN


def _elements(values: ast.expr, known: Mapping[str, ast.expr]) -> list[ast.expr]:
    """Elements over which a loop runs, as far as the source shows them."""
    match values:
        case ast.Tuple(elts=elements):
            return elements
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="items")):
            mapping = known.get(name)
            assert isinstance(mapping, ast.Dict), name
            keys = [key for key in mapping.keys if key is not None]
            return [ast.Tuple([key, value]) for key, value in zip(keys, mapping.values, strict=True)]
        case _:
            raise AssertionError(ast.unparse(values))


def _bound(target: ast.expr, value: ast.expr, known: Mapping[str, ast.expr]) -> dict[str, str]:
    """Texts that a loop gives to its variables in one turn."""
    match target, value:
        case ast.Name(id=name), ast.Constant(value=str(text)):
            return {name: text}
        case ast.Name(id=name), ast.Name(id=other) if other in known:
            return {name: _text(known[other], {})}
        case ast.Tuple(elts=names), ast.Tuple(elts=values):
            return {key: text for pair in zip(names, values, strict=True)
                    for key, text in _bound(*pair, known).items()}  # fmt: skip
        case _:
            return {}
