"""How many held-out videos share something with videos of train: a group, a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vidcls.data.manifest import Manifest, Video
from vidcls.spec.sections import Split

HELD_OUT: tuple[Split, ...] = ("val", "test")


def shares_by(manifest: Manifest, keys: Callable[[Video], Iterable[str]]) -> dict[Split, tuple[int, int]]:
    """For val and test: how many videos share a key with a video of train, and how many there are."""
    train = {key for video in manifest.split("train") for key in keys(video)}
    return {
        split: (sum(not train.isdisjoint(keys(video)) for video in videos), len(videos))
        for split in HELD_OUT
        if (videos := manifest.split(split))
    }
