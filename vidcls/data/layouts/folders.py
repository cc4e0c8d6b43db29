"""Folders that speak for themselves: `split/class/video` and `class/video`.

Class order is that of the sorted folder names. `class/video` knows no splits: all of it is train.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidcls.data.layouts.listing import SPLIT_NAMES, Entry, Listing, Problem, group_of, sorted_classes


def is_split_folders(videos: Sequence[Path]) -> bool:
    """Whether most of `videos` (relative to the root) are `split/class/video`."""
    fitting = [path for path in videos if len(path.parts) == 3 and path.parts[0].lower() in SPLIT_NAMES]
    return 2 * len(fitting) > len(videos)


def is_class_folders(videos: Sequence[Path]) -> bool:
    """Whether most of `videos` (relative to the root) are `class/video`."""
    return 2 * sum(len(path.parts) == 2 for path in videos) > len(videos)


def read_split_folders(root: Path, videos: Sequence[Path]) -> Listing:
    """List `split/class/video`; videos elsewhere are extra."""
    return _read(root, videos, layout="split/class/video")


def read_class_folders(root: Path, videos: Sequence[Path]) -> Listing:
    """List `class/video`, all as train; videos elsewhere are extra."""
    return _read(root, videos, layout="class/video")


def _read(root: Path, videos: Sequence[Path], *, layout: str) -> Listing:
    num_parts = layout.count("/") + 1
    entries: list[Entry] = []
    problems: list[Problem] = []
    for video in videos:
        split = SPLIT_NAMES.get(video.parts[0].lower()) if num_parts == 3 else "train"
        if len(video.parts) != num_parts or split is None:
            problems.append(Problem("extra", f"{video.as_posix()} is not at {layout}"))
            continue
        label = video.parts[-2]
        group = group_of(video.name, label)
        key = video.as_posix()
        entries.append(Entry(id=key, path=root / video, label=label, split=split, group=group, where=key))
    classes = sorted_classes({entry.label for entry in entries})
    return Listing(layout, classes, tuple(entries), tuple(problems))
