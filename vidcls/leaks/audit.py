"""Audit of leaks: finds val and test videos that have a related video (a relative) in train.

An audit reads pixels of the test split, but not its labels, so it does not open the sealed test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vidcls.data.decoding.workers import Decoders, StageProgress
from vidcls.data.listing.groups import groups_by_name
from vidcls.data.manifest import Manifest, Video
from vidcls.data.sharing import HELD_OUT
from vidcls.errors import UserError
from vidcls.leaks.embeddings import Looks, Network, look_at
from vidcls.leaks.relatives import Link, content_links, key_links
from vidcls.leaks.similarity import Comparison
from vidcls.leaks.state import UNKNOWN, By, LeakState, remember

AskedBy = Literal["auto", "group", "name", "content"]


@dataclass(frozen=True)
class Relations:
    """Related videos of a manifest.

    Attributes:
        manifest: Manifest of the videos; links hold their indices.
        links: Related pairs, each once.
        by: Method that found the pairs.
        num_unknown: Number of videos that could not be checked: no group, no usable name, or not readable.
        not_read: Reason why a video could not be read, by id.
    """

    manifest: Manifest
    links: tuple[Link, ...]
    by: By
    num_unknown: int
    not_read: Mapping[str, str]


@dataclass(frozen=True)
class RelatedPair:
    """A val or test video and its relative in train."""

    held_out: Video
    train: Video
    reason: str
    similarity: float | None


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        relations: Related videos on which the audit is based.
        state: Leak state.
        pairs: Related pairs, most similar first if there is a similarity.
    """

    relations: Relations
    state: LeakState
    pairs: tuple[RelatedPair, ...]

    @property
    def is_fine(self) -> bool:
        """Whether no leak was found and all videos could be checked."""
        is_whole = not (self.relations.num_unknown or self.relations.manifest.num_left_out)
        return self.state.kind == "clean" and is_whole

    def best_pairs(self) -> tuple[RelatedPair, ...]:
        """Most similar pair of each held-out video that has a relative."""
        best: dict[str, RelatedPair] = {}
        for pair in self.pairs:
            best.setdefault(pair.held_out.id, pair)
        return tuple(best.values())

    def as_dict(self) -> dict[str, Any]:
        """All results as plain values for JSON."""
        manifest = self.relations.manifest
        return {
            "root": str(manifest.root),
            "manifest_hash": manifest.hash,
            **self.state.as_dict(),
            "by": self.relations.by,
            "num_unknown": self.relations.num_unknown,
            "num_left_out": manifest.num_left_out,
            "not_read": dict(self.relations.not_read),
            "pairs": [
                {
                    "class": manifest.classes[pair.train.label],
                    "split": pair.held_out.split,
                    "video": pair.held_out.id,
                    "train_video": pair.train.id,
                    "reason": pair.reason,
                    "similarity": pair.similarity,
                }
                for pair in self.pairs
            ],
        }


def audit(relations: Relations, *, store_dir: Path) -> Audit:
    """Determine the leak state of a manifest from its related videos, and store it for runs on this data.

    Raises:
        OSError: If the leak state cannot be written under `store_dir`.
    """
    manifest = relations.manifest
    pairs = sorted(
        _pairs(relations), key=lambda pair: (-(pair.similarity or 1), pair.held_out.id, pair.train.id)
    )
    related = {pair.held_out.id for pair in pairs}
    shares = {
        split: (sum(video.id in related for video in videos), len(videos))
        for split in HELD_OUT
        if (videos := manifest.split(split))
    }
    state = LeakState.of(shares, by=relations.by)
    if state.kind == "clean" and relations.num_unknown:
        state = UNKNOWN
    else:
        remember(state, store_dir=store_dir, manifest_hash=manifest.hash)
    return Audit(relations, state, tuple(pairs))


def needs_looks(manifest: Manifest, by: AskedBy) -> bool:
    """Whether `relate` will read the content of the videos."""
    is_known = all(video.group is not None for video in manifest.videos)
    return by == "content" or (by == "auto" and not is_known)


def relate(
    manifest: Manifest,
    *,
    by: AskedBy,
    store_dir: Path,
    decoders: Decoders,
    network: Network | None = None,
    progress: StageProgress | None = None,
) -> Relations:
    """Find the related videos of a manifest. Two files of the same bytes are always related.

    Args:
        manifest: Manifest to search.
        by: `group`: groups of the manifest. `name`: groups derived from file names. `content`: visual content
            only. `auto`: groups if every video has one, otherwise groups, names and content together.
        store_dir: Folder of stores and caches.
        decoders: Decoders of the videos, if content is compared.
        network: Network for additional descriptors; None for none.
        progress: Called in the stages of the comparison by content.

    Raises:
        UserError: If `by` is `group` or `name` and no video has one.
        VidclsError: If the disk is full.
    """
    videos = manifest.videos
    name_group = _name_groups(manifest)
    num_groups = sum(video.group is not None for video in videos)
    num_names = sum(name_group(video) is not None for video in videos)
    links = key_links(videos, lambda video: video.digest, "bytes")
    if by == "group" and not num_groups:
        raise UserError(f"--by group: no video of {manifest.root} has a group", hint="--by content")
    if by == "name" and not num_names:
        raise UserError(
            f"--by name: no video of {manifest.root} has a name as in UCF101, UCF11, HMDB51 or Kinetics",
            hint="--by content",
        )
    if by == "group" or (by == "auto" and not needs_looks(manifest, by)):
        links += key_links(videos, lambda video: video.group, "group")
        return Relations(manifest, _once(links), "group", len(videos) - num_groups, {})
    if by == "name":
        links += key_links(videos, name_group, "name")
        return Relations(manifest, _once(links), "name", len(videos) - num_names, {})
    if by == "auto":
        links += key_links(videos, lambda video: video.group, "group") + key_links(videos, name_group, "name")
    looks = look_at(videos, store_dir=store_dir, decoders=decoders, network=network, progress=progress)
    links += _content(videos, looks, progress)
    failures = {video.id: looks.failures[video.digest] for video in videos if video.digest in looks.failures}
    not_read = {name: failure.reason for name, failure in failures.items()}
    return Relations(manifest, _once(links), "content", len(not_read), not_read)


def _name_groups(manifest: Manifest) -> Callable[[Video], str | None]:
    """Function that returns the group of a video from its file name, if that is reliable."""
    videos = manifest.videos
    labels = [manifest.classes[video.label] for video in videos]
    groups, _ = groups_by_name([video.path.name for video in videos], labels)
    of_video = {video.id: group for video, group in zip(videos, groups, strict=True)}
    return lambda video: of_video[video.id]


def _content(videos: Sequence[Video], looks: Looks, progress: StageProgress | None) -> Iterator[Link]:
    indices = [index for index, video in enumerate(videos) if video.digest in looks.descriptors]
    if not indices:
        return
    seen = [videos[index] for index in indices]
    # Only labels of train are used; those of the test split must have no influence.
    labels = np.array([video.label if video.split == "train" else -1 for video in seen])
    comparison = Comparison([looks.descriptors[video.digest] for video in seen], parts=looks.parts)
    shown = None if progress is None else partial(progress, "compare")
    for link in content_links(comparison, labels=labels, progress=shown):
        yield replace(link, first=indices[link.first], second=indices[link.second])


def _once(links: Sequence[Link]) -> tuple[Link, ...]:
    """Each pair once, with its first reason."""
    found: dict[tuple[int, int], Link] = {}
    for link in links:
        found.setdefault((link.first, link.second), link)
    return tuple(found.values())


def _pairs(relations: Relations) -> Iterator[RelatedPair]:
    for link in relations.links:
        ends = [relations.manifest.videos[index] for index in (link.first, link.second)]
        for held_out, train in (ends, ends[::-1]):
            if held_out.split in HELD_OUT and train.split == "train":
                yield RelatedPair(held_out, train, link.reason, link.similarity)
