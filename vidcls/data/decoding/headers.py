"""Facts in the header of a video file; headers are not always correct."""

from __future__ import annotations

import re

import av

_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def promises(
    container: av.container.InputContainer, stream: av.VideoStream, start: bytes
) -> tuple[int | None, float | None]:
    """Number of frames and duration in seconds from a header; each None if the header has none.

    Args:
        container: Open file.
        stream: Stream of this container.
        start: First bytes of the file.
    """
    if riff_bytes(start) == 0:  # written into a pipe, so the counts in the header were never set
        return None, None
    num_frames = stream.frames or None
    # Matroska has stream durations only in tags: FFmpeg uses the duration of the file instead.
    is_told = "matroska" not in container.format.name
    if is_told and stream.duration is not None and stream.time_base is not None:
        return num_frames, float(stream.duration * stream.time_base)
    for key, value in stream.metadata.items():
        if key.upper().startswith("DURATION") and (found := _CLOCK.match(value)):
            hours, minutes, seconds = map(float, found.groups())
            return num_frames, 3600 * hours + 60 * minutes + seconds
    # The duration of the container is that of its longest stream, which may be the sound.
    if len(container.streams) > 1 or container.duration is None:
        return num_frames, None
    return num_frames, container.duration / av.time_base


def riff_bytes(start: bytes) -> int | None:
    """Number of bytes after the header according to an AVI header, 0 if not set; None for other files."""
    if start[:4] != b"RIFF":
        return None
    size = int.from_bytes(start[4:8], "little")
    return 0 if size == 2**32 - 1 else size
