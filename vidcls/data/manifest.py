"""Manifest: the checked list of videos of a data root, the same for every layout, with a hash."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vidcls.choices import SPLITS, Split
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.digests import Progress, digest_videos, pictures_left_out
from vidcls.data.layouts import read_layout
from vidcls.data.layouts.table import ManifestRow, write_table
from vidcls.data.listing.listing import LEFT_OUT_BY_SKIP, ListedVideo, Listing, Problem
from vidcls.data.val_split import cut_val
from vidcls.errors import UserError
from vidcls.spec.sections import DEFAULT_MAX_BAD, DataSection

__all__ = ["Manifest", "Problem", "Video", "load_manifest", "read_manifest"]

_DEFAULT_VAL_FRACTION = 0.2
_MAX_SHOWN = 20


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        id: Unique readable key, independent of the location of the data.
        path: Video file, or folder of frames.
        label: Index into the classes of the manifest.
        split: Split of the video.
        group: Source from which it was cut, if known.
        digest: Digest of its content.
        flows: Folder of its flow fields, if `data.source` reads them.
        has_frames: Whether `path` is read; False if only flow fields are read.
    """

    id: str
    path: Path
    label: int
    split: Split
    group: str | None
    digest: str
    flows: Path | None = None
    has_frames: bool = True

    @property
    def files(self) -> Files:
        """Files from which the video is read."""
        return Files(self.path if self.has_frames else None, self.flows)


@dataclass(frozen=True)
class Manifest:
    """Videos of a data root.

    Attributes:
        root: Folder or CSV from which the manifest was read.
        layout: Name of the layout.
        classes: Class names; the index is the label.
        videos: Usable videos, sorted by id.
        problems: Problems that the user should know, including videos that were left out.
        val_is_cut: Whether val was cut from train because the data has no val.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    problems: tuple[Problem, ...]
    val_is_cut: bool

    @property
    def num_left_out(self) -> int:
        """Number of listed videos that are missing, empty or cannot be read."""
        return sum(problem.kind in LEFT_OUT_BY_SKIP for problem in self.problems)

    @property
    def num_classes(self) -> int:
        """Number of classes (K)."""
        return len(self.classes)

    def split(self, name: Split) -> tuple[Video, ...]:
        """Videos of one split, sorted by id."""
        return tuple(video for video in self.videos if video.split == name)

    @property
    def training(self) -> tuple[Video, ...]:
        """Videos that training and search read, in one store: train, then val, never test."""
        return (*self.split("train"), *self.split("val"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the classes and each video's id, label, split, group and digest, not its path."""
        rows = [[video.id, video.label, video.split, video.group, video.digest] for video in self.videos]
        return hashlib.sha256(json.dumps([self.classes, rows]).encode()).hexdigest()

    def write_csv(self, path: Path) -> None:
        """Write a CSV manifest that reads back to the same videos, labels, splits and groups.

        Raises:
            OSError: If the file cannot be written.
            UserError: If a name cannot be stored unchanged in a CSV in UTF-8.
        """
        rows = [
            ManifestRow(
                video.path,
                self.classes[video.label],
                video.split,
                video.group or "",
                video.label,
                video.flows,
            )
            for video in self.videos
        ]
        write_table(path, rows)


def load_manifest(section: DataSection, *, cache_dir: Path, progress: Progress | None = None) -> Manifest:
    """Read the data of `section`, and refuse it if a problem prevents training.

    Under `bad_videos: skip`, up to `max_bad` videos that are missing, empty or unreadable are left out.

    Args:
        section: Data section with the root and the way to read it.
        cache_dir: Folder of the cache of digests.
        progress: Called with (done, total) while digests are computed.

    Raises:
        UserError: If the root is unusable, a setting has no effect, or there are fatal problems (all listed).
    """
    manifest = read_manifest(section, cache_dir=cache_dir, progress=progress)
    fatal = [problem for problem in manifest.problems if problem.fatal]
    bad = [problem for problem in fatal if problem.kind in LEFT_OUT_BY_SKIP]
    if len(bad) <= section.num_bad_allowed:
        fatal = [problem for problem in fatal if problem.kind not in LEFT_OUT_BY_SKIP]
    if fatal:
        shown = [f"  {problem}" for problem in fatal[:_MAX_SHOWN]]
        if len(fatal) > _MAX_SHOWN:
            shown.append(f"  and {len(fatal) - _MAX_SHOWN} more")
        count = "1 problem prevents" if len(fatal) == 1 else f"{len(fatal)} problems prevent"
        raise UserError(
            "\n".join([f"data.root: {section.root}: {count} training", *shown]),
            hint=_hint(section, num_bad=len(bad), only_bad=len(bad) == len(fatal)),
        )
    return manifest


def _hint(section: DataSection, *, num_bad: int, only_bad: bool) -> str:
    scan = f"`vidcls data scan {section.root}` shows all problems"
    if only_bad and section.bad_videos == "skip":
        return f"{scan}; data.max_bad={num_bad} would leave out {num_bad} videos"
    if only_bad:
        more = f" data.max_bad={num_bad}" if num_bad > DEFAULT_MAX_BAD else ""
        return f"{scan}; data.bad_videos=skip{more} leaves out such videos"
    return scan


def read_manifest(
    section: DataSection, *, cache_dir: Path | None, progress: Progress | None = None
) -> Manifest:
    """Read the data of `section`, record every problem and leave its video out.

    Args:
        section: Data section; `bad_videos` has no effect here.
        cache_dir: Folder of the cache of digests; None for no cache.
        progress: Called with (done, total) while digests are computed.

    Raises:
        UserError: If the root is unusable as a whole, or a setting has no effect there.
    """
    root = Path(section.root)
    listing = read_layout(
        root, layout=section.layout, source=section.source, split_number=section.split_number
    )
    if section.val_fraction is not None and any(entry.split == "val" for entry in listing.entries):
        raise UserError(
            f"data.val_fraction: {section.val_fraction} has no effect here: {root} has a val split",
            hint="leave data.val_fraction out",
        )
    problems = list(listing.problems)
    entries = _listed_once(listing.entries, problems)
    videos = _digested(entries, listing, problems, cache_dir=cache_dir, progress=progress)
    problems += _same_content(videos)
    has_val = any(entry.split == "val" for entry in listing.entries)
    if not has_val:
        videos = _with_val(videos, section.val_fraction or _DEFAULT_VAL_FRACTION, problems)
    problems += _unusable_whole(videos, listing.classes, has_val=has_val)
    problems += _classes_without_videos(videos, listing.classes)
    return Manifest(
        root=root,
        layout=listing.layout,
        classes=listing.classes,
        videos=tuple(sorted(videos, key=lambda video: video.id)),
        problems=tuple(problems),
        val_is_cut=not has_val,
    )


def _listed_once(entries: Sequence[ListedVideo], problems: list[Problem]) -> list[ListedVideo]:
    seen: dict[str, ListedVideo] = {}
    once: list[ListedVideo] = []
    for entry in entries:
        place = f"path {entry.path.resolve()}"
        first = seen.get(entry.id) or seen.get(place)
        if first is None:
            once.append(entry)
            seen[entry.id] = seen[place] = entry
            continue
        splits = f" ({first.split} and {entry.split})" if first.split != entry.split else ""
        problems.append(
            Problem("doubly_listed", f"{entry.id} is listed in {first.where} and {entry.where}{splits}")
        )
    return once


def _digested(
    entries: Sequence[ListedVideo],
    listing: Listing,
    problems: list[Problem],
    *,
    cache_dir: Path | None,
    progress: Progress | None,
) -> list[Video]:
    label_of = {name: label for label, name in enumerate(listing.classes)}
    digests = digest_videos([entry.files for entry in entries], cache_dir=cache_dir, progress=progress)
    problems += pictures_left_out([entry.id for entry in entries], digests)
    videos: list[Video] = []
    for entry, digest in zip(entries, digests, strict=True):
        if digest.failure is not None:
            source = f" ({entry.where})" if entry.where != entry.id else ""
            problems.append(Problem(digest.failure, f"{entry.id}{source}: {digest.place} {digest.reason}"))
            continue
        label = label_of[entry.label]
        shared = (entry.path, label, entry.split, entry.group, digest.hex, entry.flows, entry.has_frames)
        videos.append(Video(entry.id, *shared))
    return videos


def _same_content(videos: Sequence[Video]) -> Iterator[Problem]:
    by_digest: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_digest[video.digest].append(video)
    for same in by_digest.values():
        if len(same) > 1:
            names = ", ".join(f"{video.id} [{video.split}]" for video in same)
            yield Problem("same_content", f"{names} are identical files")


def _with_val(videos: list[Video], fraction: float, problems: list[Problem]) -> list[Video]:
    train = [video for video in videos if video.split == "train"]
    # A video without a group forms its own group with its exact copies, named by its id, so that the cut is
    # the same for frames and for flow.
    first = {video.digest: video.id for video in sorted(train, key=lambda video: video.id, reverse=True)}
    groups = {v.id: f"group {v.group}" if v.group else f"video {first[v.digest]}" for v in train}
    chosen = cut_val([video.label for video in train], list(groups.values()), fraction=fraction)
    cut = {video.id for video in train if groups[video.id] in chosen}
    if cut:
        grouped = sum(video.group is not None for video in train)
        by = "in whole groups" if grouped else "with each video as its own group"
        if 0 < grouped < len(train):
            by = f"in whole groups if a group is known ({grouped} of {len(train)} videos)"
        problems.append(
            Problem(
                "val_cut", f"the data has no val: {len(cut)} of {len(train)} train videos became val, {by}"
            )
        )
    return [replace(video, split="val") if video.id in cut else video for video in videos]


def _unusable_whole(videos: Sequence[Video], classes: Sequence[str], *, has_val: bool) -> Iterator[Problem]:
    splits = {video.split for video in videos}
    if len(classes) < 2:
        yield Problem("one_class", f"all videos have the same class ({', '.join(classes) or 'none'})")
    if "train" not in splits:
        yield Problem("no_train", "no usable video in train")
    if "val" not in splits and has_val:
        yield Problem("no_val", "no usable video in val")
    elif "val" not in splits:
        yield Problem(
            "no_val",
            "the data has no val, and val cannot be made from train, because no class has two groups",
        )


def _classes_without_videos(videos: Sequence[Video], classes: Sequence[str]) -> Iterator[Problem]:
    count = Counter((video.split, video.label) for video in videos)
    for split in SPLITS:
        without = [name for label, name in enumerate(classes) if not count[split, label]]
        if without and len(without) < len(classes):
            shown = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
            yield Problem("class_without_videos", f"{len(without)} classes have no video in {split}: {shown}")
