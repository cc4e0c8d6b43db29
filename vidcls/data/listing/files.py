"""Recognises videos on disk: a file, or a folder of images or flow fields."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcls.data.decoding.animation import ANIMATED_SUFFIXES
from vidcls.data.decoding.content import holds_video
from vidcls.data.decoding.frame_folders import is_frame_file

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265"}
    | {".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4"}
    | {".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts"}
    | {".vob", ".webm", ".wmv", ".wtv", ".xvid", ".y4m"}
)
# Suffixes of files that are never videos and are not opened: data sets have thousands of such files.
_OTHER_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".py", ".rst", ".sh", ".srt", ".tsv"}
    | {".txt", ".vtt", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".pdf", ".db", ".ds_store", ".lnk", ".url"}
    | {".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst", ".7z"}
    | {".h5", ".hdf5", ".lmdb", ".mat", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".pt", ".pth"}
    | {".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"}
)
_MAX_DEPTH = 6  # below a root; also ends a cycle of links
_NAMED = 3


def is_video_file(name: str) -> bool:
    """Whether a name is that of a video: a known suffix, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES


def find_videos(folder: Path, *, depth: int = _MAX_DEPTH, others: list[Path] | None = None) -> Iterator[Path]:
    """Find all videos below `folder`, sorted by name in each folder; hidden files and folders are ignored.

    A file is a video by a known suffix, or else by its content. A folder is a video if it holds images or
    flow fields and neither videos nor folders, so that a thumbnail beside videos does not hide them.

    Args:
        folder: Folder to search.
        depth: Maximum depth of folders.
        others: List to which files are added that are neither videos nor frames.

    Raises:
        OSError: If a folder cannot be read.
    """
    folders: list[Path] = []
    videos: list[Path] = []
    frames: list[Path] = []
    rest: list[Path] = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            folders.append(path)
        elif is_video_file(entry.name) or _is_video_by_content(path):
            videos.append(path)
        elif is_frame_file(entry.name):
            frames.append(path)
        else:
            rest.append(path)
    is_one_video = bool(frames) and not folders and not videos
    if others is not None:
        others += rest if is_one_video else [*frames, *rest]
    if is_one_video:
        yield folder
        return
    yield from videos
    if depth > 0:
        for inner in folders:
            yield from find_videos(inner, depth=depth - 1, others=others)


def _is_video_by_content(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _OTHER_SUFFIXES or (is_frame_file(path.name) and suffix not in ANIMATED_SUFFIXES):
        return False
    return holds_video(path)


def counted(others: Sequence[Path], *, root: Path) -> str:
    """Count of files that are not videos, by suffix; files that had to be opened are named."""
    endings = Counter(path.suffix.lower() for path in others)
    opened = [path for path in others if path.suffix.lower() not in _OTHER_SUFFIXES]
    opened = [path for path in opened if not is_frame_file(path.name)]
    counts = ", ".join(f"{count} {ending or 'without an ending'}" for ending, count in endings.most_common())
    names = ", ".join(path.relative_to(root).as_posix() for path in opened[:_NAMED])
    more = f" and {len(opened) - _NAMED} more" if len(opened) > _NAMED else ""
    tried = f"; no video can be decoded from {names}{more}" if opened else ""
    what = "1 file is not a video" if len(others) == 1 else f"{len(others)} files are not videos"
    return f"{what}: {counts}{tried}"


def without_video_suffix(path: str) -> str:
    """Remove a video suffix: `a/b.avi` becomes `a/b`; other suffixes are part of the name."""
    suffix = Path(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in VIDEO_SUFFIXES | ANIMATED_SUFFIXES else path
