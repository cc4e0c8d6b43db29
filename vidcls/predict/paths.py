"""Videos that the paths of a command stand for, and the files to read for each. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidcls.choices import Source
from vidcls.data.decoding.frame_folders import Files, look_into
from vidcls.data.digests import digest_videos
from vidcls.data.listing.files import find_videos as videos_below
from vidcls.data.manifest import Video
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


def as_videos(
    paths: Sequence[Path], *, source: Source, cache_dir: Path | None
) -> tuple[list[Video], dict[str, str]]:
    """Make records of videos outside of any data root; their ids are their paths, and labels mean nothing.

    Args:
        paths: Video files and frame folders.
        source: `data.source` of the training, which says whether stored flow is read.
        cache_dir: Folder of the cache of digests; None for no cache.

    Returns:
        Readable videos, and the reason why another one is not, by path.
    """
    read_from = [_files(path, source) for path in paths]
    digests = digest_videos(read_from, cache_dir=cache_dir)
    videos = [
        Video(str(path), path, 0, "test", None, digest.hex, each.flows, each.frames is not None)
        for path, each, digest in zip(paths, read_from, digests, strict=True)
        if not digest.failure
    ]
    pairs = zip(paths, digests, strict=True)
    return videos, {str(path): digest.reason for path, digest in pairs if digest.failure}


def _files(path: Path, source: Source) -> Files:
    """Files to read for a path: stored flow if the run was trained on stored flow, else flow is computed."""
    if "flows" not in source or not path.is_dir() or not look_into(path).fields:
        return Files(path)
    return Files(None if source == "flows" else path, path)
