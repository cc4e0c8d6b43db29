"""Which videos are related: by what they are called, or by what they look like.

By looks, without a label or a setting: the descriptors of all frames are whitened together, so that what most
videos have in common counts little; two videos are as alike as the frames of one are, in the mean, to their
nearest frames in the other; and what is alike beyond chance is told by pairs that are surely not related.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from vidcls.data.manifest import Video
from vidcls.leaks.descriptors import Vectors

_NUM_DIRECTIONS = 256
_SHRINKAGE = 0.03  # of the largest variance: directions of less are noise, and are not blown up
_MAX_SAMPLE = 20_000
_ROWS_AT_ONCE = 64

# The cut: as many pairs of unrelated videos as this are expected above it, in all of the data.
_EXPECTED = 0.1
_TAIL = 0.01
_MIN_TAIL = 50  # pairs; of fewer, no tail can be told
_LEAST = 0.3  # less in common is no sign of one source, however unlike each other the rest is
_SURE = 0.9  # the same footage, however alike the rest of the data is
_FEW = 0.5  # the cut where there are too few unrelated pairs to tell


@dataclass(frozen=True)
class Link:
    """Two related videos, by their indices in the list that was looked through.

    Attributes:
        first: The smaller index.
        second: The larger one.
        reason: `group`, `name`, `bytes`, `content` or `content, mirrored`.
        similarity: Similarity of the two, -1 to 1; None unless the link was found by content.
    """

    first: int
    second: int
    reason: str
    similarity: float | None = None


def key_links(videos: Sequence[Video], key: Callable[[Video], Hashable | None], reason: str) -> list[Link]:
    """A link between any two videos with the same key; None is no key."""
    indices: dict[Hashable, list[int]] = defaultdict(list)
    for index, video in enumerate(videos):
        if (found := key(video)) is not None:
            indices[found].append(index)
    return [
        Link(first, second, reason)
        for same in indices.values()
        for position, first in enumerate(same)
        for second in same[position + 1 :]
    ]


def content_links(
    descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int], unrelated: NDArray[np.bool_]
) -> list[Link]:
    """A link between any two videos that look alike beyond chance, as they are or mirrored.

    Args:
        descriptors: Descriptors of each video, `[2, n, D]`: of its frames, and of its frames mirrored.
        parts: Lengths of the parts of a descriptor, which add up to D; each part counts the same.
        unrelated: `[N, N]`, which pairs are known to be unrelated, or very nearly all of them.
    """
    if len(descriptors) < 2:
        return []
    alike, is_mirrored = similarities(descriptors, parts=parts)
    upper = np.triu(np.ones(alike.shape, dtype=np.bool_), k=1)
    limit = cut(alike[unrelated & upper], num_pairs=int(upper.sum()))
    found = np.argwhere(upper & (alike >= limit))
    return [
        Link(
            int(first),
            int(second),
            "content, mirrored" if is_mirrored[first, second] else "content",
            round(float(alike[first, second]), 3),
        )
        for first, second in found
    ]


def similarities(
    descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int]
) -> tuple[Vectors, NDArray[np.bool_]]:
    """How alike each pair of videos is `[N, N]`, from -1 to 1, and whether it is more so mirrored."""
    whiten = _whitening(descriptors, parts=parts)
    plain, mirrored = ([whiten(video[view]) for video in descriptors] for view in (0, 1))
    alike = _nearest_frames(plain, plain)
    alike_mirrored = _nearest_frames(plain, mirrored)
    is_mirrored = alike_mirrored > alike
    return np.maximum(alike, alike_mirrored, out=alike), is_mirrored


def _nearest_frames(videos: Sequence[Vectors], others: Sequence[Vectors]) -> Vectors:
    """How alike each pair is `[N, N]`: of each frame of one the nearest in the other, in the mean."""
    ends = np.cumsum([len(frames) for frames in videos])
    starts = ends - [len(frames) for frames in videos]
    columns = np.ascontiguousarray(np.concatenate(others).T)
    alike = np.empty((len(videos), len(videos)), dtype=np.float32)
    for begin in range(0, len(videos), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        own = np.concatenate(videos[rows])
        nearest = np.maximum.reduceat(own @ columns, starts, axis=1)
        sums = np.add.reduceat(nearest, starts[rows] - starts[begin], axis=0)
        alike[rows] = sums / (ends[rows] - starts[rows])[:, None]
    # A trimmed video is all in the other, not the other way round.
    return np.maximum(alike, alike.T)


def cut(unrelated: Vectors, *, num_pairs: int) -> float:
    """The similarity above which `num_pairs` unrelated pairs are expected to hold 0.1.

    The upper tail of the unrelated pairs is extrapolated: a generalised Pareto distribution (peaks over
    threshold; Pickands 1975), fitted by probability-weighted moments (Hosking and Wallis 1987). Its tail is
    taken to be exponential or shorter, as similarities end at 1.

    Args:
        unrelated: Similarities of pairs of unrelated videos, a few related ones among them at most.
        num_pairs: Number of pairs that will be compared to the cut.
    """
    if len(unrelated) < 2 * _MIN_TAIL:
        return _FEW
    share = max(_TAIL, _MIN_TAIL / len(unrelated))
    start = float(np.quantile(unrelated, 1 - share))
    excess = np.sort(unrelated[unrelated > start] - start).astype(np.float64)
    if not len(excess):
        return _SURE
    rank = (np.arange(len(excess)) + 0.65) / len(excess)
    mean, weighted = float(excess.mean()), float(np.mean(excess * (1 - rank)))
    shortness = float(np.clip(mean / (mean - 2 * weighted) - 2, 1e-6, 0.5))
    chance = min(1.0, _EXPECTED / (num_pairs * share))
    reach = mean * (1 + shortness) * (1 - chance**shortness) / shortness
    return float(np.clip(start + reach, _LEAST, _SURE))


def components(num_videos: int, links: Iterable[Link]) -> list[int]:
    """The number of the component, from 0, of each video: those that links join, directly or not."""
    ends = np.array([(link.first, link.second) for link in links], dtype=np.int64).reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(ends)), ends.T), shape=(num_videos, num_videos))
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _whitening(
    descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int]
) -> Callable[[NDArray[np.float16]], Vectors]:
    """What turns descriptors `[n, D]` into unit vectors in which no direction is common to all videos."""
    num_frames = sum(video.shape[1] for video in descriptors)
    every = -(-num_frames // _MAX_SAMPLE)
    sample = np.concatenate([video.reshape(-1, video.shape[-1]) for video in descriptors[::every]])
    sample = sample.astype(np.float32)
    mean = sample.mean(axis=0)
    lengths = [
        np.sqrt(np.mean(np.sum(part**2, axis=1)))
        for part in np.split(sample - mean, np.cumsum(parts)[:-1], 1)
    ]
    scale = np.repeat(1 / np.maximum(lengths, 1e-6), parts).astype(np.float32)
    centred = (sample - mean) * scale
    values, directions = np.linalg.eigh((centred.T @ centred / len(centred)).astype(np.float64))
    values, directions = values[::-1][:_NUM_DIRECTIONS], directions[:, ::-1][:, :_NUM_DIRECTIONS]
    floor = _SHRINKAGE * values[0] + 1e-12
    turn = (directions / np.sqrt(np.maximum(values, 0) + floor)).astype(np.float32)

    def whiten(frames: NDArray[np.float16]) -> Vectors:
        turned = ((frames.astype(np.float32) - mean) * scale) @ turn
        return np.asarray(turned / (np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9), dtype=np.float32)

    return whiten
