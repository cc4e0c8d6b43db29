"""All pairs of videos are compared, in blocks, with what the definition says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vidcls.leaks.relatives import Link, content_links, cut
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


def by_definition(
    videos: Sequence[Descriptors], *, parts: Sequence[int] = PARTS, num_directions: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Similarity and mirroring `[N, N]`, one pair at a time, from whitened frames of a video with itself."""
    frames = np.concatenate([video.reshape(-1, sum(parts)) for video in videos]).astype(np.float64)
    mean = frames.mean(axis=0)
    cuts = np.cumsum(parts)[:-1]
    scale = np.concatenate(
        [np.full(part.shape[1], (part**2).sum(1).mean() ** -0.5) for part in np.split(frames - mean, cuts, 1)]
    )
    values, directions = np.linalg.eigh(np.cov(((frames - mean) * scale).T, bias=True))
    turn = directions / np.sqrt(values + 0.03 * values.max())
    turn = turn[:, np.argsort(-values)[:num_directions]]

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
    assert found.dtype == np.float32  # so that those of many videos fit into the memory
    clear = np.abs(expected) < 0.99
    assert (found_mirrored == is_mirrored)[clear].mean() > 0.999


def test_each_part_has_the_same_weight_however_small_its_numbers() -> None:
    size = np.repeat(np.float16([0.01, 0.2, 20]), PARTS)
    videos = [video * size for video in some_videos(20)]
    found, _ = Comparison(videos, parts=PARTS).between(np.arange(20), np.arange(20))
    np.testing.assert_allclose(found, by_definition(videos)[0], atol=1e-4)


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


def test_videos_without_any_difference_are_like_nothing() -> None:
    """What is common to all videos is no sign of a common source; nor is a part that is empty in all."""
    frame = np.linspace(-1, 1, sum(PARTS)).astype(np.float16)
    same = [np.broadcast_to(frame, (2, 3, sum(PARTS)))] * 4
    found, _ = Comparison(same, parts=PARTS).between(np.arange(4), np.arange(4))
    np.testing.assert_array_equal(found, 0)

    videos = some_videos(10)
    expected = by_definition([video[..., :10] for video in videos], parts=PARTS[:2])[0]
    for video in videos:
        video[..., 10:] = 7
    found, _ = Comparison(videos, parts=PARTS).between(np.arange(10), np.arange(10))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_directions_in_which_videos_differ_least_are_left_out() -> None:
    """With more than 256 numbers a frame, those of the least variance count for nothing."""
    wide = (200, 100)
    rng = np.random.default_rng(3)
    strength = np.linspace(1.0, 0.1, sum(wide))
    videos = [(strength * rng.standard_normal((2, 30, sum(wide)))).astype(np.float16) for _ in range(12)]
    expected = by_definition(videos, parts=wide, num_directions=256)[0]
    without = by_definition(videos, parts=wide, num_directions=255)[0]
    found, _ = Comparison(videos, parts=wide).between(np.arange(12), np.arange(12))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected - without).max() > 1e-3


@pytest.mark.parametrize(("num", "counts"), [(20_000, True), (20_001, False)])
def test_of_very_many_frames_every_second_video_tells_what_is_common(num: int, counts: bool) -> None:
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((400, 2, 50, 3)).astype(np.float16)
    other = plain.copy()
    other[1::2] *= np.arange(3, 12, 3, dtype=np.float16)
    longer = rng.standard_normal((2, 50 + num - 20_000, 3)).astype(np.float16)
    some = np.arange(0, 20, 2)
    found, changed = (
        Comparison([longer, *each[1:]], parts=(2, 1)).between(some, some)[0] for each in (plain, other)
    )
    assert (np.abs(found - changed).max() > 0.01) == counts


def test_progress_is_told_block_by_block() -> None:
    """Blocks of 256 videos with themselves and with those that follow."""
    videos = Comparison(some_videos(600, most=1), parts=PARTS)
    told: list[tuple[int, int]] = []
    list(videos.blocks(lambda done, total: told.append((done, total))))
    assert told == [(done, 6) for done in range(1, 7)]
    assert [(rows[0], columns[0]) for rows, columns, *_ in videos.blocks()] == [
        (0, 0),
        (0, 256),
        (0, 512),
        (256, 256),
        (256, 512),
        (512, 512),
    ]
    told.clear()
    assert list(content_links(videos, labels=np.zeros(600, np.int64), progress=lambda *now: told.append(now)))
    assert told == [(done, 6) for done in range(1, 7)]


def related_videos(num: int, *, num_pairs: int, seed: int = 8) -> list[Descriptors]:
    """Videos of which the first `num_pairs` pairs are from all but equal to all but unrelated."""
    rng = np.random.default_rng(seed)
    videos = rng.standard_normal((num, 2, 1, 60))
    noise = np.linspace(0, 3, num_pairs)[:, None, None, None]
    videos[1 : 2 * num_pairs : 2] = videos[: 2 * num_pairs : 2] + noise * videos[1 : 2 * num_pairs : 2]
    videos[1 : 2 * num_pairs : 4] = videos[1 : 2 * num_pairs : 4, ::-1]
    return list(videos.astype(np.float16))


def linked(videos: Comparison, limit: float) -> list[tuple[int, int, str, float]]:
    everything = np.arange(len(videos))
    alike, is_mirrored = videos.between(everything, everything)
    return [
        (i, j, "content, mirrored" if is_mirrored[i, j] else "content", round(float(alike[i, j]), 3))
        for i, j in zip(*np.nonzero(np.triu(alike >= limit, 1)), strict=True)
    ]


def found_links(videos: Comparison, labels: NDArray[np.int64]) -> list[tuple[int, int, str, float | None]]:
    return sorted(
        (link.first, link.second, link.reason, link.similarity)
        for link in content_links(videos, labels=labels)
    )


def test_links_are_the_pairs_above_what_pairs_of_two_labels_reach() -> None:
    """A label of -1 must not be used: nothing is known of such a video, though it is compared."""
    num = 150
    videos = Comparison(related_videos(num, num_pairs=70), parts=(30, 20, 10))
    labels = np.arange(num) // 2 % 7  # those of a pair have one label
    labels[[3, 80, 149]] = -1
    alike, _ = videos.between(np.arange(num), np.arange(num))
    unrelated = [
        alike[i, j]
        for i in range(num)
        for j in range(i + 1, num)
        if labels[i] != labels[j] and min(labels[i], labels[j]) >= 0
    ]
    expected = linked(videos, cut(np.array(unrelated), num_pairs=num * (num - 1) // 2))
    assert found_links(videos, labels) == expected
    assert 20 < len(expected) < 70
    assert {reason for _, _, reason, _ in expected} == {"content", "content, mirrored"}
    assert (2, 3) in {(first, second) for first, second, _, _ in expected}


@pytest.mark.parametrize("seed", [46, 93, 139, 153])
def test_each_pair_counts_once_for_the_threshold(seed: int) -> None:
    """Of so few videos, a few pairs more or less move the threshold past one of these."""
    videos = Comparison(
        [video[..., :12] for video in related_videos(20, num_pairs=9, seed=seed)], parts=PARTS
    )
    labels = np.arange(20) // 2
    alike, _ = videos.between(np.arange(20), np.arange(20))
    unrelated = alike[np.triu(labels[:, None] != labels, 1)]
    expected, more, less = (linked(videos, cut(unrelated, num_pairs=num)) for num in (190, 210, 180))
    assert found_links(videos, labels) == expected
    assert expected != more or expected != less


def test_where_no_label_may_be_used_the_threshold_is_a_half() -> None:
    videos = Comparison(related_videos(40, num_pairs=15), parts=(30, 20, 10))
    expected = linked(videos, 0.5)
    assert 3 < len(expected) < 15
    assert found_links(videos, np.full(40, -1)) == expected


def test_the_threshold_of_many_videos_is_that_of_a_sample_of_fixed_choice() -> None:
    num = 2_100
    narrow = [video[..., :40] for video in related_videos(num, num_pairs=700)]
    videos = Comparison(narrow, parts=(34, 4, 2))
    labels = np.arange(num) // 2 % 5
    labels[:50] = -1
    sample = np.sort(np.random.default_rng(0).choice(np.arange(50, num), 2_000, replace=False))
    alike, _ = videos.between(sample, sample)
    is_unrelated = np.triu(labels[sample][:, None] != labels[sample], 1)
    expected = linked(videos, cut(alike[is_unrelated], num_pairs=num * (num - 1) // 2))
    assert found_links(videos, labels) == expected
    assert 200 < len(expected) < 700


def test_a_similarity_at_the_threshold_is_a_link() -> None:
    """Nothing is known of two videos, so that the threshold is 0.5; one frame in two is the same, either way."""
    up, right = np.float16([0, 1]), np.float16([1, 0])
    one = np.stack([[right, up], [-right, -up]])
    other = np.stack([[right, -up], [-right, up]])
    links = list(content_links(Comparison([one, other], parts=(1, 1)), labels=np.array([0, 1])))
    assert links == [Link(0, 1, "content", 0.5)]
