"""Whether a file is a video, told by its content where its name does not say so."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av

from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.readers import DecodeError, VideoFile

_PICTURES = (
    "apng",
    "gif",
    "image2",
    "tty",
)  # FFmpeg's names of what makes a video of one picture or of a text


def holds_video(path: Path) -> bool:
    """Whether a frame of video can be decoded from a file; a still picture, or a cover of music, is none."""
    try:
        stat = path.stat()
        return _holds_video(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _holds_video(path: Path, size: int, _changed: int) -> bool:
    # The same file is asked about by each who looks through the folder: it is opened once.
    if not size or not path.is_file():
        return False
    if is_animated_file(path):
        return True
    try:
        with VideoFile.open(path) as video:
            name = video.container.format.name
            if name.startswith(_PICTURES) or name.endswith("_pipe"):
                return False
            if video.stream.disposition & av.stream.Disposition.attached_pic:
                return False
            return next(video.frames(), None) is not None
    except (DecodeError, OSError):
        return False
