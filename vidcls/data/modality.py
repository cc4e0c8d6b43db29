"""What tells the modalities apart: frames, optical flow, differences of frames, and frames with either.

All that depends on `clip.modality` between a decoded file and a normalised batch is answered here: what a
moment needs, what a store holds of it, what a mirror and a resize do to its values, and what its bytes mean.

A moment is what one of the T frames of a clip shows: a frame of the video, or the step from frame k to
frame k + 1, of which a video of n frames has n - 1. Channels lie in the order of `clip.parts`: of RGB with
motion, RGB comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidcls.data.decoding.flow import STEP_PX, STILL
from vidcls.spec.sections import Clip

if TYPE_CHECKING:
    from vidcls.data.decoding.decode import Probe

_RGB_CHANNELS = 3
U, V = -2, -1
"""Channels of a flow field, from the end."""


def has_flow(clip: Clip) -> bool:
    """Whether the last two channels are a flow field: bytes of `vidcls.data.decoding.flow` in a store."""
    return "flow" in clip.parts


def has_difference(clip: Clip) -> bool:
    """Whether the last three channels are the next frame minus the sampled one."""
    return "difference" in clip.parts


def frames_each(clip: Clip) -> int:
    """Stored frames that one moment takes: a difference is taken between two, at the very end."""
    return 2 if has_difference(clip) else 1


def num_moments(probe: Probe, clip: Clip) -> int:
    """How many moments a video has to sample from (n).

    Args:
        probe: Probe of the video.
        clip: Says what a moment is.
    """
    if probe.decoder == "fields":
        return probe.num_frames
    if probe.num_fields is not None and has_flow(clip):
        return probe.num_fields
    return probe.num_frames - clip.has_motion


def unfit(probe: Probe, clip: Clip) -> str | None:
    """Why no clip can be made of a video; None where one can."""
    if probe.decoder == "fields" and clip.modality != "flow":
        return "holds flow fields, not frames: set clip.modality=flow"
    if num_moments(probe, clip) < 1:
        return f"holds one frame, and clip.modality: {clip.modality} needs two"
    return None


def needed_frames(moments: NDArray[np.int64], clip: Clip) -> NDArray[np.int64]:
    """The stored frames that moments of a clip need, `[T]`; for differences `[2 T]`: k, k + 1, ..."""
    if has_difference(clip):
        return np.stack([moments, moments + 1], axis=1).ravel()
    return moments


def frames_before(fields: Sequence[int], probe: Probe) -> list[int]:
    """The frame that each flow field starts at, where both are read.

    As many fields as frames, or one less, are those of each frame. Of a video file with more frames the
    fields are taken to lie between frames spread evenly from the first to the last, as the course made them.
    """
    assert probe.num_fields is not None, "fields are read beside the frames"
    if probe.num_frames - probe.num_fields in (0, 1):
        return list(fields)
    return [k * (probe.num_frames - 1) // probe.num_fields for k in fields]


def num_stored(probe: Probe, clip: Clip) -> int:
    """How many frames, or flow fields, a store of all of them holds of a video."""
    return num_moments(probe, clip) if has_flow(clip) else probe.num_frames


def stored_channels(clip: Clip) -> int:
    """Bytes that a store holds of each pixel; differences are taken when a clip is made."""
    return clip.num_channels if has_flow(clip) else _RGB_CHANNELS


def stores_frames_too(clip: Clip) -> bool:
    """Whether a store holds the frame before each flow field: red, green, blue, u, v."""
    return has_flow(clip) and "rgb" in clip.parts


def growth(clip: Clip, window: Sequence[int]) -> tuple[float, float]:
    """By how much a window `(h, w)` grows to the clip's size, across and down, where that changes values.

    A resize scales u and v with the picture.
    """
    if not has_flow(clip):
        return 1.0, 1.0
    return clip.size[1] / window[1], clip.size[0] / window[0]


def levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a byte of each channel is multiplied by, and what is then added, to normalise it: `[C]` each.

    Args:
        clip: Modality, mean and standard deviation.
        across: How many times wider than its window the clip is; u grows with it.
        down: How many times higher; v grows with it.
    """
    mean, std = (np.array(values, np.float64) for values in clip.normalisation)
    unit, still = np.full(clip.num_channels, 1 / 255), np.zeros(clip.num_channels)
    if has_flow(clip):
        unit[U:] = STEP_PX * np.array([across, down])
        still[U:] = STILL
    return unit / std, (-still * unit - mean) / std
