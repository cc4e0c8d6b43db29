"""Text forms of a spec: resolved YAML, differences, and the JSON schema for completion in editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from vidcls.spec.base import CODE, NOT_IDENTITY
from vidcls.spec.experiment import Spec
from vidcls.spec.scalars import scalar


def plain(section: BaseModel) -> dict[str, Any]:
    """Section as plain Python values for JSON."""
    return section.model_dump(mode="json")


class _Dumper(yaml.SafeDumper):
    """Dumper with block mappings, flow lists of scalars, and numbers that YAML 1.2 and PyYAML both read."""


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict | list) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    # PyYAML only quotes text that YAML 1.1 misreads; `1e3` and `0o7` are numbers only under YAML 1.2.
    is_other = not isinstance(scalar(value), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if is_other else None)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)


def yaml_text(value: Any) -> str:
    """Plain Python values as YAML."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def to_yaml(spec: Spec) -> str:
    """Complete spec as YAML with every default written out; it reads back to the same spec."""
    return yaml_text(plain(spec))


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as `{"optim.lr": 0.001}`; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that differ between two plain specs: `(key, value in a, value in b)`, None if missing."""
    flat_a, flat_b = flatten(a), flatten(b)
    keys = [*flat_a, *(key for key in flat_b if key not in flat_a)]
    return [(k, flat_a.get(k), flat_b.get(k)) for k in keys if flat_a.get(k) != flat_b.get(k)]


def schema_text() -> str:
    """JSON schema of a spec file (draft 2020-12), with `extends`."""
    schema = Spec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Path of one parent file, relative to this one; its settings are used if this file "
        "does not set them.",
    }
    # A file that extends another may omit any setting.
    schema.pop("required", None)
    _no_identity_marks(schema)
    return json.dumps(schema, indent=1) + "\n"


def _no_identity_marks(value: Any) -> None:
    if isinstance(value, dict):
        value.pop(NOT_IDENTITY, None)
        value.pop(CODE, None)
        for item in value.values():
            _no_identity_marks(item)
    elif isinstance(value, list):
        for item in value:
            _no_identity_marks(item)
