"""JSON files of state, read in one place: each is of the shape that was written, or named as damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, InstanceOf, TypeAdapter, ValidationError

from vidcls.errors import VidclsError, reason_of
from vidcls.files import expand_home
from vidcls.text import printable

T = TypeVar("T")
_LONGEST = 200
JsonText = InstanceOf[str]
"""A text that may name files, whose bytes need not be UTF-8; a plain `str` of a shape may not."""
JsonPath = Annotated[JsonText, AfterValidator(expand_home)]
"""The path of a file or folder."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class DamagedError(VidclsError):
    """A file that is not what was once written: cut off, mixed up, or of another version of vidcls."""


def read_json(path: Path, shape: TypeAdapter[T], *, hint: str) -> T:
    """The value of a JSON file.

    Args:
        path: The file.
        shape: What it holds.
        hint: What to do where it is damaged.

    Raises:
        DamagedError: If it is not of this shape, or is a folder or unreadable.
        FileNotFoundError: If there is none.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    return parse_json(content, shape, name=str(path), hint=hint)


def parse_json(content: bytes, shape: TypeAdapter[T], *, name: str, hint: str) -> T:
    """The value of a JSON text that was read from the file `name`; see `read_json`."""
    try:
        # Not by pydantic's own parser, which knows no names of files whose bytes are no UTF-8.
        value = json.loads(content)
    except RecursionError:
        raise _damaged(name, "nested too deep", hint) from None
    except ValueError as error:
        raise _damaged(name, reason_of(error), hint) from error
    return checked(value, shape, name=name, hint=hint)


def checked(value: Any, shape: TypeAdapter[T], *, name: str, hint: str) -> T:
    """A value of the file `name` in its shape.

    Raises:
        DamagedError: If it is not of this shape.
    """
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        raise _damaged(name, _reason(error), hint) from error


def json_object(content: bytes) -> dict[str, Any] | None:
    """The object that a JSON text holds, None where it holds none: for lines, and for caches."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _damaged(name: str, reason: str, hint: str) -> DamagedError:
    return DamagedError(f"{name}: damaged: {printable(reason)[:_LONGEST]}", hint=hint)


def _reason(error: ValidationError) -> str:
    """The first mistake: where it is, and what was expected there."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(map(str, first["loc"]))
    more = f", and {len(others)} more" if others else ""
    return f"{place}: {first['msg']}{more}" if place else first["msg"]
