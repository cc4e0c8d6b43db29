"""Meaning of a scalar without quotes: https://yaml.org/spec/1.2.2/#103-core-schema."""

from __future__ import annotations

import re

_NULL = re.compile(r"(?:null|Null|NULL|None|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS = 100

Scalar = str | int | float | bool | None


def scalar(text: str) -> Scalar:
    """Value of a plain scalar under YAML 1.2. A whole number of more than 100 digits stays text."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if is_long_number(text):
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def is_long_number(text: str) -> bool:
    """Whether a plain scalar is a whole number that is too long for any setting."""
    return len(text) > _MAX_DIGITS and bool(_INT.fullmatch(text) or _BASED.fullmatch(text))


def has_surrogate(text: str) -> bool:
    """Whether a text contains half of a surrogate pair, or command line bytes that are not UTF-8."""
    return any("\ud800" <= char <= "\udfff" for char in text)
