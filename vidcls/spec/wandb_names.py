"""Checks names by the rules of the Weights & Biases client, which refuses others at the start of a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

_MAX_PROJECT, _MAX_TAG = 128, 64
_FORBIDDEN = "/\\#?%:"
"""Characters that the client forbids in a project, which is part of a URL, like the entity."""


def project_mistake(name: str) -> str:
    """Reason why W&B would refuse the name of a project; empty if it would not."""
    if len(name) > _MAX_PROJECT:
        return f"W&B allows at most {_MAX_PROJECT} characters, got {len(name)}"
    return _in_an_address(name)


def entity_mistake(name: str) -> str:
    """Reason why W&B would refuse the name of an entity (a user or a team); empty if it would not."""
    if "/" in name:
        return f"expected only the name of a W&B user or team, got {name!r}; set `project` for the project"
    return _in_an_address(name) or ("W&B allows no blanks in it" if any(map(str.isspace, name)) else "")


def _in_an_address(name: str) -> str:
    bad = sorted(set(name) & set(_FORBIDDEN))
    if bad:
        return f"W&B allows none of {' '.join(_FORBIDDEN)}, got {' '.join(bad)} in {name!r}"
    if name != name.strip() or not name.isprintable():
        return f"W&B allows no blanks at the ends and no invisible characters, got {name!r}"
    return ""


def _project(name: str) -> str:
    return _refused(name, project_mistake(name))


def _entity(name: str) -> str:
    return _refused(name, entity_mistake(name))


def _refused(name: str, mistake: str) -> str:
    if mistake:
        raise ValueError(mistake)
    return name


Project = Annotated[str, Field(min_length=1), AfterValidator(_project)]
Entity = Annotated[str, Field(min_length=1), AfterValidator(_entity)]
Tag = Annotated[str, Field(min_length=1, max_length=_MAX_TAG)]
