"""Which moments of a video make a clip, and where its random numbers come from. Pure functions.

What a moment is, `vidcls.data.modality` says.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from vidcls.data.modality import needed_frames
from vidcls.spec.sections import Clip

Indices = NDArray[np.int64]


def generator(*key: int | str) -> np.random.Generator:
    """A random generator that depends on `key` alone, such as ("clip", seed, epoch, video id)."""
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def frame_indices(num_moments: int, clip: Clip, *, rng: np.random.Generator | None = None) -> Indices:
    """The moments of one clip: `[T]`, sorted, from 0 to `num_moments - 1`.

    `uniform` is floor(linspace(0, n-1, T)), in training and in evaluation. `segment` (TSN, Wang et al. 2016,
    arXiv:1608.00859) cuts the video into T segments as equal as can be and takes a random frame of each, or
    the middle one without `rng`. A video of n < T frames repeats each of them T/n times, rounded down or up.

    Args:
        num_moments: Number of moments of the video (n), at least 1.
        clip: Number of frames (T) and rule.
        rng: Draws the frames in training; None in evaluation.
    """
    edges = np.arange(clip.frames + 1) * num_moments // clip.frames
    first, behind = edges[:-1], edges[1:]
    if num_moments < clip.frames:
        return first.astype(np.int64)
    if clip.sampling == "uniform":
        return np.floor(np.linspace(0, num_moments - 1, clip.frames)).astype(np.int64)
    if rng is None:
        return (first + (behind - first) // 2).astype(np.int64)
    return rng.integers(first, behind, dtype=np.int64)


def reachable_frames(num_moments: int, clip: Clip) -> Indices:
    """Every frame that a clip can need, sorted, each once: what a store must hold."""
    moments = frame_indices(num_moments, clip) if clip.sampling == "uniform" else np.arange(num_moments)
    return np.unique(needed_frames(moments, clip))
