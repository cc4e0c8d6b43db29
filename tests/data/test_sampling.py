from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcls.data.sampling import frame_indices, generator, reachable_frames
from vidcls.spec.sections import Clip

lengths = st.integers(1, 400)
clips = st.builds(Clip, frames=st.integers(1, 40), sampling=st.sampled_from(["uniform", "segment"]))


@given(lengths, clips, st.integers(0, 5))
def test_indices_are_sorted_in_range_repeatable_and_reachable(num_frames: int, clip: Clip, seed: int) -> None:
    for key in (None, ("clip", seed, 0, "v")):
        drawn = [frame_indices(num_frames, clip, rng=generator(*key) if key else None) for _ in range(2)]
        assert drawn[0].dtype == np.int64
        assert drawn[0].shape == (clip.frames,)
        assert (np.diff(drawn[0]) >= 0).all()
        assert 0 <= drawn[0][0] <= drawn[0][-1] < num_frames
        assert (drawn[0] == drawn[1]).all()
        assert np.isin(drawn[0], reachable_frames(num_frames, clip)).all()


@given(lengths, clips)
def test_a_short_video_repeats_each_frame_as_evenly_as_can_be(num_frames: int, clip: Clip) -> None:
    counts = np.bincount(frame_indices(num_frames, clip), minlength=num_frames)
    if num_frames < clip.frames:
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1
    else:
        assert counts.max() == 1


@given(lengths, st.integers(1, 40))
def test_uniform_is_the_floor_of_linspace(num_frames: int, num_sampled: int) -> None:
    if num_frames >= num_sampled:
        expected = np.floor(np.linspace(0, num_frames - 1, num_sampled)).astype(int)
        assert frame_indices(num_frames, Clip(frames=num_sampled)).tolist() == expected.tolist()


@given(st.integers(8, 400), st.integers(0, 100))
def test_segments_give_one_frame_each(num_frames: int, seed: int) -> None:
    clip = Clip(frames=8, sampling="segment")
    edges = np.arange(9) * num_frames // 8
    for rng in (None, generator(seed)):
        indices = frame_indices(num_frames, clip, rng=rng)
        assert (indices >= edges[:-1]).all()
        assert (indices < edges[1:]).all()


def test_segments_reach_every_frame_in_training() -> None:
    clip = Clip(frames=4, sampling="segment")
    drawn = {int(i) for epoch in range(200) for i in frame_indices(13, clip, rng=generator(0, epoch))}
    assert drawn == set(range(13))


def test_segments_give_their_middle_frame_in_evaluation() -> None:
    middle = [frame_indices(n, Clip(frames=4, sampling="segment")).tolist() for n in (10, 13, 20)]
    # Of 0 1, 2 3 4, 5 6, 7 8 9, or 0 1 2, 3 4 5, 6 7 8, 9 10 11 12: between two frames, the later one.
    assert middle == [[1, 3, 6, 8], [1, 4, 7, 11], [2, 7, 12, 17]]


@pytest.mark.parametrize(
    ("num_moments", "clip", "reachable"),
    [
        (9, Clip(frames=4), [0, 2, 5, 8]),
        (2, Clip(frames=4), [0, 1]),
        (9, Clip(frames=4, sampling="segment"), list(range(9))),
        (9, Clip(frames=4, modality="difference"), [0, 1, 2, 3, 5, 6, 8, 9]),
        (9, Clip(frames=4, modality="difference", sampling="segment"), list(range(10))),
    ],
)
def test_a_store_holds_no_more_frames_than_a_clip_can_need(
    num_moments: int, clip: Clip, reachable: list[int]
) -> None:
    assert reachable_frames(num_moments, clip).tolist() == reachable


def test_a_generator_is_keyed_by_the_hash_of_its_key_as_json() -> None:
    """Fixed, because a run that is resumed, or repeated by a later version, must draw the same clips."""
    digest = hashlib.blake2b(b'["clip", 0, 3, "v7"]', digest_size=16).digest()
    expected = np.random.Generator(np.random.Philox(key=struct.unpack("<2Q", digest)))
    assert generator("clip", 0, 3, "v7").random(4).tolist() == expected.random(4).tolist()


def test_generators_differ_by_every_part_of_their_key() -> None:
    keys = [
        ("clip", 0, 0, "a"),
        ("clip", 0, 1, "a"),
        ("clip", 1, 0, "a"),
        ("clip", 0, 0, "b"),
        ("order", 0, 0),
    ]
    assert len({float(generator(*key).random()) for key in keys}) == len(keys)
