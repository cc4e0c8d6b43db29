"""Recognises videos by content if their name does not show it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from vidcls.data.decoding.animation import is_animated_file
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.readers import VideoFile


def holds_video(path: Path) -> bool:
    """Whether a video frame can be decoded from a file; a still picture or a music cover does not count."""
    try:
        stat = path.stat()
        return _holds_video(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _holds_video(path: Path, size: int, _changed: int) -> bool:
    # Several searches of a folder ask about the same file, so the answer is cached.
    if not size or not path.is_file():
        return False
    if is_animated_file(path):
        return True
    try:
        with VideoFile.open(path) as video:
            return next(video.frames(), None) is not None
    except DecodeError:
        return False
