"""Finds related videos: by group or name, or by visual content.

The comparison by content needs no setting: its threshold comes from pairs that are surely unrelated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from vidcls.arrays import Ints
from vidcls.data.manifest import Video
from vidcls.leaks.descriptors import Vectors
from vidcls.leaks.similarity import Comparison

_MAX_SAMPLE = 2_000  # videos; their two million pairs tell the tail well enough
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
    videos: Comparison, *, labels: Ints, progress: Callable[[int, int], None] | None = None
) -> Iterator[Link]:
    """Link any two videos that are more similar than by chance, unchanged or mirrored.

    Args:
        videos: Videos to compare.
        labels: Label of each video, `[N]`, -1 where it must not be used. Videos of different labels are
            unrelated, at least almost all of them.
        progress: Called with the number of compared blocks and of all blocks.
    """
    if len(videos) < 2:
        return
    limit = cut(_of_unrelated(videos, labels), num_pairs=len(videos) * (len(videos) - 1) // 2)
    for rows, columns, alike, is_mirrored in videos.blocks(progress):
        for row, column in np.argwhere((alike >= limit) & (rows[:, None] < columns)):
            yield Link(
                int(rows[row]),
                int(columns[column]),
                "content, mirrored" if is_mirrored[row, column] else "content",
                round(float(alike[row, column]), 3),
            )


def _of_unrelated(videos: Comparison, labels: Ints) -> Vectors:
    """Similarities of pairs that are surely unrelated; of many videos, those among a sample."""
    known = np.flatnonzero(labels >= 0)
    if len(known) > _MAX_SAMPLE:
        known = np.sort(np.random.default_rng(0).choice(known, _MAX_SAMPLE, replace=False))
    found: list[Vectors] = []
    for rows in np.split(known, range(_ROWS_AT_ONCE, len(known), _ROWS_AT_ONCE)):
        unrelated = (labels[rows][:, None] != labels[known]) & (rows[:, None] < known)
        found.append(videos.between(rows, known)[0][unrelated])
    return np.concatenate(found)


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
