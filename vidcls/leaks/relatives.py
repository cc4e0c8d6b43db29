"""Finds related videos: by group or name, or by visual content.

The comparison by content needs no label and no setting. The descriptors of all frames are whitened together,
so that features common to most videos count little. The similarity of two videos is the mean similarity of
the frames of one to their nearest frames in the other. The threshold comes from pairs that are surely
unrelated.
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
_SHRINKAGE = 0.03  # share of the largest variance; smaller directions are noise and are not amplified
_MAX_SAMPLE = 20_000
_ROWS_AT_ONCE = 64

# Expected number of unrelated pairs above the threshold, in all of the data.
_EXPECTED = 0.1
_TAIL = 0.01
_MIN_TAIL = 50  # pairs; with fewer, no tail can be fitted
_LEAST = 0.3  # lowest threshold: less similarity is no sign of a common source
_SURE = 0.9  # highest threshold: such pairs show the same footage in any data
_FEW = 0.5  # threshold if there are too few unrelated pairs for an estimate


@dataclass(frozen=True)
class Link:
    """Two related videos, by their indices in the searched list.

    Attributes:
        first: Smaller index.
        second: Larger index.
        reason: `group`, `name`, `bytes`, `content` or `content, mirrored`.
        similarity: Similarity of the two, -1 to 1; None unless the link was found by content.
    """

    first: int
    second: int
    reason: str
    similarity: float | None = None


def key_links(videos: Sequence[Video], key: Callable[[Video], Hashable | None], reason: str) -> list[Link]:
    """Link any two videos with the same key; None is no key."""
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
    """Link any two videos that are more similar than by chance, unchanged or mirrored.

    Args:
        descriptors: Descriptors of each video, `[2, n, D]`: of its frames, and of its mirrored frames.
        parts: Lengths of the parts of a descriptor, which add up to D; each part has the same weight.
        unrelated: `[N, N]`, pairs that are known to be unrelated, at least almost all of them.
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
    """Similarity of each pair of videos `[N, N]`, -1 to 1, and whether it is higher with one mirrored."""
    whiten = _whitening(descriptors, parts=parts)
    plain, mirrored = ([whiten(video[view]) for video in descriptors] for view in (0, 1))
    alike = _nearest_frames(plain, plain)
    alike_mirrored = _nearest_frames(plain, mirrored)
    is_mirrored = alike_mirrored > alike
    return np.maximum(alike, alike_mirrored, out=alike), is_mirrored


def _nearest_frames(videos: Sequence[Vectors], others: Sequence[Vectors]) -> Vectors:
    """Similarity of each pair `[N, N]`: mean over the frames of one to the nearest frame of the other."""
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
    # A trimmed video is contained in the other one, but not the reverse, so take the larger similarity.
    return np.maximum(alike, alike.T)


def cut(unrelated: Vectors, *, num_pairs: int) -> float:
    """Similarity threshold above which 0.1 of `num_pairs` unrelated pairs are expected.

    The upper tail of the unrelated pairs is extrapolated by a generalised Pareto distribution (peaks over
    threshold; Pickands 1975), fitted by probability-weighted moments (Hosking and Wallis 1987). Its tail is
    assumed exponential or shorter, as similarities end at 1.

    Args:
        unrelated: Similarities of pairs of unrelated videos, with at most a few related pairs among them.
        num_pairs: Number of pairs that will be compared to the threshold.
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
    """Component number, from 0, of each video; links join videos of a component, directly or indirectly."""
    ends = np.array([(link.first, link.second) for link in links], dtype=np.int64).reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(ends)), ends.T), shape=(num_videos, num_videos))
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _whitening(
    descriptors: Sequence[NDArray[np.float16]], *, parts: Sequence[int]
) -> Callable[[NDArray[np.float16]], Vectors]:
    """Function from descriptors `[n, D]` to unit vectors in which no direction is common to all videos."""
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
