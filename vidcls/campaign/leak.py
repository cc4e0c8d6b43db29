"""Measures how a leaking split inflates accuracy: one spec is trained on it and on group-disjoint splits.

Both arms have the same number of train and val videos of each class, all from train and val of the data: the
sealed test split is not used. The leaky arm is the data's own split if that leaks, otherwise videos drawn at
random without regard to groups. Each seed trains a pair and draws its own group-disjoint split. The last
epoch is scored: choosing an epoch on the videos that are reported would flatter both arms. The interval of
the mean difference covers seeds, splits that are drawn, and groups, see
`vidcls/statistics/paired_splits.py`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidcls.arrays import Floats
from vidcls.campaign.folds import absolute_path, refuse_own_splits, refuse_unknown_groups, table_settings
from vidcls.campaign.last_epoch import right_answers
from vidcls.campaign.leak_splits import Arms, arms_of, leaking_share
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import VidclsError
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.paired_splits import mean_difference_of_pairs
from vidcls.study.intervals import few_groups
from vidcls.training.run_training import Options, train
from vidcls.training.session import Display


@dataclass(frozen=True)
class SeedPair:
    """Results of one seed on both splits.

    Attributes:
        seed: Seed of the training, and of the group-disjoint split.
        leaky: Val top-1 on the leaky split, after the last epoch.
        clean: Val top-1 on the group-disjoint split, after the last epoch.
        runs: Folders of the two runs.
    """

    seed: int
    leaky: float
    clean: float
    runs: tuple[Path, Path]


@dataclass(frozen=True)
class Inflation:
    """Result of the measurement.

    Attributes:
        pairs: Pair of trainings of each seed.
        share: Share of the leaky val videos that have a video of their group in train.
        difference: Mean difference in val top-1, leaky minus clean.
        num_groups: Number of groups whose videos were scored on leaky, and on clean splits.
        is_own_split: Whether the leaky split is that of the data.
    """

    pairs: tuple[SeedPair, ...]
    share: float
    difference: Estimate
    num_groups: tuple[int, int]
    is_own_split: bool

    @property
    def covered(self) -> str:
        """What the interval of the difference covers."""
        splits = "other group-disjoint splits" if self.is_own_split else "other splits of both kinds"
        return f"other seeds, {splits} and other groups of videos"

    @property
    def held_fixed(self) -> str:
        """What the interval takes as given."""
        return "the settings" + (
            ", and the leaky split, which is the data's own" if self.is_own_split else ""
        )

    def warnings(self) -> list[str]:
        """What makes the interval less certain than it looks."""
        found = few_groups(min(self.num_groups))
        return [] if found is None else [found]


@dataclass(frozen=True)
class LeakDesign:
    """Trainings of a measurement.

    Attributes:
        spec: Spec that is trained.
        arms: Splits of each seed.
        pairs: For each seed the leaky training, then the clean one.
        is_own_split: Whether the leaky split is that of the data.
    """

    spec: Spec
    arms: Mapping[int, Arms]
    pairs: Mapping[int, tuple[LoadedSpec, LoadedSpec]]
    is_own_split: bool


def design(
    path: Path, overrides: Sequence[str], *, seeds: Sequence[int], data_file: Path | None = None
) -> LeakDesign:
    """Draw the splits and write their tables.

    Args:
        path: Spec file.
        overrides: `key=value` texts.
        seeds: Two or more seeds; each trains a pair.
        data_file: YAML file whose data section replaces that of the spec.

    Raises:
        UserError: If groups are unknown, or no group-disjoint split of these videos exists.
    """
    spec = load_spec(path, overrides, data_file=data_file).spec
    refuse_own_splits(spec)
    with_root = load_manifest(spec.data, cache_dir=Path(spec.store_dir))
    manifest = replace(with_root, videos=with_root.training)
    refuse_unknown_groups(manifest.root, manifest.videos)
    folder = Path(spec.runs_dir) / f"{spec.name}-leak"

    def training(arm: str, videos: Manifest, seed: int) -> LoadedSpec:
        file = folder / f"{arm}-s{seed}.csv"
        videos.write_csv(file)
        own = (*table_settings(spec, file), f"name={spec.name}-{arm}", f"seed={seed}")
        return load_spec(path, (*overrides, *own), data_file=data_file)

    arms = {seed: arms_of(manifest, seed=seed) for seed in seeds}
    pairs = {
        seed: (training("leaky", both.leaky, seed), training("clean", both.clean, seed))
        for seed, both in arms.items()
    }
    return LeakDesign(spec, arms, pairs, is_own_split=leaking_share(manifest) > 0)


def measure_leak(
    planned: LeakDesign,
    *,
    options: Options,
    display: Callable[[], AbstractContextManager[Display]],
    say: Callable[[str], None],
) -> Inflation:
    """Train a spec on leaking and on group-disjoint splits of the same videos, and compare.

    Finished trainings are not repeated, so an interrupted measurement continues if it is called again.

    Args:
        planned: Design with the trainings.
        options: Options of every training.
        display: Makes a new display for each training.
        say: Receives a message at the start of each training.

    Raises:
        VidclsError: As for training.
    """
    pairs: list[SeedPair] = []
    right: list[list[Mapping[Path, bool]]] = [[], []]
    for seed, both in planned.pairs.items():
        runs: list[Run] = []
        for arm, (name, training) in enumerate(zip(("leaky", "clean"), both, strict=True)):
            say(f"{planned.spec.name} on the {name} split, seed {seed}")
            # All trainings have the same videos, so problems with them are reported only once.
            telling = replace(options, tells_problems=not pairs and not runs)
            with display() as shown:
                runs.append(train(training, options=telling, display=shown).run)
            right[arm].append(right_answers(runs[-1], training.spec))
        _refuse_other_code(runs, options)
        tops = [statistics.fmean(found[-1].values()) for found in right]
        pairs.append(SeedPair(seed, tops[0], tops[1], (runs[0].folder, runs[1].folder)))
    group_of = _groups(planned.arms.values())
    if min(_num_groups([found], group_of) for arm in right for found in arm) < 2:
        raise VidclsError(
            f"{planned.spec.data.root}: the val videos that a training could read are of one group, so that"
            " nothing can be said of other groups",
            hint=f"vidcls data check {planned.spec.data.root} shows what is wrong with the other videos",
        )
    leaky, clean = (_answers(found, list(group_of)) for found in right)
    return Inflation(
        pairs=tuple(pairs),
        share=statistics.fmean(leaking_share(both.leaky) for both in planned.arms.values()),
        difference=mean_difference_of_pairs(leaky, clean, list(group_of.values())),
        num_groups=(_num_groups(right[0], group_of), _num_groups(right[1], group_of)),
        is_own_split=planned.is_own_split,
    )


def _groups(all_arms: Iterable[Arms]) -> dict[Path, str]:
    """Group of each video of all splits, by its file."""
    manifests = [manifest for arms in all_arms for manifest in (arms.leaky, arms.clean)]
    return {absolute_path(video): str(video.group) for manifest in manifests for video in manifest.videos}


def _answers(right: Sequence[Mapping[Path, bool]], videos: Sequence[Path]) -> Floats:
    """1 or 0 for each video that a run scored, and NaN elsewhere, `[runs, videos]`."""
    return np.array([[found.get(video, np.nan) for video in videos] for found in right], np.float64)


def _num_groups(right: Sequence[Mapping[Path, bool]], group_of: Mapping[Path, str]) -> int:
    return len({group_of[path] for found in right for path in found})


def _refuse_other_code(runs: Sequence[Run], options: Options) -> None:
    found = [run.provenance() for run in runs]
    codes = {(one["code"], *one["versions"].items()) for one in found}
    if len(codes) > 1 and not options.accept_code:
        raise VidclsError(
            f"{runs[0].folder} and {runs[1].folder} were trained with different code or packages, so they "
            "cannot be compared",
            hint="give --restart to train everything again, or --accept-code to compare them nevertheless",
        )
