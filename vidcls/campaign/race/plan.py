"""Plans a race: its experiments are loaded and checked, and frozen as a sweep, whose workers run it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcls.data.manifest import load_manifest
from vidcls.errors import UserError
from vidcls.launch.queue import AnyProfile
from vidcls.spec.explain import SpecError
from vidcls.spec.fingerprint import fingerprint, targets_in
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.spec.show import to_yaml, yaml_text
from vidcls.spec.yaml import Mistake
from vidcls.statistics.looks import looks_up_to
from vidcls.sweep.config.check import final_mistakes, relative_paths
from vidcls.sweep.config.file import Metric, SweepFile
from vidcls.sweep.fit import DEFAULT_TASKS, fit
from vidcls.sweep.plan import LaunchPlan, portable
from vidcls.sweep.space.distributions import Categorical
from vidcls.sweep.space.space import Space
from vidcls.sweep.storage.folder import CONTENDER, SweepFolder, SweepOptions
from vidcls.user_code.code import UserCode
from vidcls.user_code.find import find_code

_SETTINGS = ("train.keep_last=true",)
"""The last epoch is compared: the best epoch was chosen on the val videos that the race scores."""


@dataclass(frozen=True)
class RacePlan:
    """Checked plan of a race.

    Attributes:
        launch: Plan of its launch as a sweep.
        loaded: Experiments by name, in the order in which they were given.
    """

    launch: LaunchPlan
    loaded: Mapping[str, LoadedSpec]


def plan_race(
    files: Sequence[Path],
    overrides: Sequence[str],
    *,
    options: SweepOptions,
    max_seeds: int,
    profile: AnyProfile,
    num_workers: int | None,
) -> RacePlan:
    """Check the experiments of a race and plan its launch. The data is not read.

    Args:
        files: Spec files, two or more.
        overrides: `key=value` texts for all of them.
        options: Options of a sweep that also hold for a race; its looks are added.
        max_seeds: Largest number of seeds of a contender, 2 or more.
        profile: Resources of one task.
        num_workers: Number of tasks; None for as many as are useful.

    Raises:
        SpecError: If specs have mistakes; it lists those of all specs.
        UserError: If the experiments cannot race, or for a request that cannot fit.
    """
    if len(files) < 2:
        raise UserError(
            f"a race needs two spec files or more, got {', '.join(map(str, files)) or 'none'}",
            hint="for example vidcls race experiments/late_fusion.yaml experiments/cnn3d.yaml",
        )
    loaded = _load(files, overrides)
    _refuse_twins(loaded)
    first, *others = (one.spec for one in loaded.values())
    for name, spec in zip(list(loaded)[1:], others, strict=True):
        if spec.seed != first.seed:
            raise UserError(
                f"the seeds of {name} would start at {spec.seed}, those of {next(iter(loaded))} at "
                f"{first.seed}",
                hint="add seed=0 after the specs",
            )
    options = options.model_copy(update={"looks": tuple(look.num_seeds for look in looks_up_to(max_seeds))})
    sweep = _sweep_file(list(loaded), seeds=range(first.seed, first.seed + max_seeds))
    contenders = {name: portable(one.spec, group=sweep.name) for name, one in loaded.items()}
    codes = _codes(loaded)
    identity = [*map(to_yaml, contenders.values()), *(f"{code.target} {code.identity}" for code in codes)]
    runs_dir = Path(first.runs_dir).absolute()
    folder = SweepFolder.at(runs_dir, sweep.slug, text=sweep.text, base="\n".join(identity), options=options)
    # Until the first look there are no more trials than this.
    useful = min(DEFAULT_TASKS, len(loaded) * options.looks[0])
    fitted = fit(
        sweep,
        experiments=list(contenders.values()),
        options=options,
        folder=folder,
        profile=profile,
        num_workers=num_workers if profile.num_gpus is None else num_workers or useful,
    )
    base = next(iter(contenders.values()))
    return RacePlan(LaunchPlan(sweep, base, options, folder, codes, fitted, contenders), loaded)


def refuse_other_data(plan: RacePlan) -> None:
    """Refuse experiments that cannot be compared on the same val videos. This reads their data.

    Raises:
        UserError: If they read different data, or its val split cannot tell them apart.
    """
    manifests = {
        name: load_manifest(one.spec.data, cache_dir=Path(one.spec.store_dir))
        for name, one in plan.loaded.items()
    }
    (first, manifest), *others = manifests.items()
    for name, other in others:
        if other.hash != manifest.hash:
            raise UserError(
                f"{name} reads other data than {first}: {other.root} and {manifest.root} differ in videos, "
                "labels, splits or groups",
                hint="add data.root=FOLDER after the specs to give the same data to all of them",
            )
    groups = {video.group or video.id for video in manifest.split("val")}
    if len(groups) < 2:
        raise UserError(
            f"{manifest.root}: {len(groups)} groups of val videos; a race needs 2 or more, better 10",
            hint=f"vidcls data split {manifest.root} makes a val split from more groups",
        )


def _load(files: Sequence[Path], overrides: Sequence[str]) -> dict[str, LoadedSpec]:
    """Load all specs, or report the mistakes in all of them at once."""
    loaded: dict[str, LoadedSpec] = {}
    mistakes: list[Mistake] = []
    for file in files:
        try:
            one = load_spec(file, (*overrides, *_SETTINGS))
        except SpecError as error:
            mistakes += error.mistakes
            continue
        mistakes += [*relative_paths(one), *final_mistakes(one)]
        loaded[_name(file, taken=loaded)] = one
    if mistakes:
        raise SpecError(list(dict.fromkeys(mistakes)))
    return loaded


def _name(file: Path, *, taken: Mapping[str, LoadedSpec]) -> str:
    """Name of a contender: that of its file, safe for a folder and different from the others."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip(".-") or "spec"
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _refuse_twins(loaded: Mapping[str, LoadedSpec]) -> None:
    """Refuse the same configuration twice: its two sets of runs would be the same runs."""
    seen: dict[str, LoadedSpec] = {}
    for one in loaded.values():
        key = fingerprint(one.spec, "")
        if key in seen:
            raise UserError(
                f"{seen[key].path} and {one.path} are the same configuration: nothing that changes the "
                "result differs",
                hint="leave one of them out",
            )
        seen[key] = one


def _codes(loaded: Mapping[str, LoadedSpec]) -> tuple[UserCode, ...]:
    targets = {target for one in loaded.values() for target in targets_in(one.spec)}
    return tuple(find_code(target) for target in sorted(targets))


def _sweep_file(names: Sequence[str], *, seeds: Sequence[int]) -> SweepFile:
    """The race as a sweep file: the grid of contenders and seeds, of which only a part may be trained."""
    name = f"race-{'-'.join(names)}"[:60]
    spec_path = SweepFolder(Path()).contender_file(names[0])
    content = {
        "name": name,
        "method": "grid",
        "metric": {"name": "val/top1", "goal": "maximize"},
        "parameters": {CONTENDER: {"values": list(names)}, "seed": {"values": list(seeds)}},
        "command": ["vidcls", "train", str(spec_path), "${args}"],
    }
    text = f"# Written by vidcls race; parameter {CONTENDER}: file in specs/.\n{yaml_text(content)}"
    return SweepFile(
        name=name,
        method="grid",
        metric=Metric("val/top1", "maximize"),
        space=Space({"seed": Categorical(tuple(seeds)), CONTENDER: Categorical(tuple(names))}),
        early_terminate=None,
        run_cap=None,
        spec_path=spec_path,
        overrides=(),
        data_file=None,
        project=None,
        entity=None,
        description=None,
        path=Path("sweep.yaml"),
        text=text,
        places={},
    )
