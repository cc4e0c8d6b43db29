"""Strips of frames of the clips that a data set of the user gives, for contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.user_dataset.checked import Expected, checked_clip, parts_of
from vidcls.data.user_dataset.construct import DatasetCode
from vidcls.data.user_dataset.items import Items, Request
from vidcls.data.videos import Video
from vidcls.errors import UserError
from vidcls.leaks.contact_sheet import NUM_FRAMES, fitted, side_by_side
from vidcls.leaks.descriptors import spread
from vidcls.spec.experiment import Spec


def read_clip_strips(
    videos: Sequence[Video],
    spec: Spec,
    *,
    size: tuple[int, int],
    progress: StageProgress,
) -> tuple[dict[str, Pixels], dict[str, str]]:
    """Draw the clip of each item as an evaluation sees it, a few frames side by side.

    Args:
        videos: Items of the data set.
        spec: Spec of the run, with the data set.
        size: Height and width in pixels of a frame; it is scaled to fit, and the rest is white.
        progress: Called in the stage `draw`.

    Returns:
        `[H, NUM_FRAMES * W, 3]` uint8 RGB by id, and the reason why an item cannot be drawn, by id.
    """
    channels, frames = spec.clip.num_channels, spec.clip.frames
    expected = Expected((channels, frames, 0, 0), 0, has_bytes=True)  # labels are not looked at
    items = Items(DatasetCode.of(spec.data), expected)
    strips: dict[str, Pixels] = {}
    without: dict[str, str] = {}
    for done, video in enumerate(videos, start=1):
        assert video.item is not None
        where = items.name(video.item)
        try:
            clip, _ = parts_of(items.raw(Request(video.item)), where)
            # Without a size in the spec it came from the weights, which are not read here.
            shape = (channels, frames, *tuple(getattr(clip, "shape", ()))[2:])
            found = checked_clip(clip, where, replace(expected, shape=shape))
        except UserError as error:
            without[video.id] = error.message
        else:
            strips[video.id] = _strip(found.numpy(), size)
        progress("draw", done, len(videos))
    return strips, without


def _strip(clip: np.ndarray, size: tuple[int, int]) -> Pixels:
    """Frames of a clip `[C, T, H, W]`; those of three channels are taken for RGB, else their mean is drawn.

    Values that are not grey levels are stretched from the lowest to the highest of the clip.
    """
    chosen = clip[:, spread(clip.shape[1], NUM_FRAMES)]
    if chosen.dtype != np.uint8:
        lowest, highest = float(clip.min()), float(clip.max())
        chosen = (chosen - lowest) * (255 / max(highest - lowest, 1e-12))
    if len(chosen) != 3:
        chosen = np.repeat(chosen.mean(axis=0, keepdims=True), 3, axis=0)
    frames = np.rint(chosen).astype(np.uint8).transpose(1, 2, 3, 0)
    scaled = fitted(frames.shape[1:3], size)[::-1]
    shown: list[Pixels] = [
        cv2.resize(np.ascontiguousarray(frame), scaled, interpolation=cv2.INTER_AREA)  # type: ignore[misc]
        for frame in frames
    ]
    return side_by_side(shown, size)
