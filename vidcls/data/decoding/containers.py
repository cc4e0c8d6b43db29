"""Accepted video files: a video is one self-contained file in a container of this list.

FFmpeg also opens text files that refer to other files (playlists, `ffconcat` scripts, manifests), patterns of
pictures (`img%03d.png`), URLs and devices. They are not accepted as videos: the content must be in the file,
since its digest identifies the video, and a file that refers to another one would count as a new video.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import av
from av.stream import Disposition
from PIL import Image

from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.errors import DecodeError

_VIDEO_DEMUXERS = (
    "mov", "matroska", "avi", "asf", "asf_o", "flv", "live_flv", "mpeg", "mpegts", "mxf", "gxf", "ogg",
    "rm", "nut", "nsv", "wtv", "dv", "dhav", "yuv4mpegpipe",
)  # fmt: skip
_STREAM_DEMUXERS = (
    "h261", "h263", "h264", "hevc", "vvc", "av1", "obu", "ivf", "m4v", "mpegvideo", "mjpeg", "vc1", "vc1test",
)  # fmt: skip
_SOUND_DEMUXERS = ("aac", "ac3", "aiff", "amr", "flac", "mp3", "wav")  # accepted to report them as sound
_OPTIONS = {
    "format_whitelist": ",".join((*_VIDEO_DEMUXERS, *_STREAM_DEMUXERS, *_SOUND_DEMUXERS)),
    "protocol_whitelist": "file",
}
_ACCEPTED = (
    "MP4, MOV, 3GP, Matroska, WebM, AVI, WMV, FLV, MPEG, MPEG-TS, MXF, Ogg and others, and bare streams such "
    "as H.264"
)

_START_BYTES = 4096
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")
_TEXTS_OF_VIDEOS = (b"YUV4MPEG2 ", b"nut/multimedia container")
_PLAYLISTS = ("#extm3u", "ffconcat", "[playlist]", "v=0", "<asx", "<smil", "<mpd", "rtsptext", "[reference]")
_STILL_BRANDS = frozenset({"avif", "mif1", "heic", "heix"})


def why_refused(path: Path) -> str | None:
    """Reason why a file is not accepted as a video, whatever its name; None if it is. No frame is decoded.

    An animated picture counts as a video and is read by Pillow.

    Raises:
        OSError: If the file cannot be read.
    """
    if is_animated_file(path):
        return None
    try:
        with opened(path) as container:
            video_stream(container)
            return None
    except DecodeError as error:
        return error.reason


@contextlib.contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a file with PyAV if its container is on the list; only this file is read.

    Raises:
        DecodeError: If the file cannot be decoded as a video, now or while it is read.
        OSError: If the file cannot be read.
        MemoryError: If there is not enough memory, which is no fault of the file.
    """
    refuse_text(path)
    try:
        with av.open(unlike_url(path), container_options=_OPTIONS, metadata_errors="replace") as container:
            brand = container.metadata.get("major_brand", "").strip()
            if brand in _STILL_BRANDS:
                raise DecodeError(f"is not a video but a picture ({brand.upper()})", "no_video")
            yield container
    except av.error.MemoryError as error:
        raise MemoryError(error.strerror) from None  # PyAV's own error cannot be pickled
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and not _is_its_content(path):
            raise
        if picture := _picture(path):
            raise DecodeError(f"is not a video but a picture ({picture})", "no_video") from None
        is_refused = isinstance(error, av.error.ArgumentError)  # FFmpeg's error for unlisted formats
        why = f"its format is none of {_ACCEPTED}" if is_refused else error.strerror
        raise DecodeError(f"is not a video that can be decoded: {why}") from None


@contextlib.contextmanager
def opened_stdin() -> Iterator[av.container.InputContainer]:
    """Open the video that another process writes to the standard input of this one.

    Raises:
        DecodeError: If it cannot be decoded as a video, now or while it is read.
    """
    options = {**_OPTIONS, "protocol_whitelist": "pipe"}
    try:
        with av.open("pipe:0", container_options=options, metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as error:
        is_refused = isinstance(error, av.error.ArgumentError)
        why = f"its format is none of {_ACCEPTED}" if is_refused else error.strerror
        raise DecodeError(
            f"is not a video that can be read from a pipe: {why}; write a format that needs no seeking, such "
            "as with: ffmpeg -i IN.mp4 -f matroska -"
        ) from None


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Video stream to read: of several, the one marked as default, otherwise the best by FFmpeg's ranking.

    Raises:
        DecodeError: If there is no video stream, or FFmpeg does not know its codec.
    """
    candidates = moving_streams(container)
    if not candidates:
        kinds = sorted({stream.type for stream in container.streams if stream.type})
        if not kinds:
            raise DecodeError("has no stream that FFmpeg knows")
        cover = " and a cover picture" if container.streams.video else ""
        kinds = [kind for kind in kinds if kind != "video"]
        raise DecodeError(f"has no video stream, only {', '.join(kinds)}{cover}", "no_video")
    default = [stream for stream in candidates if stream.disposition & Disposition.default]
    best = container.streams.best("video")
    stream = next((stream for stream in default or candidates if stream == best), (default or candidates)[0])
    if stream.codec_context is None:
        raise DecodeError("has a codec that FFmpeg does not know")
    return stream


def moving_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Video streams other than a cover picture or thumbnails."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [stream for stream in container.streams.video if not stream.disposition & still]


def refuse_text(path: Path) -> None:
    """Refuse a file that is text or begins like a playlist.

    Raises:
        DecodeError: If it is one; the message says what it looks like.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start or start.startswith(_TEXTS_OF_VIDEOS):
        return
    text = _decoded(start).lstrip("\ufeff \t\r\n")
    lowered = text[:200].lower()
    if lowered.startswith(_PLAYLISTS):
        raise DecodeError(
            f"is not a video but a playlist of other files (it begins {_first_line(text)}): a video must "
            "be one complete file"
        )
    if not _CONTROL.isdisjoint(start) and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    if lowered.startswith("version https://git-lfs"):
        raise DecodeError("is not a video but a Git LFS pointer; download the video with: git lfs pull")
    kind = "a web page" if lowered.startswith(("<!doctype html", "<html")) else "a text file"
    raise DecodeError(f"is not a video but {kind} that begins {_first_line(text)}")


def unlike_url(path: Path) -> str:
    """Absolute path, because FFmpeg reads a relative one such as `run:1/a.mp4` as a URL."""
    return str(path.absolute())


def _picture(path: Path) -> str | None:
    """Format of a picture; None if Pillow does not know it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.format
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _is_its_content(path: Path) -> bool:
    """Whether the content is at fault, because the file is readable: FFmpeg reports both as input errors."""
    try:
        with path.open("rb") as file:
            while file.read(2**20):
                pass
    except OSError:
        return False
    return True


def _decoded(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start[: len(start) // 2 * 2].decode("utf-16", errors="replace")
    return start.decode("utf-8", errors="replace")


def _first_line(text: str) -> str:
    return repr(text.partition("\n")[0].strip()[:40])
