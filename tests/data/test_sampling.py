from __future__ import annotations

import numpy as np
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


def test_generators_differ_by_every_part_of_their_key() -> None:
    keys = [
        ("clip", 0, 0, "a"),
        ("clip", 0, 1, "a"),
        ("clip", 1, 0, "a"),
        ("clip", 0, 0, "b"),
        ("order", 0, 0),
    ]
    assert len({float(generator(*key).random()) for key in keys}) == len(keys)
