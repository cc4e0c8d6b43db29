"""Which frames of a video make a clip, and where its random numbers come from. Pure functions."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from vidcls.spec.sections import ClipSection

Indices = NDArray[np.int64]


def generator(*key: int | str) -> np.random.Generator:
    """A random generator that depends on `key` alone, such as ("clip", seed, epoch, video id)."""
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def frame_indices(num_frames: int, clip: ClipSection, *, rng: np.random.Generator | None = None) -> Indices:
    """The frames of one clip: `[T]`, sorted, from 0 to `num_frames - 1`.

    `uniform` is floor(linspace(0, n-1, T)), in training and in evaluation. `segment` (TSN, Wang et al. 2016,
    arXiv:1608.00859) cuts the video into T segments as equal as can be and takes a random frame of each, or
    the middle one without `rng`. A video of n < T frames repeats each of them T/n times, rounded down or up.

    Args:
        num_frames: Decodable frames of the video (n), at least 1.
        clip: Number of frames (T) and rule.
        rng: Draws the frames in training; None in evaluation.
    """
    edges = np.arange(clip.frames + 1) * num_frames // clip.frames
    first, behind = edges[:-1], edges[1:]
    if num_frames < clip.frames:
        return first.astype(np.int64)
    if clip.sampling == "uniform":
        return np.floor(np.linspace(0, num_frames - 1, clip.frames)).astype(np.int64)
    if rng is None:
        return (first + (behind - first) // 2).astype(np.int64)
    return rng.integers(first, behind, dtype=np.int64)


def reachable_frames(num_frames: int, clip: ClipSection) -> Indices:
    """Every frame that `frame_indices` can give, sorted, each once: what a store must hold."""
    if clip.sampling == "uniform":
        return np.unique(frame_indices(num_frames, clip))
    return np.arange(num_frames)
