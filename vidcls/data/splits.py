"""The splits of a set of videos: cuts val if there is none, and finds what they lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vidcls.choices import SPLITS
from vidcls.data.listing.listing import Problem
from vidcls.data.val_split import cut_val
from vidcls.data.videos import Video

_DEFAULT_VAL_FRACTION = 0.2


def with_val(videos: list[Video], fraction: float | None, problems: list[Problem]) -> list[Video]:
    """Cut val from train, and note that in `problems`.

    Args:
        videos: Videos without val.
        fraction: Share of train that becomes val; 0.2 if None.
        problems: List to which a note is added.
    """
    train = [video for video in videos if video.split == "train"]
    # A video without a group forms its own group with its exact copies, named by its id, so that the cut is
    # the same for frames and for flow.
    first = {video.digest: video.id for video in sorted(train, key=lambda video: video.id, reverse=True)}
    groups = {v.id: f"group {v.group}" if v.group else f"video {first[v.digest]}" for v in train}
    chosen = cut_val(
        [video.label for video in train], list(groups.values()), fraction=fraction or _DEFAULT_VAL_FRACTION
    )
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


def unusable_whole(videos: Sequence[Video], classes: Sequence[str], *, has_val: bool) -> Iterator[Problem]:
    """Problems that prevent any training: a single class, no train, no val."""
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


def classes_without_videos(videos: Sequence[Video], classes: Sequence[str]) -> Iterator[Problem]:
    """Note for each split on the classes of which it has no video."""
    count = Counter((video.split, video.label) for video in videos)
    for split in SPLITS:
        without = [name for label, name in enumerate(classes) if not count[split, label]]
        if without and len(without) < len(classes):
            shown = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
            yield Problem("class_without_videos", f"{len(without)} classes have no video in {split}: {shown}")
