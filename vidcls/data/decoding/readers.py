"""Reads frames of one file, in order or from a seek point. Runs in worker processes: must not import torch.

The reference is PyAV in order from the first frame, with the orientation of the file applied. A folder of
frames, or an animated picture, is read with Pillow. decord serves only files on which each frame was compared
with PyAV, in order and after seeks: it returns wrong frames in files with a wrong header count or wrong
timestamps.

A file that only stops early is used up to its end. A file with data after a decode error is bad: the data
after the error cannot be trusted, and it is unknown how much is missing.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal, assert_never

import av

from vidcls.data.decoding.containers import (
    moving_streams,
    opened,
    refuse_text,
    unlike_url,
    video_stream,
)
from vidcls.data.decoding.convert import RgbConverter
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.pictures import FrameLoads, Pixels, read_pictures

Decoder = Literal["decord", "pyav", "images", "fields"]
"""`images` reads a folder of pictures, or an animated picture, with Pillow."""

_MAX_PIXELS = 2**26
"""Maximum number of pixels of a frame, twice 8K: a damaged header must not use all memory."""

_SQUARE_TOLERANCE = 0.02  # encoders round ratios such as 320 to 240, which is not visible


class VideoFile:
    """File opened by PyAV with one thread; made by the context manager `VideoFile.open`.

    Attributes:
        container: Container of PyAV.
        stream: Video stream that is read, see `video_stream`; other streams are not read.
        stopped: Reason why the container ended early; None if it did not report that.
    """

    def __init__(self, container: av.container.InputContainer) -> None:
        self.container = container
        self.stream = video_stream(container)
        self.stopped: str | None = None
        self._converter = RgbConverter()
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        for other in container.streams:
            if other.index != self.stream.index:
                other.discard = av.stream.Discard.all

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[VideoFile]:
        """Open a file.

        Raises:
            DecodeError: If the file cannot be decoded as a video, now or while frames are read.
            OSError: If the file cannot be read.
            MemoryError: If there is not enough memory, which is no fault of the file.
        """
        with opened(path) as container:
            yield cls(container)

    def frames(self) -> Generator[av.VideoFrame, None, None]:
        """Yield the following frames in order of presentation.

        Raises:
            DecodeError: If a frame cannot be decoded and data follows it.
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
        """Yield the frames in order from a key frame on, given by its timestamp.

        Args:
            stamp: Timestamp in the time base of the stream.

        Raises:
            DecodeError: As for `frames`, or if there is no such frame.
        """
        self.container.seek(stamp, stream=self.stream)
        is_there = False
        for frame in self.frames():
            # Frames before the key frame may come first; they refer to frames that were skipped.
            if not is_there and (frame.pts is None or frame.pts < stamp):
                continue
            if not is_there and frame.pts != stamp:
                break
            is_there = True
            yield frame
        if not is_there:
            raise DecodeError(f"a seek to timestamp {stamp} did not find its frame", "corrupt")

    def rgb(self, frame: av.VideoFrame, *, size: tuple[int, int] | None = None) -> Pixels:
        """Frame as `[H, W, 3]`, see `RgbConverter.rgb`."""
        return self._converter.rgb(frame, size=size)

    def remarks(self) -> Iterator[str]:
        """Remarks on parts of the file that are not shown, or shown differently than the file says."""
        streams = moving_streams(self.container)
        if len(streams) > 1:
            others = ", ".join(str(other.index) for other in streams if other.index != self.stream.index)
            yield f"has {len(streams)} video streams: stream {self.stream.index} is read, not {others}"
        ratio = self.stream.sample_aspect_ratio
        if ratio is not None and ratio > 0 and abs(ratio - 1) > _SQUARE_TOLERANCE:
            yield f"its pixels are {ratio} times as wide as high; frames are used as they are stored, "
            "without correction"

    def _packets(self) -> Iterator[av.Packet[Any] | None]:
        """Packets of the stream, then None, which makes the codec return the frames that it still holds."""
        # A truncated container ends with an error: the data before it is intact.
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    if packet.is_corrupt:
                        self.stopped = "a packet is cut short"
                    yield packet
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            self.stopped = error.strerror
        except IndexError:  # from PyAV, for a stream that did not exist when the file was opened
            raise DecodeError("another stream begins in the middle of the file", "corrupt") from None
        yield None


def read(path: Path, decoder: Decoder, *, size: tuple[int, int] | None = None) -> FrameLoads:
    """Yield all frames of a file or folder in order.

    Args:
        path: Video file, animated picture, or folder of frames.
        decoder: Decoder of the file.
        size: Height and width to which PyAV scales frames, see `RgbConverter.rgb`; others do not.

    Raises:
        DecodeError: If the file cannot be decoded, or only in part.
    """
    match decoder:
        case "images":
            return read_pictures(path)
        case "pyav":
            return _pyav(path, size)
        case "decord":
            return read_decord(open_decord(path))
        case "fields":
            raise DecodeError("contains flow fields, not frames")
        case _:
            assert_never(decoder)


def _pyav(path: Path, size: tuple[int, int] | None) -> FrameLoads:
    with VideoFile.open(path) as video:
        for frame in video.frames():
            yield lambda frame=frame: video.rgb(frame, size=size)  # type: ignore[misc]


def decord_is_there() -> bool:
    """Whether decord is installed; it has no wheels for arm and mac."""
    return importlib.util.find_spec("decord") is not None


def open_decord(path: Path) -> Any:
    """Open a `decord.VideoReader` with one thread.

    Raises:
        DecodeError: If decord cannot open the file, or must not open it.
    """
    import decord

    refuse_text(path)  # the older FFmpeg of decord opens playlists under any name
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(unlike_url(path), ctx=decord.cpu(0), num_threads=1)
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(f"decord cannot open it: {_first_line(error)}") from None


def read_decord(reader: Any) -> FrameLoads:
    """Yield as many frames in order as a `decord.VideoReader` finds in the header.

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


def seek_decord(reader: Any, index: int) -> Pixels:
    """Frame at an index, `[H, W, 3]`, decoded from the key frame before it, or from where the reader stands.

    Raises:
        DecodeError: If decord does not find it.
    """
    import decord

    try:
        reader.seek_accurate(index)
        pixels: Pixels = reader.next().asnumpy()
    except (decord.DECORDError, RuntimeError, StopIteration) as error:
        raise DecodeError(f"decord found no frame {index}: {_first_line(error)}", "corrupt") from None
    return pixels


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][-200:]
