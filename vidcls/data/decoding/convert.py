"""Converts decoded frames of PyAV to upright RGB. Runs in worker processes: must not import torch."""

from __future__ import annotations

import functools
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from vidcls.data.decoding.orientation import Orientation
from vidcls.data.decoding.pictures import Pixels, on_black


class RgbConverter:
    """Converts the frames of one video; used by one thread at a time."""

    def __init__(self) -> None:
        # One converter for all frames, as its setup is slow.
        self._reformatter = VideoReformatter()

    def rgb(self, frame: av.VideoFrame, *, size: tuple[int, int] | None = None) -> Pixels:
        """Frame as `[H, W, 3]`, with the orientation of the file applied; transparent parts are black.

        Args:
            frame: Decoded frame.
            size: Height and width in pixels, after rotation. A frame without transparency that shrinks to it
                is scaled while it is converted, by the mean over the area of each pixel: several times as
                fast as afterwards. Other frames stay as large as they are.

        Raises:
            DecodeError: If the orientation of the file is not supported, see `Orientation`.
        """
        # One thread, as several block each other.
        orientation = Orientation.of_frame(frame)
        if not has_alpha(frame.format.name):
            scaling: dict[str, Any] = {}
            if size is not None:
                height, width = size[::-1] if orientation.swaps_sides else size
                if height <= frame.height and width <= frame.width:
                    scaling = {"height": height, "width": width, "interpolation": Interpolation.AREA}
            converted = self._reformatter.reformat(frame, format="rgb24", threads=1, **scaling)
            pixels: Pixels = np.asarray(converted.to_ndarray(), dtype=np.uint8)
        else:
            converted = self._reformatter.reformat(frame, format="rgba", threads=1)
            pixels = on_black(np.asarray(converted.to_ndarray(), dtype=np.uint8))
        return orientation.upright(pixels)


@functools.cache
def has_alpha(pixel_format: str) -> bool:
    """Whether frames of a pixel format, named as in FFmpeg, may be transparent."""
    found = av.VideoFormat(pixel_format)
    return found.has_palette or any(component.is_alpha for component in found.components)
