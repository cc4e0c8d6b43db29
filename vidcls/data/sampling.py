"""Which moments of a video make a clip, and where its random numbers come from. Pure functions.

A moment is what one of the T frames of a clip shows: a frame of the video, or the step from frame k to
frame k + 1, of which a video of n frames has n - 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidcls.spec.sections import Clip

if TYPE_CHECKING:
    from vidcls.data.decoding.decode import Probe

Indices = NDArray[np.int64]


def generator(*key: int | str) -> np.random.Generator:
    """A random generator that depends on `key` alone, such as ("clip", seed, epoch, video id)."""
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def num_moments(probe: Probe, clip: Clip) -> int:
    """How many moments a video has to sample from (n).

    Args:
        probe: Probe of the video.
        clip: Says what a moment is.
    """
    if probe.decoder == "fields":
        return probe.num_frames
    if probe.num_fields is not None and "flow" in clip.parts:
        return probe.num_fields
    return probe.num_frames - clip.has_motion


def frames_before(fields: Sequence[int], probe: Probe) -> list[int]:
    """The frame that each flow field starts at, where both are read.

    As many fields as frames, or one less, are those of each frame. Of a video file with more frames the
    fields are taken to lie between frames spread evenly from the first to the last, as the course made them.
    """
    assert probe.num_fields is not None, "fields are read beside the frames"
    if probe.num_frames - probe.num_fields in (0, 1):
        return list(fields)
    return [k * (probe.num_frames - 1) // probe.num_fields for k in fields]


def unfit(probe: Probe, clip: Clip) -> str | None:
    """Why no clip can be made of a video; None where one can."""
    if probe.decoder == "fields" and clip.modality != "flow":
        return "holds flow fields, not frames: set clip.modality=flow"
    if num_moments(probe, clip) < 1:
        return f"holds one frame, and clip.modality: {clip.modality} needs two"
    return None


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


def needed_frames(moments: Indices, clip: Clip) -> Indices:
    """The stored frames that moments of a clip need, `[T]`; for differences `[2 T]`: k, k + 1, ..."""
    if "difference" in clip.parts:
        return np.stack([moments, moments + 1], axis=1).ravel()
    return moments


def reachable_frames(num_moments: int, clip: Clip) -> Indices:
    """Every frame that a clip can need, sorted, each once: what a store must hold."""
    moments = frame_indices(num_moments, clip) if clip.sampling == "uniform" else np.arange(num_moments)
    return np.unique(needed_frames(moments, clip))
