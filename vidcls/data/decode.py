"""A file or a folder of frames -> RGB frames. Runs in worker processes, so it must not import torch.

The truth is PyAV in order from the first frame, rotation applied. decord serves a file only where `probe`
saw its count and its first, middle and last frames agree with that truth; it is read in order too, because
its seeks return wrong frames in files whose header count or timestamps are off. A folder of frames is read
with Pillow in natural order.

A file that merely stops early is served up to where it stops. One that has data behind a decode error is bad:
what follows the error cannot be trusted, and how much is missing is unknown.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidcls.data.layouts.files import frame_files

Decoder = Literal["decord", "pyav", "images"]
Pixels = NDArray[np.uint8]
Load = Callable[[], Pixels]
"""Gives one decoded frame `[H, W, 3]`; a frame that nobody loads is never converted to RGB."""
Frames = Generator[Load, None, None]
"""All frames of a file in order, decoded one after the other."""

AGREE_LEVELS = 2
"""Grey levels by which decord may differ from PyAV: both round, in another order."""


class DecodeError(Exception):
    """What is wrong inside a file, for a person; the same each time the file is read."""


@dataclass(frozen=True)
class Probe:
    """What was seen when a whole file was decoded.

    Attributes:
        num_frames: Decodable frames; the header's count is not trusted.
        height: Of the first frame in pixels, rotation applied.
        width: Of the first frame in pixels, rotation applied.
        fps: Average frames a second, None where unknown.
        decoder: Who serves the file.
    """

    num_frames: int
    height: int
    width: int
    fps: float | None
    decoder: Decoder


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


def decord_is_there() -> bool:
    """Whether decord is installed; it has no wheels for arm and mac."""
    return importlib.util.find_spec("decord") is not None


def probe(path: Path, decoder: Literal["decord", "pyav"]) -> Probe:
    """Decode a whole file or folder and choose who serves it.

    Args:
        path: A video file, or a folder of frames.
        decoder: `decord` tries it first; `pyav` skips it.

    Raises:
        DecodeError: If nothing, or not all of it, can be decoded.
    """
    if path.is_dir():
        return _probe_frames(_images(path), fps=None, decoder="images")[0]
    fps = _fps(path)
    reader = None
    if decoder == "decord" and decord_is_there():
        with contextlib.suppress(DecodeError):
            reader = _open_decord(path)
    if reader is None:
        return _probe_frames(_pyav(path), fps=fps, decoder="pyav")[0]
    # The truth first: decord can hang on frames that the header promises and the file does not hold.
    claimed = len(reader)
    marks = (0, claimed // 2, claimed - 1)
    truth, seen = _probe_frames(_pyav(path), fps=fps, decoder="pyav", marks=marks)
    if claimed == truth.num_frames and _agrees(_decord(reader), seen):
        return Probe(truth.num_frames, truth.height, truth.width, fps, "decord")
    return truth


def decode(
    path: Path, frame_indices: Sequence[int] | None, *, size: tuple[int, int], decoder: Decoder
) -> Pixels:
    """Frames of a file or folder, `[n, H, W, 3]` uint8 RGB, scaled to `size` `(H, W)`.

    Args:
        path: A video file, or a folder of frames.
        frame_indices: Which frames, sorted, repeats allowed; None is all.
        size: From `Form.scaled`.
        decoder: From the probe of the file.

    Raises:
        DecodeError: If a frame cannot be decoded or is not there.
    """
    wanted = None if frame_indices is None else [int(index) for index in frame_indices]
    frames: dict[int, Pixels] = {}
    with contextlib.closing(_read(path, decoder)) as reader:
        for index, load in enumerate(reader):
            if wanted is None or index in wanted:
                frames[index] = scale(load(), size)
            if wanted is not None and index == wanted[-1]:
                break
    if wanted is not None and not frames.keys() >= set(wanted):
        raise DecodeError(f"ends before frame {wanted[-1]}, which was there when it was probed")
    return np.stack([frames[index] for index in (frames if wanted is None else wanted)])


def scale(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize `[h, w, 3]` to `size` `(H, W)`: by area when shrinking, bilinear when enlarging."""
    height, width = frame.shape[:2]
    if (height, width) == size:
        return frame
    shrinks = size[0] <= height and size[1] <= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size[1], size[0]), interpolation=how), dtype=np.uint8)


def _read(path: Path, decoder: Decoder) -> Frames:
    match decoder:
        case "images":
            return _images(path)
        case "pyav":
            return _pyav(path)
        case "decord":
            return _decord(_open_decord(path))


def _probe_frames(
    reader: Frames, *, fps: float | None, decoder: Decoder, marks: Sequence[int] = ()
) -> tuple[Probe, dict[int, Pixels]]:
    """Go through all frames, and keep those at `marks`. Images are all loaded: each may be broken."""
    seen: dict[int, Pixels] = {}
    shape: tuple[int, ...] = ()
    num_frames = 0
    for index, load in enumerate(reader):
        if index == 0:
            shape = load().shape
        if index in marks:
            seen[index] = load()
        elif decoder == "images":
            load()
        num_frames += 1
    if num_frames == 0:
        raise DecodeError("holds no frame that can be decoded")
    return Probe(num_frames, shape[0], shape[1], fps, decoder), seen


def _agrees(reader: Frames, truth: dict[int, Pixels]) -> bool:
    try:
        for index, load in enumerate(reader):
            if index not in truth:
                continue
            frame = load()
            if frame.shape != truth[index].shape:
                return False
            if int(cv2.absdiff(frame, truth[index]).max()) > AGREE_LEVELS:
                return False
    except DecodeError:
        return False
    return True


def _images(path: Path) -> Frames:
    def load(file: Path) -> Pixels:
        try:
            with Image.open(file) as image:
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
        except (OSError, SyntaxError, ValueError) as error:
            raise DecodeError(f"{file.name} cannot be decoded: {error}") from None

    for file in frame_files(path):
        yield lambda file=file: load(file)  # type: ignore[misc]


def _fps(path: Path) -> float | None:
    with _pyav_errors(), av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate if container.streams.video else None
    return float(rate) if rate else None


def _pyav(path: Path) -> Frames:
    with _pyav_errors(), av.open(str(path)) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            raise DecodeError("holds no video stream")
        stream.codec_context.thread_count = 1
        broken: av.error.FFmpegError | None = None
        num_frames = 0
        for packet in _packets(container, stream):
            if broken is not None and packet is not None:
                raise DecodeError(f"decode error after frame {num_frames}: {broken.strerror}")
            try:
                frames = stream.codec_context.decode(packet)
            except av.error.FFmpegError as error:
                broken = error
                continue
            for frame in frames:
                num_frames += 1
                yield lambda frame=frame: _rgb(frame)  # type: ignore[misc]


def _packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet[Any] | None]:
    """The packets of a stream, then None, which makes the codec hand out the frames it holds back."""
    # A container that was cut off says so with an error: what came before it is whole.
    with contextlib.suppress(av.error.InvalidDataError, av.error.EOFError):
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    yield None


def _rgb(frame: av.VideoFrame) -> Pixels:
    pixels: Pixels = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    quarter_turns = round(frame.rotation / 90)
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns)) if quarter_turns else pixels


@contextlib.contextmanager
def _pyav_errors() -> Iterator[None]:
    try:
        yield
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise DecodeError(f"is no video that can be decoded: {error.strerror}") from None


def _open_decord(path: Path) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(f"decord cannot open it: {_first_line(error)}") from None


def _decord(reader: Any) -> Frames:
    import decord

    for _ in range(len(reader)):
        try:
            frame = reader.next()
        except (decord.DECORDError, RuntimeError, StopIteration) as error:
            raise DecodeError(f"decord stopped: {_first_line(error)}") from None
        yield frame.asnumpy


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][-200:]
