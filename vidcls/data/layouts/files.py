"""What a video is on disk: a file with a known ending, or a folder that holds images or flow fields."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
FLOW_NAME = r"flow_([0-9]+)_([0-9]+)\.npy"
_MAX_DEPTH = 6  # below a root; also what ends a cycle of links


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which `frame_2` comes before `frame_10`; the name itself settles ties (`01`, `1`)."""
    runs = (run for run in re.split(r"([0-9]+)", name) if run)
    key = tuple((0, int(run), "") if run[0] in "0123456789" else (1, 0, run) for run in runs)
    return (*key, (-1, 0, name))


def is_video_file(name: str) -> bool:
    """Whether a name says that the file is a video: a known ending, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES


def is_image_file(name: str) -> bool:
    """Whether a name says that the file is an image: a known ending, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def is_flow_file(name: str) -> bool:
    """Whether a name says that the file is a flow field of the course: `flow_1_2.npy`."""
    return re.fullmatch(FLOW_NAME, name) is not None


def frame_files(folder: Path) -> list[Path]:
    """The images or flow fields that `folder` directly holds, in natural order: the frames of one video.

    Raises:
        OSError: If the folder cannot be read.
    """
    names = [entry.name for entry in os.scandir(folder) if _is_frame(entry.name) and entry.is_file()]
    return [folder / name for name in sorted(names, key=natural_key)]


def find_videos(folder: Path, *, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """All videos below `folder`, sorted by name in each folder; hidden files and folders are ignored.

    A folder counts as a video when it holds images or flow fields and neither videos nor folders: a stray
    thumbnail beside real videos does not hide them.

    Raises:
        OSError: If a folder cannot be read.
    """
    folders: list[Path] = []
    videos: list[Path] = []
    holds_frames = False
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            folders.append(folder / entry.name)
        elif is_video_file(entry.name):
            videos.append(folder / entry.name)
        else:
            holds_frames = holds_frames or _is_frame(entry.name)
    if holds_frames and not folders and not videos:
        yield folder
        return
    yield from videos
    if depth > 0:
        for inner in folders:
            yield from find_videos(inner, depth=depth - 1)


def _is_frame(name: str) -> bool:
    return is_image_file(name) or is_flow_file(name)


def without_video_suffix(path: str) -> str:
    """`a/b.avi` -> `a/b`; other endings are part of the name."""
    suffix = Path(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES else path
