"""Estimates a store before anything is decoded: whether it exists, and how large it will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcls.data.decoding.decode import Probe
from vidcls.data.decoding.workers import Failure
from vidcls.data.manifest import Video
from vidcls.data.modality import unfit
from vidcls.data.store.build import Store
from vidcls.spec.sections import Clip


@dataclass(frozen=True)
class Outlook:
    """Estimate of a store.

    Attributes:
        path: Folder of the store; it changes as long as not all videos are probed.
        num_videos: Number of videos that it will hold.
        num_bad: Number of videos known to be unusable.
        is_built: Whether it exists and is complete.
        num_bytes: Size of the store; estimated if not all videos are probed, 0 if none is.
    """

    path: Path
    num_videos: int
    num_bad: int
    is_built: bool
    num_bytes: int


def outlook(
    videos: Sequence[Video], *, known: Mapping[str, Probe | Failure], clip: Clip, store_dir: Path
) -> Outlook:
    """Estimate a store from the cached probes of its videos.

    Args:
        videos: Videos that share the store.
        known: Cached probe or failure of videos, by digest; see `known_probes`.
        clip: Clip section, which defines the stored frames of a video.
        store_dir: Folder of stores and caches.

    Raises:
        VidclsError: If the store exists but is damaged.
    """
    digests = {video.digest for video in videos}
    good = {
        digest: probe
        for digest, probe in known.items()
        if not isinstance(probe, Failure) and unfit(probe, clip) is None
    }
    store = Store(store_dir, probes=good, clip=clip)
    num_unknown = len(digests) - len(known)
    return Outlook(
        path=store.path,
        num_videos=len(good) + num_unknown,
        num_bad=len(known) - len(good),
        is_built=not num_unknown and store.is_published(),
        num_bytes=store.num_bytes * (len(good) + num_unknown) // max(1, len(good)),
    )
