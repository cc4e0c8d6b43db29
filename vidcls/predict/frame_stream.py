"""Frames with their times, one after another: of a file, of standard input, of a camera. Needs no torch.

Times are presentation timestamps, counted from the first frame. AVI has none: FFmpeg numbers its frames in
the order in which they are decoded, so those of files with B-frames are put in order here. A frame whose
timestamp is missing, or is not after that of the frame before, follows it at the frame rate of the file.
"""

from __future__ import annotations

import contextlib
import heapq
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av

from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.containers import opened_stdin
from vidcls.data.decoding.errors import DecodeError, until_error
from vidcls.data.decoding.readers import VideoFile
from vidcls.errors import UserError

_DECODE_ORDER = ("avi", "h264", "hevc", "m4v", "mpegvideo", "h261", "h263", "vc1", "dv")
"""Containers, by FFmpeg's names, whose timestamps are in the order of decoding."""
_MOST_REORDERED = 16
"""Maximum number of frames that a codec holds back to reorder them (H.264 and HEVC)."""


class TimedFrame(NamedTuple):
    """Decoded frame.

    Attributes:
        time_s: Start of its presentation, in seconds after the first frame.
        end_s: End of its presentation as the file says it, or by the frame rate; `time_s` if unknown.
        frame: Frame as PyAV gives it, not rotated yet.
    """

    time_s: Fraction
    end_s: Fraction
    frame: av.VideoFrame


class FrameStream(Protocol):
    """Source of frames in the order of their times.

    Attributes:
        duration_s: Duration in seconds according to the source; None if unknown.
    """

    duration_s: float | None

    def frames(self) -> Iterator[TimedFrame]:
        """Yield the frames; used by one thread."""

    def remarks(self) -> list[str]:
        """Remarks for the user about the frames so far."""


class VideoStream:
    """Frames of an opened video.

    Args:
        video: Video of which no frame was read yet.
    """

    def __init__(self, video: VideoFile) -> None:
        self._video = video
        stream = video.stream
        rate = stream.average_rate or stream.guessed_rate
        self._tick_s = Fraction(stream.time_base or 0)
        self._step_s = 1 / Fraction(rate) if rate else None
        self._num_untimed = 0
        self._num_frames = 0
        self.duration_s = _duration_s(video)

    def frames(self) -> Iterator[TimedFrame]:
        """Yield the frames in order of presentation.

        Raises:
            DecodeError: If a frame cannot be decoded and data follows it, or its time is unknown.
        """
        begin: Fraction | None = None
        last = Fraction(-1)
        for stamp, frame in self._stamped():
            self._num_frames += 1
            stamp_s = None if stamp is None else stamp * self._tick_s
            if begin is None:
                begin = stamp_s if stamp_s is not None else Fraction(0)
            time_s = Fraction(0) if last < 0 else None if stamp_s is None else stamp_s - begin
            if time_s is None or time_s <= last:
                time_s = last + self._step(self._num_frames)
            last = time_s
            shown_s = (frame.duration or 0) * self._tick_s or self._step_s or Fraction(0)
            yield TimedFrame(time_s, time_s + shown_s, frame)

    def remarks(self) -> list[str]:
        """Remarks on times and on an early end."""
        said = []
        if self._num_untimed:
            said.append(
                f"{self._num_untimed} of {self._num_frames} frames have no usable timestamp: their times "
                "come from the frame rate"
            )
        if self._video.stopped:
            said.append(f"ends early: {self._video.stopped}")
        return said

    def _stamped(self) -> Iterator[tuple[int | None, av.VideoFrame]]:
        """Frames with their timestamps in order."""
        is_mixed = self._video.container.format.name in _DECODE_ORDER
        held_back = _MOST_REORDERED if is_mixed else 0
        waiting: deque[av.VideoFrame] = deque()
        stamps: list[int] = []
        errors: list[DecodeError] = []
        for frame in until_error(self._video.frames(), errors):
            waiting.append(frame)
            if frame.pts is not None:
                heapq.heappush(stamps, frame.pts)
            if len(waiting) > held_back:
                yield (heapq.heappop(stamps) if stamps else None), waiting.popleft()
        while waiting:
            yield (heapq.heappop(stamps) if stamps else None), waiting.popleft()
        if errors:
            raise errors[0]

    def _step(self, number: int) -> Fraction:
        if self._step_s is None:
            raise DecodeError(
                f"frame {number} has no usable timestamp, and the file has no frame rate: write it again, "
                "for example with: ffmpeg -r 25 -i IN -c:v libx264 OUT.mp4"
            )
        self._num_untimed += 1
        return self._step_s


class CameraStream:
    """Frames of a camera of this machine, at the times at which they arrive.

    Args:
        number: Number of the camera as OpenCV counts them: 0 is /dev/video0 on Linux.

    Raises:
        UserError: If there is no such camera, or it cannot be opened.
    """

    duration_s: float | None = None

    def __init__(self, number: int) -> None:
        import cv2

        cv2.utils.logging.setLogLevel(
            cv2.utils.logging.LOG_LEVEL_SILENT
        )  # OpenCV's warnings say no more than the message below
        self._number = number
        self._capture: Any = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise UserError(
                f"--camera {number}: there is no such camera, or it cannot be opened",
                hint="`ls /dev/video*` shows the cameras on Linux; opening one may need the group `video`",
            )

    def frames(self) -> Iterator[TimedFrame]:
        """Yield the frames as they arrive.

        Raises:
            DecodeError: If the camera gives no more frames.
        """
        begin: float | None = None
        while True:
            is_there, pixels = self._capture.read()
            if not is_there:
                raise DecodeError(f"camera {self._number} gives no more frames", "corrupt")
            now = time.monotonic()
            begin = now if begin is None else begin
            time_s = Fraction(now - begin)
            yield TimedFrame(time_s, time_s, av.VideoFrame.from_ndarray(pixels, format="bgr24"))

    def remarks(self) -> list[str]:
        """There are none."""
        return []

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[VideoStream]:
    """Frames of a video file.

    Raises:
        DecodeError: If it cannot be decoded, now or while frames are read, or has no times.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise DecodeError("is a folder of frames, which have no times: a timeline needs a video file")
    if is_animated_file(path):
        raise DecodeError(
            "is an animated picture, whose frames are not timed here: a timeline needs a video file, for "
            "example from: ffmpeg -i IN OUT.mp4",
        )
    with VideoFile.open(path) as video:
        yield VideoStream(video)


@contextlib.contextmanager
def open_stdin() -> Iterator[VideoStream]:
    """Frames of the video that another process writes to standard input.

    Raises:
        DecodeError: If it cannot be decoded, now or while frames are read.
    """
    with opened_stdin() as container:
        yield VideoStream(VideoFile(container))


def _duration_s(video: VideoFile) -> float | None:
    """Duration in the header; only for progress, as headers may be wrong."""
    stream, container = video.stream, video.container
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
