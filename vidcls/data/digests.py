"""Digests, which identify a video by its content; cached by path, size, times and inode."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from vidcls.data.checksums import file_digest
from vidcls.data.decoding.frame_folders import Files, FrameFolder, look_into
from vidcls.data.listing.listing import Problem, ProblemKind
from vidcls.files import atomic_file
from vidcls.json_files import DamagedError, JsonText, read_json

Progress = Callable[[int, int], None]
"""Callback with (done, total)."""
_Cache = dict[str, list[str]]
_CACHE = TypeAdapter(dict[JsonText, Annotated[list[str], Field(min_length=2, max_length=2)]])


@dataclass(frozen=True)
class Digest:
    """Digest of a video's content, or why there is none.

    Attributes:
        hex: 128-bit BLAKE2b; for a frame folder over names and contents in order, for frames and flow fields
            over both digests. Empty on failure.
        failure: Kind of problem; None if there is none.
        reason: Description of the problem for the user.
        place: File or folder with the problem; None on success.
        left_out: Names of pictures in a frame folder that are not frames.
    """

    hex: str = ""
    failure: ProblemKind | None = None
    reason: str = ""
    place: Path | None = None
    left_out: tuple[str, ...] = ()


def digest_videos(
    files: Sequence[Files], *, cache_dir: Path | None, progress: Progress | None = None
) -> list[Digest]:
    """Digest of each video, in order, computed in threads.

    Args:
        files: Files of each video.
        cache_dir: Folder of the cache; None for no cache. An unusable cache only costs time.
        progress: Called after each video.
    """
    cache_file = cache_dir / "digests.json" if cache_dir is not None else None
    cache = _read_cache(cache_file)
    fresh: _Cache = {}
    digests: list[Digest] = []
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        for digest, found in pool.map(lambda each: _both(each, cache), files):
            digests.append(digest)
            fresh.update({key: value for key, value in found.items() if cache.get(key) != value})
            if progress is not None:
                progress(len(digests), len(files))
    if cache_file is not None and fresh:
        _write_cache(cache_file, fresh)
    return digests


def pictures_left_out(ids: Sequence[str], digests: Sequence[Digest]) -> Iterator[Problem]:
    """Note on pictures in frame folders that are not frames, with the ids of their videos."""
    pairs = zip(ids, digests, strict=True)
    names = [f"{key}: {name}" for key, digest in pairs for name in digest.left_out]
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        found = (
            f"{len(names)} pictures are not read, because they are not named like the frames in their "
            f"folder: {shown}"
        )
        yield Problem("left_out", found)


def _both(files: Files, cache: _Cache) -> tuple[Digest, _Cache]:
    """Digest of a video, and its new cache entries."""
    fresh: _Cache = {}
    parts: list[Digest] = []
    for path, of_fields in ((files.frames, False), (files.flows, True)):
        if path is None:
            continue
        digest, stamp = _digest(path, cache, of_fields=of_fields)
        if digest.failure is not None:
            return replace(digest, place=path), {}
        fresh[_key(path, of_fields=of_fields)] = [stamp, digest.hex]
        parts.append(digest)
    if len(parts) == 1:
        return parts[0], fresh
    joined = _blake(" ".join(part.hex for part in parts).encode())
    return replace(parts[0], hex=joined), fresh


def _key(path: Path, *, of_fields: bool) -> str:
    """Cache key of a path; a folder may hold both frames and flow fields."""
    return f"{path.absolute()}{os.sep if of_fields else ''}"


def _digest(path: Path, cache: _Cache, *, of_fields: bool) -> tuple[Digest, str]:
    try:
        folder = look_into(path) if path.is_dir() else None
        if folder is not None and (problem := folder.problem(of_fields=of_fields)) is not None:
            return Digest(failure="unreadable", reason=problem), ""
        files = [path] if folder is None else _chosen(folder, of_fields=of_fields)
        if not files:
            return Digest(
                failure="empty", reason=f"contains no {'flow fields' if of_fields else 'images'}"
            ), ""
        stats = [file.stat() for file in files]
        for file, stat in zip(files, stats, strict=True):
            if stat.st_size == 0:
                name = f"{file.name} has" if folder is not None else "has"
                return Digest(failure="empty", reason=f"{name} 0 bytes"), ""
        lines = [f"{file.name} {_stamp(stat)}" for file, stat in zip(files, stats, strict=True)]
        stamp = _blake("\n".join(lines).encode(errors="surrogateescape"))
        left_out = () if folder is None or of_fields else folder.others
        known = cache.get(_key(path, of_fields=of_fields))
        if known is not None and known[0] == stamp:
            return Digest(known[1], left_out=left_out), stamp
        contents = [file_digest(file) for file in files]
        if folder is None:
            return Digest(contents[0]), stamp
        named = "\n".join(f"{file.name} {content}" for file, content in zip(files, contents, strict=True))
        return Digest(_blake(named.encode(errors="surrogateescape")), left_out=left_out), stamp
    except FileNotFoundError:
        return Digest(failure="missing", reason="does not exist"), ""
    except OSError as error:
        return Digest(failure="unreadable", reason=f"cannot be read: {error.strerror}"), ""


def _stamp(stat: os.stat_result) -> str:
    """Text that changes when the content of a file changes; `cp -p` and `touch -r` keep only size and mtime.

    For a link it describes the target file.
    """
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_dev} {stat.st_ino}"


def _chosen(folder: FrameFolder, *, of_fields: bool) -> list[Path]:
    if of_fields or folder.only_fields:
        return [file for field in folder.fields for file in field]
    return list(folder.frames)


def _blake(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _read_cache(path: Path | None) -> _Cache:
    if path is None:
        return {}
    try:
        return read_json(path, _CACHE, hint="remove this file")
    except (FileNotFoundError, DamagedError):
        return {}


def _write_cache(path: Path, fresh: _Cache) -> None:
    # With two writers at once, one update is lost and computed again later, but no file is half written.
    with contextlib.suppress(OSError):
        text = json.dumps({**_read_cache(path), **fresh}, sort_keys=True, indent=0)
        with atomic_file(path, sync=False) as file:
            file.write(text.encode())
