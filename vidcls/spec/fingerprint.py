"""Fingerprint of an experiment: it depends on everything that changes the result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vidcls.spec.base import CODE, NOT_IDENTITY
from vidcls.spec.experiment import Spec
from vidcls.user_code.find import find_code

_LENGTH = 12


def identity(section: BaseModel) -> dict[str, Any]:
    """Settings of a section that change the result, as requested (`auto` stays `auto`).

    Code of the user stands for its target.

    Raises:
        UserError: If a target is not found.
    """
    settings: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(NOT_IDENTITY):
            continue
        value = getattr(section, name)
        is_code = _is_code(field) and value is not None
        settings[name] = find_code(value).identity if is_code else _plain(value)
    return settings


def targets_in(section: BaseModel) -> Iterator[str]:
    """Targets in a section and the sections inside of it: the code of the user that it needs."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if _is_code(field) and value is not None:
            yield value
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                yield from targets_in(inner)


def _is_code(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(CODE))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def fingerprint(spec: Spec, manifest_hash: str) -> str:
    """Twelve hexadecimal digits that identify a configuration on its data; the seed is not included."""
    content = {"spec": identity(spec), "manifest": manifest_hash}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
