"""A file or a folder of frames -> chosen RGB frames, scaled. Runs in worker processes: no torch here."""

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
from vidcls.data.decoding.readers import Decoder, VideoFile, read

SeekPoints = tuple[tuple[int, int], ...]
"""(frame index, presentation timestamp in the stream's time base) of frames that decoding may start at."""


@dataclass(frozen=True)
class Probe:
    """What must be known of a file to read frames from it; comes from its `Inspection`.

    Attributes:
        num_frames: Decodable frames; the header's count is not trusted.
        height: Height of the first frame in pixels, rotation applied.
        width: Width of the first frame in pixels, rotation applied.
        fps: Average frames a second, None where unknown.
        decoder: Decoder that serves the file.
        seek_points: Where decoding may start other than at the first frame; empty where that is not proven
            to give the same frames, or saves nothing.
        num_fields: Flow fields that are read beside the frames; None where none are. Where fields alone are
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
    """How decoded frames are scaled before they are stored.

    Attributes:
        fit: `squeeze` gives exactly `size`. `crop` keeps the aspect ratio and covers 8/7 of `size`.
        size: Height and width in pixels.
    """

    fit: Literal["squeeze", "crop"]
    size: tuple[int, int]

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """The stored height and width of a frame of `height` x `width` pixels."""
        if self.fit == "squeeze":
            return self.size
        cover_height, cover_width = (-(-8 * side // 7) for side in self.size)
        scale = max(cover_height / height, cover_width / width)
        return max(cover_height, round(height * scale)), max(cover_width, round(width * scale))


def quiet_worker() -> None:
    """Set up a worker process: one thread, no chatter about broken files; errors come back as exceptions."""
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # decord's own log level leaves some messages in
    os.close(silence)


def decode(
    path: Path,
    frame_indices: Sequence[int] | None,
    *,
    size: tuple[int, int],
    decoder: Decoder,
    seek_points: SeekPoints = (),
) -> Pixels:
    """Frames of a file or folder, `[n, H, W, 3]` uint8 RGB, scaled to `size` `(H, W)`.

    Args:
        path: A video file, or a folder of frames.
        frame_indices: Which frames, sorted, repeats allowed; None is all.
        size: Height and width in pixels, as `Form.scaled` gives them.
        decoder: Decoder that the probe of the file names.
        seek_points: Seek points of the probe; they change how long it takes, not what is given.

    Raises:
        DecodeError: If a frame cannot be decoded or is not there.
    """
    if frame_indices is None:
        with contextlib.closing(read(path, decoder)) as reader:
            return np.stack([scale(load(), size) for load in reader])
    wanted = {int(index) for index in frame_indices}
    found = frames_at(path, wanted, decoder=decoder, seek_points=seek_points)
    frames = {index: scale(frame, size) for index, frame in found}
    if not frames.keys() >= wanted:
        raise DecodeError(f"ends before frame {max(wanted)}, which was there when it was probed", "corrupt")
    return np.stack([frames[int(index)] for index in frame_indices])


def frames_at(
    path: Path, wanted: Collection[int], *, decoder: Decoder, seek_points: SeekPoints
) -> Iterator[tuple[int, Pixels]]:
    """Each of the wanted frames that is there, in order: its index, and `[h, w, 3]` uint8 RGB as decoded.

    Args:
        path: A video file, or a folder of frames.
        wanted: Indices of frames, one or more.
        decoder: Decoder that the probe of the file names.
        seek_points: Seek points of the probe of the file.

    Raises:
        DecodeError: If a frame cannot be decoded.
    """
    if decoder == "pyav" and len(seek_points) > 1:
        return _sought(path, wanted, seek_points=seek_points)
    return _in_order(path, wanted, decoder)


def _in_order(path: Path, wanted: Collection[int], decoder: Decoder) -> Iterator[tuple[int, Pixels]]:
    last = max(wanted)
    with contextlib.closing(read(path, decoder)) as reader:
        for index, load in enumerate(reader):
            if index in wanted:
                yield index, load()
            if index == last:
                break


def _sought(path: Path, wanted: Collection[int], *, seek_points: SeekPoints) -> Iterator[tuple[int, Pixels]]:
    """The wanted frames, each decoded from the last seek point before it."""
    firsts = [first for first, _ in seek_points]
    parts: dict[int, list[int]] = {}
    for index in sorted(wanted):
        parts.setdefault(bisect.bisect_right(firsts, index) - 1, []).append(index)
    with VideoFile.open(path) as video:
        for part, indices in parts.items():
            first, stamp = seek_points[part]
            for index, frame in enumerate(video.frames_from(stamp), start=first):
                if index in indices:
                    yield index, video.rgb(frame)
                if index == indices[-1]:
                    break


def scale(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize `[h, w, 3]` to `size` `(H, W)`: by area when shrinking, bilinear when enlarging."""
    height, width = frame.shape[:2]
    if (height, width) == size:
        return frame
    shrinks = size[0] <= height and size[1] <= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size[1], size[0]), interpolation=how), dtype=np.uint8)
