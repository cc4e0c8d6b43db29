"""Fingerprint of an experiment: it depends on everything that changes the result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from vidcls.spec.base import NOT_IDENTITY
from vidcls.spec.experiment import Spec

_LENGTH = 12


def identity(section: BaseModel) -> dict[str, Any]:
    """Settings of a section that change the result, as requested (`auto` stays `auto`)."""
    settings: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(NOT_IDENTITY):
            continue
        settings[name] = _plain(getattr(section, name))
    return settings


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
