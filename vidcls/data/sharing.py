"""Counts held-out videos that share a key, such as a group or a file, with videos of train."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vidcls.choices import Split
from vidcls.data.manifest import Manifest, Video

HELD_OUT: tuple[Split, ...] = ("val", "test")


def shares_by(manifest: Manifest, keys: Callable[[Video], Iterable[str]]) -> dict[Split, tuple[int, int]]:
    """For val and test: number of videos that share a key with a video of train, and number of all videos."""
    train = {key for video in manifest.split("train") for key in keys(video)}
    return {
        split: (sum(not train.isdisjoint(keys(video)) for video in videos), len(videos))
        for split in HELD_OUT
        if (videos := manifest.split(split))
    }
