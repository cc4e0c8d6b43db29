"""All pairs of videos are compared, in blocks, with what the definition says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vidcls.leaks.relatives import content_links
from vidcls.leaks.similarity import Comparison

PARTS = (6, 4, 2)
Descriptors = NDArray[np.float16]


def some_videos(num: int, *, most: int = 8, seed: int = 0) -> list[Descriptors]:
    """Descriptors `[2, n, D]` of videos of one to `most` frames; frames of a video are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num, 2, 1, sum(PARTS)))
    return [
        (centre + 0.3 * rng.standard_normal((2, rng.integers(1, most + 1), sum(PARTS)))).astype(np.float16)
        for centre in centres
    ]


def by_definition(videos: Sequence[Descriptors]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Similarity and mirroring `[N, N]`, one pair at a time, from whitened frames of a video with itself."""
    frames = np.concatenate([video.reshape(-1, sum(PARTS)) for video in videos]).astype(np.float64)
    mean = frames.mean(axis=0)
    cuts = np.cumsum(PARTS)[:-1]
    scale = np.concatenate(
        [np.full(part.shape[1], (part**2).sum(1).mean() ** -0.5) for part in np.split(frames - mean, cuts, 1)]
    )
    values, directions = np.linalg.eigh(np.cov(((frames - mean) * scale).T, bias=True))
    turn = directions / np.sqrt(values + 0.03 * values.max())

    def whiten(view: Descriptors) -> NDArray[np.float64]:
        turned = (view.astype(np.float64) - mean) * scale @ turn
        return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True))

    def contained(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float((one @ other.T).max(axis=1).mean())

    plain, mirrored = ([whiten(video[view]) for video in videos] for view in (0, 1))
    num = len(videos)
    alike, mirror = np.empty((num, num)), np.empty((num, num))
    for i in range(num):
        for j in range(num):
            alike[i, j] = max(contained(plain[i], plain[j]), contained(plain[j], plain[i]))
            mirror[i, j] = max(contained(plain[i], mirrored[j]), contained(plain[j], mirrored[i]))
    return np.maximum(alike, mirror), mirror > alike


def test_blocks_say_what_the_definition_says() -> None:
    videos = some_videos(40)
    expected, is_mirrored = by_definition(videos)
    everything = np.arange(40)
    found, found_mirrored = Comparison(videos, parts=PARTS).between(everything, everything)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    clear = np.abs(expected) < 0.99
    assert (found_mirrored == is_mirrored)[clear].mean() > 0.999


@pytest.mark.parametrize("num", [2, 255, 256, 257, 600])
def test_every_pair_is_in_one_block(num: int) -> None:
    videos = Comparison(some_videos(num, most=2), parts=PARTS)
    seen = np.zeros((num, num), dtype=np.int64)
    told: list[tuple[int, int]] = []
    for rows, columns, alike, _ in videos.blocks(lambda done, total: told.append((done, total))):
        assert alike.shape == (len(rows), len(columns))
        seen[np.ix_(rows, columns)] += 1
    assert (seen[np.triu_indices(num)] == 1).all()
    assert told[-1][0] == told[-1][1] == len(told)


def test_copies_are_found_among_more_videos_than_the_threshold_is_made_from() -> None:
    rng = np.random.default_rng(1)
    wide = (40, 40, 40)
    videos = [rng.standard_normal((2, 2, sum(wide))).astype(np.float16) for _ in range(2_300)]
    copies = {(7, 2_290), (1_000, 1_001), (300, 900)}
    for first, second in copies:
        videos[second] = videos[first] + (0.05 * rng.standard_normal((2, 2, sum(wide)))).astype(np.float16)
    videos[2_100] = videos[50][::-1]
    labels = np.arange(2_300) % 5
    links = list(content_links(Comparison(videos, parts=wide), labels=labels))
    assert {(link.first, link.second) for link in links} == copies | {(50, 2_100)}
    assert {link.reason for link in links if link.first == 50} == {"content, mirrored"}


def test_one_video_has_no_relative() -> None:
    assert not list(content_links(Comparison(some_videos(1), parts=PARTS), labels=np.array([0])))
