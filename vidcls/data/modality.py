"""Properties of the modalities: frames, optical flow, differences of frames, and frames with either.

This module defines everything that depends on `clip.modality` between a decoded file and a normalised batch:
the frames that a moment needs, its form in a store, the effect of a flip and a resize, and the meaning of its
bytes.

A moment is the content of one of the T frames of a clip: a frame of the video, or the step from frame k to
frame k + 1, of which a video of n frames has n - 1. Channels are in the order of `clip.parts`: in RGB with
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
"""Channel indices of a flow field, counted from the end."""


def has_flow(clip: Clip) -> bool:
    """Whether the last two channels are a flow field: bytes of `vidcls.data.decoding.flow` in a store."""
    return "flow" in clip.parts


def has_difference(clip: Clip) -> bool:
    """Whether the last three channels are the next frame minus the sampled one."""
    return "difference" in clip.parts


def frames_each(clip: Clip) -> int:
    """Number of stored frames per moment: a difference needs two, and is computed last."""
    return 2 if has_difference(clip) else 1


def num_moments(probe: Probe, clip: Clip) -> int:
    """Number of moments of a video to sample from (n).

    Args:
        probe: Probe of the video.
        clip: Clip section, which defines a moment.
    """
    if probe.decoder == "fields":
        return probe.num_frames
    if probe.num_fields is not None and has_flow(clip):
        return probe.num_fields
    return probe.num_frames - clip.has_motion


def unfit(probe: Probe, clip: Clip) -> str | None:
    """Reason why no clip can be made from a video; None if one can."""
    if probe.decoder == "fields" and clip.modality != "flow":
        return "contains flow fields, not frames: set clip.modality=flow"
    if num_moments(probe, clip) < 1:
        return f"has only one frame, but clip.modality: {clip.modality} needs two"
    return None


def needed_frames(moments: NDArray[np.int64], clip: Clip) -> NDArray[np.int64]:
    """Stored frames that the moments of a clip need, `[T]`; for differences `[2 T]`: k, k + 1, ..."""
    if has_difference(clip):
        return np.stack([moments, moments + 1], axis=1).ravel()
    return moments


def frames_before(fields: Sequence[int], probe: Probe) -> list[int]:
    """Frame at which each flow field starts, if both are read.

    If there are as many fields as frames, or one less, field k starts at frame k. For a video file with more
    frames, the fields are assumed between frames spread evenly from the first to the last, as in the course.
    """
    assert probe.num_fields is not None, "fields are read beside the frames"
    if probe.num_frames - probe.num_fields in (0, 1):
        return list(fields)
    return [k * (probe.num_frames - 1) // probe.num_fields for k in fields]


def num_stored(probe: Probe, clip: Clip) -> int:
    """Number of frames, or flow fields, of a video in a store of all of them."""
    return num_moments(probe, clip) if has_flow(clip) else probe.num_frames


def stored_channels(clip: Clip) -> int:
    """Number of stored bytes per pixel; differences are computed when a clip is made."""
    return clip.num_channels if has_flow(clip) else _RGB_CHANNELS


def stores_frames_too(clip: Clip) -> bool:
    """Whether a store holds the frame before each flow field: red, green, blue, u, v."""
    return has_flow(clip) and "rgb" in clip.parts


def growth(clip: Clip, window: Sequence[int]) -> tuple[float, float]:
    """Horizontal and vertical scale from a window `(h, w)` to the clip's size, if it changes values.

    A resize scales u and v with the picture; for other modalities the scale is 1.
    """
    if not has_flow(clip):
        return 1.0, 1.0
    return clip.size[1] / window[1], clip.size[0] / window[0]


def levels(clip: Clip, across: float, down: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and offset that normalise a byte of each channel: `[C]` each.

    Args:
        clip: Modality, mean and standard deviation.
        across: Ratio of the clip's width to the window's width; u scales with it.
        down: Ratio of the heights; v scales with it.
    """
    mean, std = (np.array(values, np.float64) for values in clip.normalisation)
    unit, still = np.full(clip.num_channels, 1 / 255), np.zeros(clip.num_channels)
    if has_flow(clip):
        unit[U:] = STEP_PX * np.array([across, down])
        still[U:] = STILL
    return unit / std, (-still * unit - mean) / std
