"""Every key of a spec: its type, default, description, and what refuses it, for each kind of its section."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from vidcls.errors import UserError, did_you_mean
from vidcls.spec.experiment import Spec
from vidcls.spec.keys import all_keys, kind_of, sections_in
from vidcls.spec.reference.refusals import Refusals, refusals
from vidcls.spec.reference.value_types import choices, shown_value, type_in_words

_INDEX = re.compile(r"\[\d*\]|\.\d+(?=\.|$)")
_KIND = "Chooses what the section is, and with it the other keys that it has."


@dataclass(frozen=True)
class Setting:
    """One key of a spec.

    Attributes:
        key: Dotted key, such as `optim.lr`.
        kinds: Kinds of its section that have this key in this form; empty if all have.
        type: Type in words; `section` for a key that holds keys.
        choices: Allowed values, as they are written in a file, if there are only a few.
        default: Default, as it is written in a file; None if the key must be set.
        description: What it does, one paragraph a line.
        refusals: Reasons for which it is refused; `…` stands for a value.
    """

    key: str
    kinds: tuple[str, ...]
    type: str
    choices: tuple[str, ...]
    default: str | None
    description: str
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class SectionReference:
    """One section of a spec, or the whole spec.

    Attributes:
        key: Dotted key; empty for the whole spec.
        description: What the section is for.
        settings: Its keys; one that differs between kinds is there once for each form.
    """

    key: str
    description: str
    settings: tuple[Setting, ...]

    def named(self, name: str) -> tuple[Setting, ...]:
        """All forms of the key with this name."""
        key = _dotted(self.key, name)
        return tuple(setting for setting in self.settings if setting.key == key)


@dataclass(frozen=True)
class _Level:
    """Section classes that are possible under a key, and what the sections around them refuse there."""

    key: str
    classes: tuple[type[BaseModel], ...]
    refused: Refusals

    def below(self, name: str) -> _Level | None:
        """Level under one of its keys; None if that key is no section."""
        classes: dict[type[BaseModel], Any] = {}
        refused = _under(name, self.refused)
        for section in self.classes:
            if field := section.model_fields.get(name):
                classes |= dict.fromkeys(sections_in(field.annotation))
                refused |= _under(name, refusals(section))
        return _Level(_dotted(self.key, name), tuple(classes), refused) if classes else None


def section_reference(key: str = "") -> SectionReference | None:
    """Section of a spec by its dotted key; None if the key is no section.

    Args:
        key: Such as `train` or `model.rgb`; empty for the whole spec.
    """
    level = _Level("", (Spec,), {})
    for name in _names(key):
        below = level.below(name)
        if below is None:
            return None
        level = below
    return SectionReference(level.key, _describe(level.classes), tuple(_settings(level)))


def find_setting(key: str) -> tuple[Setting, ...]:
    """All forms of a setting by its dotted key.

    Args:
        key: Such as `optim.lr` or `model.members[0].dropout`; the number of an item does not matter.

    Raises:
        UserError: If there is no such key; the message names the nearest one.
    """
    *around, name = _names(key) or [key]
    section = section_reference(".".join(around))
    if section is not None and (found := section.named(name)):
        return found
    raise UserError(
        f"{key}: unknown key" + (f"; {meant}" if (meant := _meant(key)) else ""),
        hint="vidcls explain lists the sections, vidcls explain SECTION its keys",
    )


def _meant(key: str) -> str:
    known = sorted({*all_keys(), *(name for each in all_keys() for name in _sections_of(each))})
    leaf = key.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == leaf and "." in other]
    if same:
        return f"did you mean {' or '.join(sorted(same, key=len)[:3])}?"
    return did_you_mean(key, known)


def _sections_of(key: str) -> Iterator[str]:
    while key := key.rpartition(".")[0]:
        yield key


def _names(key: str) -> list[str]:
    return [name for name in _INDEX.sub("", key).split(".") if name]


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _under(name: str, refused: Refusals) -> dict[str, tuple[str, ...]]:
    start = f"{name}."
    return {key.removeprefix(start): why for key, why in refused.items() if key.startswith(start)}


def _settings(level: _Level) -> Iterator[Setting]:
    forms: dict[Setting, list[str]] = {}
    for section in level.classes:
        own = refusals(section)
        for name, schema in _properties(section).items():
            reasons = (*own.get(name, ()), *level.refused.get(name, ()))
            default = section.model_fields[name].get_default(call_default_factory=True, validated_data=None)
            setting = _setting(level, name, schema, default=default, reasons=reasons)
            forms.setdefault(setting, []).append(str(kind_of(section)))
    kinds = {kind for found in forms.values() for kind in found}
    order = {key: i for i, key in enumerate(dict.fromkeys(setting.key for setting in forms))}
    if any(kind_of(section) for section in level.classes):
        yield _kind_setting(level)
    for setting, found in sorted(forms.items(), key=lambda form: order[form[0].key]):
        yield replace(setting, kinds=() if len(found) == len(kinds) else tuple(found))


def _setting(
    level: _Level, name: str, schema: dict[str, Any], *, default: Any, reasons: tuple[str, ...]
) -> Setting:
    inner = level.below(name)
    return Setting(
        key=_dotted(level.key, name),
        kinds=(),
        type=type_in_words(schema),
        choices=tuple(map(shown_value, choices(schema))),
        default=None if default is PydanticUndefined else _shown_default(default),
        description=" ".join(schema.get("description", "").split())
        or _describe(inner.classes if inner else ()),
        refusals=reasons,
    )


def _shown_default(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "{}"
    return shown_value(list(default) if isinstance(default, tuple) else default)


def _kind_setting(level: _Level) -> Setting:
    kinds = [str(kind_of(section)) for section in level.classes]
    schemas = [_schema(section)["properties"]["kind"] for section in level.classes]
    default = next((schema["default"] for schema in schemas if "default" in schema), None)
    each = [f"`{kind}`: {_summary(section)}" for kind, section in zip(kinds, level.classes, strict=True)]
    return Setting(
        key=_dotted(level.key, "kind"),
        kinds=(),
        type=" or ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1]))),
        choices=tuple(kinds),
        default=default,
        description="\n".join((_KIND, *each)),
        refusals=level.refused.get("kind", ()),
    )


def _describe(sections: tuple[type[BaseModel], ...]) -> str:
    if len(sections) == 1:
        return _summary(sections[0])
    return f"One of the kinds {', '.join(str(kind_of(section)) for section in sections)}." if sections else ""


def _summary(section: type[BaseModel]) -> str:
    first, *_ = inspect.cleandoc(section.__doc__ or "").split("\n\n")
    return " ".join(first.split())


def _properties(section: type[BaseModel]) -> dict[str, dict[str, Any]]:
    return {name: schema for name, schema in _schema(section)["properties"].items() if name != "kind"}


@cache
def _schema(section: type[BaseModel]) -> dict[str, Any]:
    schema = section.model_json_schema()
    # The schema of a section that can contain itself is a reference.
    own: dict[str, Any] = schema["$defs"][section.__name__] if "properties" not in schema else schema
    return own
