"""Configurations of runs: the spec without its seed. Runs of one configuration are repeats of each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidcls.errors import UserError
from vidcls.evaluate.stored import settings_of
from vidcls.run.folder import Run
from vidcls.spec.fingerprint import fingerprint
from vidcls.user_code.copies import using

_FOLDER = re.compile(r"(?P<fingerprint>[0-9a-f]{12})-s\d+")
_DATA = "data"


@dataclass(frozen=True)
class Configuration:
    """Runs that differ by their seed only.

    Attributes:
        key: Key: the fingerprint, which covers all settings but the seed, and the data.
        label: Short text that tells it from the other configurations.
        runs: Its runs, in the given order.
        seeds: Seed of each run.
    """

    key: str
    label: str
    runs: tuple[Run, ...]
    seeds: tuple[int, ...]


def configuration_key(run: Run) -> str:
    """Key of the configuration of a run; equal for runs that differ by their seed only.

    Raises:
        VidclsError: If the folder was renamed, and the spec or the provenance in it is damaged.
    """
    if (match := _FOLDER.fullmatch(run.folder.name)) is not None:
        return match["fingerprint"]
    with using(run.code_dir):
        return fingerprint(run.spec(), run.provenance()["manifest"]["hash"])


def configurations_of(runs: Sequence[Run]) -> tuple[Configuration, ...]:
    """Configurations of runs, in the order of their first appearance.

    Args:
        runs: Runs in any order; a run that is named twice counts once.

    Raises:
        UserError: If two runs of one configuration have the same seed.
        VidclsError: If a file of a run is damaged, or of another version of vidcls.
    """
    configurations, repeated = grouped(runs)
    if repeated:
        run, other = next(iter(repeated.items()))
        raise UserError(
            f"{other.folder} and {run.folder} are the same configuration with the same seed, so they are one"
            " result and not two",
            hint="name only one of them",
        )
    return configurations


def grouped(runs: Sequence[Run]) -> tuple[tuple[Configuration, ...], dict[Run, Run]]:
    """Configurations of runs, see `configurations_of`, where only the first run of a seed counts.

    Returns:
        Configurations; and each run that does not count, with the run that does.
    """
    members: dict[str, dict[int, Run]] = {}
    repeated: dict[Run, Run] = {}
    for run in _different(runs):
        seed = run.settings(run.provenance())["seed"]
        other = members.setdefault(configuration_key(run), {}).setdefault(seed, run)
        if other is not run:
            repeated[run] = other
    labels = configuration_labels([next(iter(seeds.values())) for seeds in members.values()])
    return tuple(
        Configuration(key, labels[key], tuple(seeds.values()), tuple(seeds)) for key, seeds in members.items()
    ), repeated


def _different(runs: Sequence[Run]) -> list[Run]:
    """The runs, each once, although its folder may be named in two ways."""
    found: dict[Path, Run] = {}
    for run in runs:
        found.setdefault(run.folder.resolve(), run)
    return list(found.values())


def configuration_labels(runs: Sequence[Run]) -> dict[str, str]:
    """Label of each configuration: its name, with the settings in which it differs where others have it.

    Args:
        runs: One run of each configuration.

    Returns:
        Labels by the key of the configuration, all different.

    Raises:
        VidclsError: If a file of a run is damaged, or of another version of vidcls.
    """
    run_of = {configuration_key(run): run for run in runs}
    labels = {key: str(run.settings(run.provenance())["name"]) for key, run in run_of.items()}
    for name in [name for name, number in Counter(labels.values()).items() if number > 1]:
        keys = [key for key, label in labels.items() if label == name]
        points = _points([_settings(run_of[key]) for key in keys])
        labels |= {key: f"{name}: {point}" for key, point in zip(keys, points, strict=True) if point}
    count = Counter(labels.values())
    return {key: label if count[label] == 1 else f"{label} ({key})" for key, label in labels.items()}


def _settings(run: Run) -> dict[str, Any]:
    """Settings that can change the result, except the seed, and the data, which is not a setting."""
    provenance = run.provenance()
    settings = {key: value for key, value in settings_of(run).items() if key != "seed"}
    return settings | {_DATA: (Path(provenance["data_root"]).name, provenance["manifest"]["hash"])}


def _points(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings in which each configuration differs from the others, as text.

    Settings that only some of them have often follow from others, such as from the kind of model. They are
    left out if the others tell all configurations apart; else those with several values are named too.
    """
    names = dict.fromkeys(name for each in settings for name in each)
    varying = [name for name in names if any(each.get(name) != settings[0].get(name) for each in settings)]
    shared = [name for name in varying if all(name in each for each in settings)]
    valued = [name for name in varying if len({str(each[name]) for each in settings if name in each}) > 1]
    for chosen in (shared, valued):
        points = [_text(each, chosen) for each in settings]
        if len(set(points)) == len(points):
            return points
    return [_text(each, varying) for each in settings]


def _text(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    return " ".join(f"{name}={_short(settings[name])}" for name in names if name in settings)


def _short(value: Any) -> Any:
    match value:
        case float():
            return f"{value:.4g}"
        case (str() as root, str() as manifest_hash):
            return f"{root}@{manifest_hash[:6]}"
        case _:
            return value
