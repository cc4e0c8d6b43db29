"""The two splits of a measurement of a leak: the same videos, equal numbers of each class, one leaks."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vidcls.choices import Split
from vidcls.data.manifest import Manifest, Video
from vidcls.errors import UserError
from vidcls.leaks.split import group_split


@dataclass(frozen=True)
class Arms:
    """Both splits of one seed, with equal numbers of videos for each class."""

    leaky: Manifest
    clean: Manifest


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
    arms = Arms(*(replace(manifest, videos=_trimmed(arm, wanted, seed)) for arm in (leaky, clean)))
    if any(len({video.group for video in arm.split("val")}) < 2 for arm in (arms.leaky, arms.clean)):
        raise UserError(
            f"{manifest.root}: the val videos of a split are of one group, so that nothing can be said"
            " of other groups",
            hint=f"vidcls data scan {manifest.root} shows classes and groups",
        )
    return arms


def leaking_share(manifest: Manifest) -> float:
    """Share of the val videos that have a video of their group in train."""
    train = {video.group for video in manifest.split("train")}
    val = manifest.split("val")
    return sum(video.group in train for video in val) / len(val)


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
