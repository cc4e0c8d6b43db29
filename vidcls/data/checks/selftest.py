"""Self-test of the installed decoders on the user's own files: which frame each returns. Imports no torch.

The reference is PyAV in order. The result for frame k may be exact (within two grey levels, since decoders
round differently), near (most similar to frame k, with differently converted colours), or wrong (another
frame).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from vidcls.data.checks.decord_proof import AGREE_LEVELS
from vidcls.data.checks.frame_stats import FrameStats
from vidcls.data.decoding.containers import unlike_url
from vidcls.data.decoding.decode import decode
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.pictures import Pixels
from vidcls.data.decoding.readers import VideoFile, decord_is_there, open_decord, read, read_decord

Way = Literal["pyav random", "decord in order", "decord random", "opencv in order", "opencv random"]
Given = Iterator[tuple[int, Pixels | None]]
"""Frame numbers with the returned frames; None if no frame was returned."""

_ASKED = 16  # frames of a video that are requested in random order
_MAX_PHANTOMS = 8
_THUMB_PX = 16
_CLOSE_LEVELS = 0.5  # a thumbnail that is closer to another frame by more than this shows that frame


@dataclass(frozen=True)
class Verdict:
    """Result of one decoder on one file.

    Attributes:
        num_exact: Number of exact frames.
        num_near: Number of correct frames with slightly different colours.
        num_wrong: Number of wrong frames.
        num_missing: Number of frames that were not returned.
        num_phantom: Number of frames that were returned after the last one.
        problem: Reason why the test could not run, or why it stopped.
    """

    num_exact: int = 0
    num_near: int = 0
    num_wrong: int = 0
    num_missing: int = 0
    num_phantom: int = 0
    problem: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether every requested frame was correct."""
        return not (self.num_wrong or self.num_missing or self.num_phantom or self.problem)


def ways() -> tuple[Way, ...]:
    """Ways of reading that the installed decoders offer."""
    decord: tuple[Way, ...] = ("decord in order", "decord random") if decord_is_there() else ()
    return ("pyav random", *decord, "opencv in order", "opencv random")


def compare(path: Path, way: Way) -> Verdict:
    """Compare one way of reading a video file with the reference.

    Args:
        path: Video file that PyAV reads to its end.
        way: Decoder and access: all frames in order, or some frames in random order.

    Raises:
        DecodeError: If the file is bad, so that there is no reference.
    """
    truth = _Truth(path, is_random=way.endswith("random"))
    counts = {"exact": 0, "near": 0, "wrong": 0, "phantom": 0}
    problem = None
    try:
        for index, given in _given(path, way, truth):
            if given is not None:
                counts[truth.judge(index, given)] += 1
    except DecodeError as error:
        problem = error.reason
    right_and_wrong = counts["exact"] + counts["near"] + counts["wrong"]
    return Verdict(
        num_exact=counts["exact"],
        num_near=counts["near"],
        num_wrong=counts["wrong"],
        num_missing=len(truth.asked) - right_and_wrong if problem is None else 0,
        num_phantom=counts["phantom"],
        problem=problem,
    )


class _Truth:
    """Reference frames by PyAV in order: a thumbnail of each frame, and each requested frame."""

    def __init__(self, path: Path, *, is_random: bool) -> None:
        self.watch = FrameStats()
        thumbs: list[Pixels] = []
        with VideoFile.open(path) as video:
            for frame in video.frames():
                self.watch.see(frame)
                thumbs.append(_thumb(video.rgb(frame)))
        if not thumbs:
            raise DecodeError("has no frame that can be decoded")
        self._thumbs = np.stack(thumbs).astype(np.float32)
        order = np.random.default_rng(0).permutation(len(thumbs))[:_ASKED].tolist()
        self.asked: Sequence[int] = order if is_random else range(len(thumbs))
        self._kept = _all_at_once(path, set(order)) if is_random else {}
        self._reader = enumerate(read(path, "pyav"))

    def judge(self, index: int, given: Pixels) -> Literal["exact", "near", "wrong", "phantom"]:
        """Classify the frame returned for an index; for access in order, indices must ascend."""
        if index >= len(self._thumbs):
            return "phantom"
        expected = self._kept[index] if self._kept else self._next(index)
        if given.shape == expected.shape and int(cv2.absdiff(given, expected).max()) <= AGREE_LEVELS:
            return "exact"
        far = np.abs(self._thumbs - _thumb(given)).mean(axis=(1, 2, 3))
        return "near" if far[index] <= far.min() + _CLOSE_LEVELS else "wrong"

    def _next(self, index: int) -> Pixels:
        return next(load() for number, load in self._reader if number == index)


def _all_at_once(path: Path, wanted: Collection[int]) -> dict[int, Pixels]:
    return {index: load() for index, load in enumerate(read(path, "pyav")) if index in wanted}


def _thumb(frame: Pixels) -> Pixels:
    size = (_THUMB_PX, _THUMB_PX)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _given(path: Path, way: Way, truth: _Truth) -> Given:
    match way:
        case "pyav random":
            return _pyav_random(path, truth)
        case "decord in order":
            return enumerate(load() for load in read_decord(open_decord(path)))
        case "decord random":
            return _decord_random(open_decord(path), truth.asked)
        case "opencv in order":
            return _opencv_in_order(_open_opencv(path), len(truth.asked))
        case "opencv random":
            return _opencv_random(_open_opencv(path), truth.asked)


def _pyav_random(path: Path, truth: _Truth) -> Given:
    points = truth.watch.key_points()
    if not points:
        raise DecodeError("timestamps out of order, so seeking was not tried")
    size = truth.watch.size
    height, width = size[::-1] if truth.watch.orientation.swaps_sides else size
    for index in truth.asked:
        found = decode(path, [index], size=(height, width), decoder="pyav", seek_points=points)
        yield index, found[0]


def _decord_random(reader: Any, asked: Sequence[int]) -> Given:
    import decord

    for index in asked:
        try:
            yield index, reader[index].asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecodeError(f"decord stopped: {str(error).partition(chr(10))[0][-80:]}") from None


def _open_opencv(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(unlike_url(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DecodeError("OpenCV cannot open it")
    return capture


def _opencv_in_order(capture: cv2.VideoCapture, num_frames: int) -> Given:
    for index in range(num_frames + _MAX_PHANTOMS):
        is_there, frame = capture.read()
        if not is_there:
            return
        yield index, _from_bgr(frame)


def _opencv_random(capture: cv2.VideoCapture, asked: Sequence[int]) -> Given:
    for index in asked:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        is_there, frame = capture.read()
        yield index, _from_bgr(frame) if is_there else None


def _from_bgr(frame: Any) -> Pixels:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
