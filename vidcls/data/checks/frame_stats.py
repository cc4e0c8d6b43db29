"""Statistics of the frames of a file in one pass, computed on the luma plane of the decoded frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidcls.data.decoding.decode import SeekPoints
from vidcls.data.decoding.orientation import Orientation, is_void, matrix_of
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.readers import VideoFile

Complaints = list[tuple[int, str, str]]
"""Level, source and text of each line that FFmpeg logs."""

_BLACK_LEVEL, _BLACK_SHARE = 32, 0.98  # values of FFmpeg's blackframe filter
_SEEKS_SAVE = 16  # seeking is worth a test if the longest gap is at most 1/16 of the video


class FrameStats:
    """Collects statistics of frames in one pass."""

    def __init__(self) -> None:
        self.size = (0, 0)
        self.orientation = Orientation()
        self.matrix_is_void = False
        self.pixel_format = ""
        self.num_frames = self.num_black = self.num_frozen = self.num_other_size = self.num_b_frames = 0
        self.num_damaged = self.num_other_orientation = 0
        self.complaint: str | None = None
        self.container_complaint: str | None = None
        self.sums: list[int] = []
        """Checksum of the luma of each frame, which distinguishes frames cheaply."""
        self.timestamps: list[int | None] = []
        self._keys: list[int] = []
        self._previous: Pixels | None = None

    def see(self, frame: av.VideoFrame) -> None:
        """Add the next frame of a file.

        Raises:
            DecodeError: If the frame cannot be rotated upright, see `Orientation`.
        """
        matrix = matrix_of(frame)
        orientation = Orientation() if matrix is None else Orientation.of_matrix(matrix)
        if self.num_frames == 0:
            self.orientation = orientation
            self.matrix_is_void = matrix is not None and is_void(matrix)
            self.pixel_format = frame.format.name
        if frame.key_frame:
            self._keys.append(self.num_frames)
        self.num_other_orientation += orientation != self.orientation
        self.num_b_frames += frame.pict_type == av.video.frame.PictureType.B
        self.timestamps.append(frame.pts)
        self.see_luma(luma_of(frame))

    def hear(self, complaints: Complaints, video: VideoFile, *, is_damaged: bool) -> None:
        """Record FFmpeg's complaints since the last frame and clear them, as a bad file has very many."""
        for _, source, message in complaints:
            said = message.strip()
            if source == video.container.format.name:
                self.container_complaint = self.container_complaint or said
            else:
                is_damaged = True
                self.complaint = self.complaint or said
        self.num_damaged += is_damaged
        complaints.clear()

    def see_luma(self, luma: Pixels) -> None:
        """Add the brightness `[H, W]` of the next frame."""
        if self.num_frames == 0:
            self.size = luma.shape[0], luma.shape[1]
        total = int(cv2.sumElems(luma)[0])
        if total <= luma.size * _BLACK_LEVEL:  # the sum alone rules out bright frames
            self.num_black += bool(np.count_nonzero(luma <= _BLACK_LEVEL) >= _BLACK_SHARE * luma.size)
        if self._previous is not None and self.sums[-1] == total:
            self.num_frozen += np.array_equal(luma, self._previous)
        self.num_other_size += luma.shape != self.size
        self.num_frames += 1
        self.sums.append(total)
        self._previous = luma

    def has_variable_rate(self) -> bool:
        """Whether frames have different durations, beyond the rounding to ticks."""
        if self.num_frames < 3 or self.num_bad_stamps():
            return False
        steps = np.diff(self._stamps())
        usual = int(np.median(steps))
        return int(np.abs(steps - usual).max()) > (1 if usual >= 4 else 0)

    def num_ticks(self) -> int:
        """Ticks from the first timestamp to the end of the last frame; 0 if unknown."""
        stamps = self._stamps()
        if len(stamps) < 2 or len(stamps) < self.num_frames:
            return 0
        return int(stamps.max() - stamps.min()) * self.num_frames // (self.num_frames - 1)

    def num_bad_stamps(self) -> int:
        """Number of frames whose timestamp is missing, or not after that of the frame before."""
        stamps = self._stamps()
        return self.num_frames - len(stamps) + int((np.diff(stamps) <= 0).sum())

    def _stamps(self) -> NDArray[np.int64]:
        return np.array([stamp for stamp in self.timestamps if stamp is not None], dtype=np.int64)

    def key_points(self) -> SeekPoints:
        """Key frames, if all frames are intact and their timestamps in order; otherwise none."""
        if self._keys[:1] != [0] or self.num_bad_stamps() or self.num_damaged:
            return ()
        stamps = self._stamps()
        return tuple((key, int(stamps[key])) for key in self._keys)

    def seek_points(self) -> SeekPoints:
        """Key frames, if starting at them saves enough time; otherwise none."""
        points = self.key_points()
        if not points:
            return ()
        gaps = np.diff([*(first for first, _ in points), self.num_frames])
        return points if gaps.max() * _SEEKS_SAVE <= self.num_frames else ()


@contextlib.contextmanager
def complaints_of_ffmpeg() -> Iterator[Complaints]:
    """Capture errors after which FFmpeg continues; most damage appears only in its log."""
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # FFmpeg would report a repeated line later, with another file
    try:
        with av.logging.Capture() as complaints:
            yield complaints
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])


def first_of(complaints: Complaints) -> str | None:
    """Text of the first complaint, or None; refused formats are left out, our errors explain them better."""
    texts = (text.strip() for *_, text in complaints)
    return next((text for text in texts if not text.startswith("Format not on whitelist")), None)


def luma_of(frame: av.VideoFrame) -> Pixels:
    """Brightness of a frame `[H, W]`, not rotated; a view of the frame if its first plane is the luma."""
    pixels = frame.format
    if pixels.is_rgb or not pixels.is_planar or pixels.components[0].bits != 8:
        return np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)
    plane = frame.planes[0]
    rows: Pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
