"""Finds and reads profiles, and reports their mistakes by file and line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vidcls.batch_systems import BATCH_SYSTEMS
from vidcls.errors import UserError, VidclsError, did_you_mean, reason_of
from vidcls.installed import shipped_folder
from vidcls.launch.local import LocalProfile
from vidcls.launch.profile import Gpus, Notify, Profile
from vidcls.launch.queue import AnyProfile, queue_here
from vidcls.spec.explain import SpecError, explain, place_of, shown, split_key
from vidcls.spec.yaml import Mistake, Node, dotted, parse_file

_SECTIONS: dict[str, type[AnyProfile]] = {
    get_args(section.model_fields["queue"].annotation)[0]: section for section in get_args(AnyProfile)
}
"""Sections by the value of `queue` that selects them."""
_NO_QUEUE = "this machine has no queue"


def find_profile(name: str | None = None) -> AnyProfile:
    """Find a profile by name or path; without either, the profile of the queue of this machine.

    Names are searched in `slurm/` of the working folder, then among the profiles of the package.

    Raises:
        UserError: If no profile, or more than one, matches.
        SpecError: If the file has mistakes.
    """
    known = _known()
    if name is not None:
        path = Path(name)
        if name in known or path.suffix in {".yaml", ".yml"} or path.is_file():
            return load_profile(known.get(name, path))
        meant = did_you_mean(name, known)
        raise UserError(
            f"no profile {name}", hint=f"{meant and f'{meant} '}profiles: {', '.join(known)}; or name a file"
        )
    queue = queue_here()
    if queue == "local":
        return LocalProfile()
    fitting = [name for name, path in known.items() if _queue_of(path) == queue]
    if len(fitting) != 1:
        what = f"profiles {', '.join(fitting)}" if fitting else "no profile"
        hint = f"name a profile, such as --cluster {fitting[0] if fitting else 'slurm/mine.yaml'}"
        submit = BATCH_SYSTEMS[queue].submit
        raise UserError(f"this machine has {submit}, and slurm/ has {what} for it", hint=hint)
    return load_profile(known[fitting[0]])


def _known() -> dict[str, Path]:
    """Profiles by name; a profile of the working folder replaces a shipped one of the same name."""
    found: dict[str, Path] = {}
    for folder in (Path("slurm"), shipped_folder("slurm")):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _queue_of(path: Path) -> object:
    tree, _ = parse_file(path)
    named = tree.child("queue") if tree else None
    return named.value if named else None


def load_profile(path: Path) -> AnyProfile:
    """Read a profile.

    Raises:
        SpecError: If there are mistakes; it lists each with file, line and key.
    """
    tree, mistakes = parse_file(path)
    if tree is None:
        raise SpecError(mistakes)
    named = tree.child("queue")
    section = _SECTIONS.get(str(named.value)) if named else None
    if section is None:
        got = f"unknown queue {shown(named.plain())}" if named else "required, but not set"
        place = named.place if named else tree.place
        raise SpecError([*mistakes, Mistake(place, "queue", f"{got}; allowed: {', '.join(_SECTIONS)}")])
    try:
        profile = section.model_validate_json(json.dumps(tree.plain()))
    except ValidationError as error:
        found = [_explain(dict(row), tree, section) for row in error.errors(include_url=False)]
        raise SpecError(mistakes + found) from None
    if mistakes:
        raise SpecError(mistakes)
    return profile


def profile_of(record: Mapping[str, Any]) -> AnyProfile:
    """Rebuild a profile that was stored as plain values.

    Raises:
        VidclsError: If the values are not a valid profile.
    """
    try:
        return _SECTIONS[record["queue"]].model_validate_json(json.dumps(record))
    except (KeyError, TypeError, ValidationError) as error:
        raise VidclsError(f"the stored profile of a job is damaged: {reason_of(error)}") from error


def _explain(row: dict[str, Any], tree: Node, section: type[Profile]) -> Mistake:
    path: tuple[str | int, ...] = row["loc"]
    message = explain(row, path, unknown_key=lambda: _unknown(path, section))
    if row["type"] == "value_error" and not path:
        path, message = split_key(path, message)
    return Mistake(place_of(path, tree), dotted(path), message)


def _unknown(path: tuple[str | int, ...], section: type[Profile]) -> str:
    *parents, leaf = map(str, path)
    if not parents and leaf in section.absent:
        return f"has no effect here: {section.absent[leaf]}"
    owners = [kind for kind, other in _SECTIONS.items() if leaf in other.model_fields]
    if not parents and owners:
        reason = _NO_QUEUE if section is LocalProfile else f"it belongs to queue: {' or '.join(owners)}"
        return f"has no effect here: {reason}"
    inner: dict[str, type[BaseModel]] = {"gpus": Gpus, "notify": Notify}
    fields = (inner[parents[0]] if parents else section).model_fields
    meant = did_you_mean(leaf, fields) or f"allowed: {', '.join(fields)}"
    return f"unknown key; {meant}"
