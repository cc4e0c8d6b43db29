"""Reads all JSON files of state: a file either matches its schema or is reported as damaged."""

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
"""Text that may contain file names with bytes that are not UTF-8, which a plain `str` does not accept."""
JsonPath = Annotated[JsonText, AfterValidator(expand_home)]
"""Path of a file or folder."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class DamagedError(VidclsError):
    """Damaged file: truncated, corrupted, or of another version of vidcls."""


def read_json(path: Path, shape: TypeAdapter[T], *, hint: str) -> T:
    """Read the value of a JSON file.

    Args:
        path: Path of the file.
        shape: Schema of the value.
        hint: Advice if the file is damaged.

    Raises:
        DamagedError: If the value does not match the schema, or the file is a folder or unreadable.
        FileNotFoundError: If the file does not exist.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    return parse_json(content, shape, name=str(path), hint=hint)


def parse_json(content: bytes, shape: TypeAdapter[T], *, name: str, hint: str) -> T:
    """Parse a JSON text that was read from the file `name`; see `read_json`."""
    try:
        # Pydantic's own parser does not accept file names whose bytes are not UTF-8.
        value = json.loads(content)
    except RecursionError:
        raise _damaged(name, "nested too deeply", hint) from None
    except ValueError as error:
        raise _damaged(name, reason_of(error), hint) from error
    return checked(value, shape, name=name, hint=hint)


def checked(value: Any, shape: TypeAdapter[T], *, name: str, hint: str) -> T:
    """Validate a value of the file `name` with its schema.

    Raises:
        DamagedError: If the value does not match the schema.
    """
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        raise _damaged(name, _reason(error), hint) from error


def json_object(content: bytes) -> dict[str, Any] | None:
    """Object in a JSON text, None if there is none; used for lines and for caches."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _damaged(name: str, reason: str, hint: str) -> DamagedError:
    return DamagedError(f"{name}: damaged: {printable(reason)[:_LONGEST]}", hint=hint)


def _reason(error: ValidationError) -> str:
    """Text about the first mistake: its position, and what was expected there."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(map(str, first["loc"]))
    more = f", and {len(others)} more" if others else ""
    return f"{place}: {first['msg']}{more}" if place else first["msg"]
