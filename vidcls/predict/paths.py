"""Videos that the paths of a command stand for. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidcls.data.listing.files import find_videos as videos_below
from vidcls.errors import UserError


def find_videos(paths: Sequence[str | Path]) -> list[Path]:
    """Find the videos that paths stand for, each once, in natural order within a folder.

    Raises:
        UserError: If a path does not exist, or a folder holds no video.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        # A folder of frames is one video, and `videos_below` returns it as such.
        below = list(videos_below(path)) if path.is_dir() else [path]
        if not below:
            raise UserError(f"{path}: contains no videos and no folders of frames")
        found += below
    return list(dict.fromkeys(found))
