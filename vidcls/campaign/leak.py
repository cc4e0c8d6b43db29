"""Measures how a leaking split inflates accuracy: one spec is trained on it and on group-disjoint splits.

Both arms have the same number of train and val videos of each class, all from train and val of the data: the
sealed test split is not used. The leaky arm is the data's own split if that leaks, otherwise videos drawn at
random without regard to groups. Each seed trains a pair and draws its own group-disjoint split, so that the
interval covers the choice of groups, not only the seed of a network.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from scipy import stats

from vidcls.campaign.folds import refuse_own_splits, refuse_unknown_groups
from vidcls.choices import Split
from vidcls.data.manifest import Manifest, Video, load_manifest
from vidcls.errors import UserError, VidclsError
from vidcls.leaks.split import group_split
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.load import LoadedSpec, load_spec
from vidcls.training.run_training import Options, train
from vidcls.training.session import Display

_LEVEL = 0.95


@dataclass(frozen=True)
class SeedPair:
    """Results of one seed on both splits.

    Attributes:
        seed: Seed of the training, and of the group-disjoint split.
        leaky: Val top-1 on the leaky split, at its best epoch.
        clean: Val top-1 on the group-disjoint split, at its best epoch.
        runs: Folders of the two runs.
    """

    seed: int
    leaky: float
    clean: float
    runs: tuple[Path, Path]


@dataclass(frozen=True)
class Arms:
    """Both splits of one seed, with equal numbers of videos for each class."""

    leaky: Manifest
    clean: Manifest


@dataclass(frozen=True)
class Inflation:
    """Result of the measurement.

    Attributes:
        pairs: Pair of trainings of each seed.
        share: Share of the leaky val videos that have a video of their group in train.
        low: Lower end of the 95 % interval of the mean difference: Student's t over the pairs.
        high: Upper end of the interval.
        is_own_split: Whether the leaky split is that of the data.
    """

    pairs: tuple[SeedPair, ...]
    share: float
    low: float
    high: float
    is_own_split: bool

    @property
    def mean(self) -> float:
        """Mean difference in val top-1, leaky minus clean."""
        return statistics.fmean(pair.leaky - pair.clean for pair in self.pairs)


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
    plain_data = (
        "data.layout=auto",
        f"data.source={spec.data.table_source}",
        "data.split_number=null",
        "data.val_fraction=null",
    )

    def training(arm: str, videos: Manifest, seed: int) -> LoadedSpec:
        file = folder / f"{arm}-s{seed}.csv"
        videos.write_csv(file)
        own = (*plain_data, f"data.root={file}", f"name={spec.name}-{arm}", f"seed={seed}")
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
    for seed, both in planned.pairs.items():
        tops: list[float] = []
        runs: list[Run] = []
        for arm, training in zip(("leaky", "clean"), both, strict=True):
            say(f"{planned.spec.name} on the {arm} split, seed {seed}")
            # All trainings have the same videos, so problems with them are reported only once.
            telling = replace(options, tells_problems=not pairs and not runs)
            with display() as shown:
                run = train(training, options=telling, display=shown).run
            status = run.status()
            assert status is not None, "a training that returns has a status"
            tops.append(status.metrics["val/top1"])
            runs.append(run)
        _refuse_other_code(runs, options)
        pairs.append(SeedPair(seed, tops[0], tops[1], (runs[0].folder, runs[1].folder)))
    low, high = interval([pair.leaky - pair.clean for pair in pairs])
    share = statistics.fmean(leaking_share(both.leaky) for both in planned.arms.values())
    return Inflation(tuple(pairs), share, low, high, is_own_split=planned.is_own_split)


def arms_of(manifest: Manifest, *, seed: int) -> Arms:
    """Make a leaky and a group-disjoint split of the same videos, with equal numbers for each class.

    Raises:
        UserError: If a class has too few groups for a group-disjoint split.
    """
    videos = manifest.videos
    sizes: dict[Split, float] = {split: len(manifest.split(split)) for split in ("train", "val")}
    labels, groups = [video.label for video in videos], [str(video.group) for video in videos]
    clean = _with_splits(videos, group_split(labels, groups, sizes=sizes, seed=seed))
    is_own = leaking_share(manifest) > 0
    leaky = list(videos) if is_own else _at_random(videos, Counter((v.label, v.split) for v in clean), seed)
    wanted = Counter((v.label, v.split) for v in leaky) & Counter((v.label, v.split) for v in clean)
    labels_left = {label for label, split in wanted if split == "val" and wanted[label, "train"]}
    if labels_left != set(labels):
        lost = ", ".join(manifest.classes[label] for label in sorted(set(labels) - labels_left))
        raise UserError(
            f"{manifest.root}: no group-disjoint split has both train and val videos of {lost}",
            hint=f"vidcls data scan {manifest.root} shows classes and groups",
        )
    return Arms(*(replace(manifest, videos=_trimmed(arm, wanted, seed)) for arm in (leaky, clean)))


def leaking_share(manifest: Manifest) -> float:
    """Share of the val videos that have a video of their group in train."""
    train = {video.group for video in manifest.split("train")}
    val = manifest.split("val")
    return sum(video.group in train for video in val) / len(val)


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean of two or more independent differences."""
    spread = statistics.stdev(differences) / math.sqrt(len(differences))
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, len(differences) - 1)) * spread
    mean = statistics.fmean(differences)
    return mean - reach, mean + reach


def _refuse_other_code(runs: Sequence[Run], options: Options) -> None:
    found = [run.provenance() for run in runs]
    codes = {(one["code"], *one["versions"].items()) for one in found}
    if len(codes) > 1 and not options.accept_code:
        raise VidclsError(
            f"{runs[0].folder} and {runs[1].folder} were trained with different code or packages, so they "
            "cannot be compared",
            hint="give --restart to train everything again, or --accept-code to compare them nevertheless",
        )


def _with_splits(videos: Sequence[Video], splits: Sequence[Split]) -> list[Video]:
    return [replace(video, split=split) for video, split in zip(videos, splits, strict=True)]


def _at_random(videos: Sequence[Video], sizes: Counter[tuple[int, Split]], seed: int) -> list[Video]:
    """Draw as many val videos of each class as in `sizes`, without regard to groups."""
    by_label: dict[int, list[Video]] = defaultdict(list)
    for video in sorted(videos, key=lambda video: _draw(video, seed)):
        by_label[video.label].append(video)
    return [
        replace(video, split="val" if index < sizes[label, "val"] else "train")
        for label, members in by_label.items()
        for index, video in enumerate(members)
    ]


def _trimmed(videos: Sequence[Video], wanted: Counter[tuple[int, Split]], seed: int) -> tuple[Video, ...]:
    left = Counter(wanted)
    kept: list[Video] = []
    for video in sorted(videos, key=lambda video: _draw(video, seed)):
        if left[video.label, video.split] > 0:
            left[video.label, video.split] -= 1
            kept.append(video)
    return tuple(sorted(kept, key=lambda video: video.id))


def _draw(video: Video, seed: int) -> bytes:
    return hashlib.sha256(f"leak {seed}\n{video.id}".encode(errors="surrogateescape")).digest()
