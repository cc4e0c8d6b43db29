"""Decoders -> frames of one file, in order or from a seek point. Runs in worker processes: no torch here.

The truth is PyAV in order from the first frame, rotation applied. A folder of frames is read with Pillow in
the order of their numbers, and so is an animated picture. decord is read in order too, because its seeks
return wrong frames in files whose header count or timestamps are off.

A file that merely stops early is served up to where it stops. One that has data behind a decode error is bad:
what follows the error cannot be trusted, and how much is missing is unknown.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from vidcls.data.decoding.animation import animation_frames, is_animation
from vidcls.data.decoding.frame_folders import look_into

Decoder = Literal["decord", "pyav", "images", "fields"]
Pixels = NDArray[np.uint8]
Load = Callable[[], Pixels]
"""Gives one decoded frame `[H, W, 3]`; a frame that nobody loads is never converted to RGB."""
Frames = Generator[Load, None, None]
"""Frames of a file in order, decoded one after the other."""

_MAX_PIXELS = 2**26
"""Of a frame, twice 8K: a damaged header must not take all memory."""


class DecodeError(Exception):
    """What is wrong inside a file, for a person; the same each time the file is read.

    Attributes:
        reason: For a person.
        kind: `unreadable`: no container or no frame; `no_video`: other streams only; `corrupt`: breaks
            midway.
    """

    def __init__(
        self, reason: str, kind: Literal["unreadable", "no_video", "corrupt"] = "unreadable"
    ) -> None:
        super().__init__(reason, kind)
        self.reason = reason
        self.kind = kind

    def __str__(self) -> str:
        return self.reason


class VideoFile:
    """A file opened by PyAV, on one thread; a context manager made by `VideoFile.open`.

    Attributes:
        container: PyAV's.
        stream: The best of its video streams; the other streams are not read.
        stopped: Why the container ended early, if it said so.
    """

    def __init__(self, container: av.container.InputContainer) -> None:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            kinds = sorted({stream.type for stream in container.streams if stream.type})
            if not kinds:
                raise DecodeError("holds no stream that FFmpeg knows")
            raise DecodeError(f"holds no video stream, only {', '.join(kinds)}", "no_video")
        if stream.codec_context is None:
            raise DecodeError("is coded in a way that FFmpeg does not know")
        self.container = container
        self.stream = stream
        self.stopped: str | None = None
        self._reformatter = VideoReformatter()
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[VideoFile]:
        """Open a file.

        Raises:
            DecodeError: If it is no video that can be decoded, here and while frames are read.
            OSError: If the file cannot be read.
            MemoryError: If there is not enough memory, which says nothing about the file.
        """
        try:
            with av.open(unlike_url(path), metadata_errors="replace") as container:
                yield cls(container)
        except av.error.MemoryError as error:
            raise MemoryError(error.strerror) from None  # PyAV's own does not pass between processes
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) and not _is_its_content(path):
                raise
            raise DecodeError(f"is no video that can be decoded: {error.strerror}") from None

    def frames(self) -> Generator[av.VideoFrame, None, None]:
        """The frames that follow, in order of presentation.

        Raises:
            DecodeError: If a frame does not decode and data follows it.
        """
        broken: av.error.FFmpegError | None = None
        num_frames = 0
        for packet in self._packets():
            if broken is not None and packet is not None:
                raise DecodeError(f"decode error after frame {num_frames}: {broken.strerror}", "corrupt")
            try:
                frames = self.stream.codec_context.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError as error:
                broken = error
                continue
            for frame in frames:
                num_frames += 1
                yield frame
        if broken is not None:
            self.stopped = self.stopped or f"its last packet: {broken.strerror}"

    def frames_from(self, stamp: int) -> Generator[av.VideoFrame, None, None]:
        """The frames in order from the one at a timestamp on, which must be that of a key frame.

        Args:
            stamp: In the time base of the stream.

        Raises:
            DecodeError: As `frames`, or if there is no such frame.
        """
        self.container.seek(stamp, stream=self.stream)
        is_there = False
        for frame in self.frames():
            # Frames before the key frame may come first; what they refer to was skipped.
            if not is_there and (frame.pts is None or frame.pts < stamp):
                continue
            if not is_there and frame.pts != stamp:
                break
            is_there = True
            yield frame
        if not is_there:
            raise DecodeError(f"a seek to timestamp {stamp} did not find its frame", "corrupt")

    def rgb(self, frame: av.VideoFrame) -> Pixels:
        """A frame as `[H, W, 3]`, turned as the file says."""
        # One for all frames, which takes long to set up, and one thread: several wait for each other.
        converted = self._reformatter.reformat(frame, format="rgb24", threads=1)
        pixels: Pixels = np.asarray(converted.to_ndarray(), dtype=np.uint8)
        quarter_turns = round(frame.rotation / 90)
        return np.ascontiguousarray(np.rot90(pixels, quarter_turns)) if quarter_turns else pixels

    def _packets(self) -> Iterator[av.Packet[Any] | None]:
        """The packets of the stream, then None, which makes the codec hand out the frames it holds back."""
        # A container that was cut off says so with an error: what came before it is whole.
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    if packet.is_corrupt:
                        self.stopped = "a packet is cut short"
                    yield packet
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            self.stopped = error.strerror
        except IndexError:  # PyAV's, for a stream that was not there when the file was opened
            raise DecodeError("another stream begins midway", "corrupt") from None
        yield None


def unlike_url(path: Path) -> str:
    """The absolute path: FFmpeg takes one such as `run:1/a.mp4` for an address."""
    return str(path.absolute())


def _is_its_content(path: Path) -> bool:
    """Whether the file itself can be read: FFmpeg calls an input error what lies in the content, too."""
    try:
        with path.open("rb") as file:
            while file.read(2**20):
                pass
    except OSError:
        return False
    return True


def read(path: Path, decoder: Decoder) -> Frames:
    """All frames of a file or folder in order.

    Raises:
        DecodeError: If it cannot be decoded, or no further.
    """
    match decoder:
        case "images":
            return _images(path)
        case "pyav":
            return _pyav(path)
        case "decord":
            return read_decord(open_decord(path))
        case "fields":
            raise DecodeError("holds flow fields, not frames")


def _pyav(path: Path) -> Frames:
    with VideoFile.open(path) as video:
        for frame in video.frames():
            yield lambda frame=frame: video.rgb(frame)  # type: ignore[misc]


def _images(path: Path) -> Frames:
    if path.is_file():
        for number, frame in enumerate(animation_frames(path), start=1):
            yield lambda frame=frame, number=number: _of_animation(frame, number)  # type: ignore[misc]
        return
    found = look_into(path)
    if (problem := found.problem(of_fields=False)) is not None:
        raise DecodeError(problem)

    def load(file: Path) -> Pixels:
        try:
            with Image.open(file) as image:
                if is_animation(image):
                    reason = f"{file.name} is an animated picture, a video of its own, not one frame"
                    raise DecodeError(reason, "corrupt")
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
        except (OSError, SyntaxError, ValueError) as error:
            raise DecodeError(f"{file.name} cannot be decoded: {error}", "corrupt") from None

    for file in found.frames:
        yield lambda file=file: load(file)  # type: ignore[misc]


def _of_animation(load: Load, number: int) -> Pixels:
    try:
        return load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DecodeError(f"frame {number} cannot be decoded: {error}", "corrupt") from None


def decord_is_there() -> bool:
    """Whether decord is installed; it has no wheels for arm and mac."""
    return importlib.util.find_spec("decord") is not None


def open_decord(path: Path) -> Any:
    """A `decord.VideoReader` on one thread.

    Raises:
        DecodeError: If decord cannot open the file.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(unlike_url(path), ctx=decord.cpu(0), num_threads=1)
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(f"decord cannot open it: {_first_line(error)}") from None


def read_decord(reader: Any) -> Frames:
    """As many frames in order as the header promises to a `decord.VideoReader`.

    Raises:
        DecodeError: If decord stops.
    """
    import decord

    for _ in range(len(reader)):
        try:
            frame = reader.next()
        except (decord.DECORDError, RuntimeError, StopIteration) as error:
            raise DecodeError(f"decord stopped: {_first_line(error)}", "corrupt") from None
        yield frame.asnumpy


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][-200:]
