"""Samples the moments of a video for a clip, and makes its random generator. Pure functions.

A moment is defined in `vidcls.data.modality`.
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
    """Random generator that depends only on `key`, such as ("clip", seed, epoch, video id)."""
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def frame_indices(num_moments: int, clip: Clip, *, rng: np.random.Generator | None = None) -> Indices:
    """Moments of one clip: `[T]`, sorted, from 0 to `num_moments - 1`.

    `uniform` is floor(linspace(0, n-1, T)), in training and in evaluation. `segment` (TSN, Wang et al. 2016,
    arXiv:1608.00859) divides the video into T segments of nearly equal length and takes a random frame of
    each, or the middle one without `rng`. A video of n < T frames repeats each frame T/n times, rounded.

    Args:
        num_moments: Number of moments of the video (n), at least 1.
        clip: Clip section with the number of frames (T) and the sampling rule.
        rng: Random generator for training; None for evaluation.
    """
    edges = np.arange(clip.frames + 1) * num_moments // clip.frames
    first, behind = edges[:-1], edges[1:]
    if num_moments < clip.frames:
        return first.astype(np.int64)
    if clip.sampling == "uniform":
        return np.floor(np.linspace(0, num_moments - 1, clip.frames)).astype(np.int64)
    if rng is None:
        return (first + (behind - first) // 2).astype(np.int64)
    return rng.integers(first, behind)


def reachable_frames(num_moments: int, clip: Clip) -> Indices:
    """All frames that a clip can need, sorted, each once: the frames that a store must hold."""
    moments = frame_indices(num_moments, clip) if clip.sampling == "uniform" else np.arange(num_moments)
    return np.unique(needed_frames(moments, clip))
