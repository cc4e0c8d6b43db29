"""Small frames that are spread over a video whose length is not known. Needs no torch."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

import cv2
import numpy as np

from vidcls.data.decoding.convert import RgbConverter
from vidcls.data.decoding.pictures import Pixels
from vidcls.predict.frame_stream import TimedFrame

_MOST: Final = 48
_HEIGHT_PX: Final = 96


class Thumbnail(NamedTuple):
    """Small frame, `[h, w, 3]` RGB, and its time in seconds."""

    time_s: float
    pixels: Pixels


class Thumbnails:
    """Collects at most 48 small frames at equal distances; the distance doubles as the video goes on."""

    def __init__(self) -> None:
        self._converter = RgbConverter()
        self._kept: list[Thumbnail] = []
        self._every_s = Fraction(1, 16)
        self._next_s = Fraction(0)

    def see(self, frame: TimedFrame) -> None:
        """Take a frame if it is its turn."""
        if frame.time_s < self._next_s:
            return
        pixels = self._converter.rgb(frame.frame)
        width = max(1, round(pixels.shape[1] * _HEIGHT_PX / pixels.shape[0]))
        small = np.asarray(cv2.resize(pixels, (width, _HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8)
        self._kept.append(Thumbnail(float(frame.time_s), small))
        if len(self._kept) == _MOST:
            self._kept = self._kept[::2]
            self._every_s *= 2
        self._next_s = frame.time_s + self._every_s

    def chosen(self) -> tuple[Thumbnail, ...]:
        """Frames in order."""
        return tuple(self._kept)
