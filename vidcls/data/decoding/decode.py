"""Decodes chosen frames of a file or folder to scaled RGB. Runs in worker processes: imports no torch."""

from __future__ import annotations

import bisect
import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.readers import Decoder, VideoFile, open_decord, read, seek_decord

SeekPoints = tuple[tuple[int, int], ...]
"""(frame index, presentation timestamp in the stream's time base) of frames at which decoding may start. For
decord, which knows the timestamps itself, they are 0."""


@dataclass(frozen=True)
class Probe:
    """Facts about a file that are needed to read frames from it; taken from its `Inspection`.

    Attributes:
        num_frames: Number of decodable frames; the count in the header is not trusted.
        height: Height of the first frame in pixels, after rotation.
        width: Width of the first frame in pixels, after rotation.
        fps: Average frames per second; None if unknown.
        decoder: Decoder of the file.
        seek_points: Frames at which decoding may start besides the first; empty if that is not proven to give
            the same frames, or saves nothing.
        num_fields: Number of flow fields that are read besides the frames; None for none. If only fields are
            read, `num_frames` counts them.
    """

    num_frames: int
    height: int
    width: int
    fps: float | None
    decoder: Decoder
    seek_points: SeekPoints = ()
    num_fields: int | None = None


@dataclass(frozen=True)
class Form:
    """Scaling of decoded frames before they are stored.

    Attributes:
        fit: `squeeze` scales to exactly `size`. `crop` keeps the aspect ratio and covers 8/7 of `size`.
        size: Height and width in pixels.
    """

    fit: Literal["squeeze", "crop"]
    size: tuple[int, int]

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Stored height and width of a frame of `height` x `width` pixels."""
        if self.fit == "squeeze":
            return self.size
        cover_height, cover_width = (-(-8 * side // 7) for side in self.size)
        scale = max(cover_height / height, cover_width / width)
        return max(cover_height, round(height * scale)), max(cover_width, round(width * scale))


def quiet_worker() -> None:
    """Set up a worker process: one thread, no log lines about broken files; errors are raised."""
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # decord's own log level does not hide all messages
    os.close(silence)


def decode(
    path: Path,
    frame_indices: Sequence[int] | None,
    *,
    size: tuple[int, int],
    decoder: Decoder,
    seek_points: SeekPoints = (),
) -> Pixels:
    """Decode frames of a file or folder, `[n, H, W, 3]` uint8 RGB, scaled to `size` `(H, W)`.

    Args:
        path: Video file, or folder of frames.
        frame_indices: Sorted frame indices, repeats allowed; None for all frames.
        size: Height and width in pixels, as from `Form.scaled`.
        decoder: Decoder from the probe of the file.
        seek_points: Seek points from the probe; they affect the speed, not the result.

    Raises:
        DecodeError: If a frame is missing or cannot be decoded.
    """
    if frame_indices is None:
        with contextlib.closing(read(path, decoder, size=size)) as reader:
            return np.stack([scale(load(), size) for load in reader])
    wanted = {int(index) for index in frame_indices}
    found = frames_at(path, wanted, decoder=decoder, seek_points=seek_points, size=size)
    frames = {index: scale(frame, size) for index, frame in found}
    if not frames.keys() >= wanted:
        raise DecodeError(f"ends before frame {max(wanted)}, which was there at the first look", "corrupt")
    return np.stack([frames[int(index)] for index in frame_indices])


def frames_at(
    path: Path,
    wanted: Collection[int],
    *,
    decoder: Decoder,
    seek_points: SeekPoints,
    size: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Pixels]]:
    """Yield each existing wanted frame in order: its index, and `[h, w, 3]` uint8 RGB.

    Args:
        path: Video file, or folder of frames.
        wanted: One or more frame indices.
        decoder: Decoder from the probe of the file.
        seek_points: Seek points from the probe of the file.
        size: Height and width to which PyAV scales frames, see `RgbConverter.rgb`; others do not.

    Raises:
        DecodeError: If a frame cannot be decoded.
    """
    if len(seek_points) > 1:
        if decoder == "decord":
            reader = open_decord(path)
            return ((index, seek_decord(reader, index)) for index in sorted(wanted))
        return _sought(path, wanted, seek_points=seek_points, size=size)
    return _in_order(path, wanted, decoder, size=size)


def _in_order(
    path: Path, wanted: Collection[int], decoder: Decoder, *, size: tuple[int, int] | None
) -> Iterator[tuple[int, Pixels]]:
    last = max(wanted)
    with contextlib.closing(read(path, decoder, size=size)) as reader:
        for index, load in enumerate(reader):
            if index in wanted:
                yield index, load()
            if index == last:
                break


def _sought(
    path: Path, wanted: Collection[int], *, seek_points: SeekPoints, size: tuple[int, int] | None
) -> Iterator[tuple[int, Pixels]]:
    """Yield the wanted frames, each decoded from the last seek point before it."""
    firsts = [first for first, _ in seek_points]
    parts: dict[int, list[int]] = {}
    for index in sorted(wanted):
        parts.setdefault(bisect.bisect_right(firsts, index) - 1, []).append(index)
    with VideoFile.open(path) as video:
        for part, indices in parts.items():
            first, stamp = seek_points[part]
            for index, frame in enumerate(video.frames_from(stamp), start=first):
                if index in indices:
                    yield index, video.rgb(frame, size=size)
                if index == indices[-1]:
                    break


def scale(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize `[h, w, 3]` to `size` `(H, W)`: area interpolation to shrink, bilinear to enlarge."""
    height, width = frame.shape[:2]
    if (height, width) == size:
        return frame
    shrinks = size[0] <= height and size[1] <= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size[1], size[0]), interpolation=how), dtype=np.uint8)
