"""The same video for two indices, and videos of val or test in train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vidcls.choices import Split
from vidcls.data.doctor.draws import Draw, Grey
from vidcls.data.doctor.finding import DatasetFinding, named
from vidcls.data.doctor.pictures import Float
from vidcls.data.videos import Item, Manifest

_SIDE = 24
_FRAMES = 8
_ALIKE, _ALIKE_STILL = 0.998, 0.9998
"""Correlation of the mean pictures of one video, compressed or brightened in two ways."""
_ALIKE_MOTION = 0.985
"""Correlation of what moves; clips cut from one film were seen to reach 0.94."""
_STILL = 0.02


@dataclass(frozen=True)
class Look:
    """What a video looks like.

    Attributes:
        item: Item.
        digest: Digest of the values of its clip.
        picture: Mean frame, of length 1 as a vector.
        motion: What differs from the mean frame, of length 1; zeros if nothing moves.
    """

    item: Item
    digest: str
    picture: Float
    motion: Float


def look_at(item: Item, draw: Draw) -> Look | None:
    """What a video looks like; None if it cannot be compared: constant, or no clip."""
    if draw.grey is None:
        return None
    small = _shrunk(draw.grey)
    centred = small - small.mean()
    size = float(np.linalg.norm(centred))
    if size <= 1e-5 * max(1.0, float(np.abs(small).max())) * np.sqrt(small.size):
        return None
    picture = centred.mean(0)
    motion = centred - picture
    is_still = np.linalg.norm(motion) < _STILL * size
    return Look(item, draw.digest, _unit(picture), np.zeros_like(motion) if is_still else _unit(motion))


def _unit(values: Float) -> Float:
    size = np.linalg.norm(values)
    result: Float = values / size if size > 0 else values
    return result


def _shrunk(grey: Grey) -> Float:
    """`[T, h, w]` as `[8, 24, 24]`, by means over parts."""
    frames = grey[np.linspace(0, len(grey) - 1, _FRAMES).astype(int)].astype(np.float64)
    for axis in (1, 2):
        edges = np.linspace(0, frames.shape[axis], _SIDE + 1)
        parts = [
            frames.take(range(int(start), max(int(start) + 1, int(end))), axis=axis).mean(axis, keepdims=True)
            for start, end in pairwise(edges)
        ]
        frames = np.concatenate(parts, axis)
    return np.asarray(frames, np.float64)


def same_pairs(first: Sequence[Look], second: Sequence[Look]) -> list[tuple[Item, Item]]:
    """Pairs of items that show the same video; mirrored ones are the same."""
    if not first or not second:
        return []
    ours_picture, ours_motion = _stacked(first, mirror=False)
    pairs: dict[tuple[Item, Item], None] = {}
    for mirror in (False, True):
        picture, motion = _stacked(second, mirror=mirror)
        pictures = ours_picture @ picture.T
        moves = (np.abs(ours_motion).sum(1) > 0)[:, None] | (np.abs(motion).sum(1) > 0)[None]
        alike = np.where(
            moves,
            (pictures > _ALIKE) & (ours_motion @ motion.T > _ALIKE_MOTION),
            pictures > _ALIKE_STILL,
        )
        for row, column in np.argwhere(alike):
            pairs[first[row].item, second[column].item] = None
    return sorted(pairs, key=lambda pair: (pair[0].index, pair[1].index))


def _stacked(looks: Sequence[Look], *, mirror: bool) -> tuple[Float, Float]:
    turn = slice(None, None, -1 if mirror else 1)
    pictures = np.stack([look.picture[..., turn].ravel() for look in looks])
    return pictures, np.stack([look.motion[..., turn].ravel() for look in looks])


def check_same(looks: Sequence[Look]) -> Iterator[DatasetFinding]:
    """Find indices of one split that give the same video.

    Args:
        looks: What the items of a split look like.
    """
    order = {look.item: number for number, look in enumerate(looks)}
    pairs = [(a, b) for a, b in same_pairs(looks, looks) if order[a] < order[b]]
    if pairs:
        shown = [f"{a} and {b}" for a, b in pairs]
        yield DatasetFinding(
            "same_video",
            f"different indices give the same video: {named(shown)}",
            "raise the error of a video that cannot be read, and never put another one in its place; list a "
            "video once",
        )


def check_leak(looks: Mapping[Split, Sequence[Look]], manifest: Manifest | None) -> Iterator[DatasetFinding]:
    """Find videos of val or test that are in train too, by what they look like and by their groups.

    Args:
        looks: What items look like, by split.
        manifest: Manifest with the groups; None if it could not be read.
    """
    for split in ("val", "test"):
        pairs = same_pairs(looks.get(split, ()), looks.get("train", ()))
        if pairs:
            shown = [f"{held} = {train}" for held, train in pairs]
            held_out = {held for held, _ in pairs}
            yield DatasetFinding(
                "leak",
                f"{len(held_out)} of {len(looks[split])} {split} videos are in train too: {named(shown)}",
                "remove them from one of the two, so that accuracy is that on new videos",
            )
        if manifest is None:
            continue
        train = {video.group for video in manifest.split("train")} - {None}
        shared = [video for video in manifest.split(split) if video.group in train]
        if shared:
            groups = sorted({str(video.group) for video in shared})
            yield DatasetFinding(
                "leak",
                f"{len(shared)} of {len(manifest.split(split))} {split} videos share a group with train: "
                f"{named(groups)}",
                "give all items of a group the same split",
            )
