"""Layouts by folder names: `split/class/video` and `class/video`.

Classes are in the order of the sorted folder names. `class/video` has no splits: all videos are train.
Folders named train, val and test with videos but no class folders are ambiguous, and need an explicit layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vidcls.data.listing.labels import sorted_classes
from vidcls.data.listing.listing import SPLIT_NAMES, ListedVideo, Listing, Problem

# Words in folder names besides the split: `videos_train`, `val_256`.
_BESIDE = frozenset({"videos", "video", "frames", "rawframes", "clips", "set", "split", "data", "images"})


def is_split_folders(videos: Sequence[Path]) -> bool:
    """Whether most of `videos` (relative to the root) are `split/class/video`."""
    fitting = [path for path in videos if len(path.parts) == 3 and path.parts[0].lower() in SPLIT_NAMES]
    return 2 * len(fitting) > len(videos)


def is_class_folders(videos: Sequence[Path]) -> bool:
    """Whether most of `videos` (relative to the root) are `class/video`."""
    return 2 * sum(len(path.parts) == 2 for path in videos) > len(videos)


def folders_like_splits(videos: Sequence[Path], *, layout: str) -> list[str]:
    """Class folders of `layout` that may also be splits without classes; empty if it is clear.

    One class may have the name of a split (a train is also a vehicle). All classes, or in `class/video` two
    classes with names of different splits, are ambiguous. Some archives unpack as `train/train/video`.
    """
    num_parts = layout.count("/") + 1
    folders = sorted({path.parts[-2] for path in videos if len(path.parts) == num_parts})
    split_of = {folder: split for folder in folders if (split := _named_split(folder)) is not None}
    several = num_parts == 2 and len(set(split_of.values())) > 1
    return list(split_of) if len(split_of) == len(folders) or several else []


def _named_split(folder: str) -> str | None:
    words = [word for word in re.split(r"[^a-z]+", folder.lower()) if word and word not in _BESIDE]
    if len(words) != 1:
        return None
    return SPLIT_NAMES.get(words[0]) or {"dev": "val", "eval": "test", "evaluation": "test"}.get(words[0])


def read_split_folders(root: Path, videos: Sequence[Path]) -> Listing:
    """List `split/class/video`; videos elsewhere are extra."""
    return _read(root, videos, layout="split/class/video")


def read_class_folders(root: Path, videos: Sequence[Path]) -> Listing:
    """List `class/video`, all as train; videos elsewhere are extra."""
    return _read(root, videos, layout="class/video")


def _read(root: Path, videos: Sequence[Path], *, layout: str) -> Listing:
    num_parts = layout.count("/") + 1
    entries: list[ListedVideo] = []
    problems: list[Problem] = []
    for video in videos:
        split = SPLIT_NAMES.get(video.parts[0].lower()) if num_parts == 3 else "train"
        if len(video.parts) != num_parts or split is None:
            problems.append(Problem("extra", f"{video.as_posix()} does not fit the layout {layout}"))
            continue
        label, key = video.parts[-2], video.as_posix()
        entries.append(
            ListedVideo(id=key, path=root / video, label=label, split=split, group=None, where=key)
        )
    classes = sorted_classes(entry.label for entry in entries)
    return Listing(layout, classes, tuple(entries), tuple(problems))
