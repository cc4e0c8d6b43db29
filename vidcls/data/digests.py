"""What identifies a video: a digest of its content, cached by path, size and time of change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vidcls.data.layouts.files import frame_files
from vidcls.data.layouts.listing import Kind

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Digest:
    """The digest of a video's content, or why there is none.

    Attributes:
        hex: BLAKE2b of 128 bits; for a frame folder over names and contents in order. Empty on failure.
        failure: The kind of problem, None if there is none.
        reason: What went wrong, for a person.
    """

    hex: str = ""
    failure: Kind | None = None
    reason: str = ""


def digest_videos(
    paths: Sequence[Path], *, cache_dir: Path | None, progress: Progress | None = None
) -> list[Digest]:
    """The digest of each of `paths`, in order, computed in threads.

    Args:
        paths: Video files and folders of frames.
        cache_dir: Folder of the cache; None keeps none. A cache that cannot be used only costs time.
        progress: Told after each video.
    """
    cache_file = cache_dir / "digests.json" if cache_dir is not None else None
    cache = _read_cache(cache_file)
    fresh: dict[str, list[str]] = {}
    digests: list[Digest] = []
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        results = pool.map(lambda path: _digest(path, cache), paths)
        for path, (digest, stamp) in zip(paths, results, strict=True):
            digests.append(digest)
            key = str(path.absolute())
            if digest.hex and cache.get(key) != [stamp, digest.hex]:
                fresh[key] = [stamp, digest.hex]
            if progress is not None:
                progress(len(digests), len(paths))
    if cache_file is not None and fresh:
        _write_cache(cache_file, fresh)
    return digests


def _digest(path: Path, cache: dict[str, list[str]]) -> tuple[Digest, str]:
    try:
        is_folder = path.is_dir()
        files = frame_files(path) if is_folder else [path]
        if not files:
            return Digest(failure="empty", reason="holds no images"), ""
        stats = [file.stat() for file in files]
        for file, stat in zip(files, stats, strict=True):
            if stat.st_size == 0:
                name = f"{file.name} has" if is_folder else "has"
                return Digest(failure="empty", reason=f"{name} 0 bytes"), ""
        lines = [
            f"{file.name} {stat.st_size} {stat.st_mtime_ns}" for file, stat in zip(files, stats, strict=True)
        ]
        stamp = _blake("\n".join(lines).encode(errors="surrogateescape"))
        known = cache.get(str(path.absolute()))
        if known is not None and known[0] == stamp:
            return Digest(known[1]), stamp
        contents = [_file_digest(file) for file in files]
        if not is_folder:
            return Digest(contents[0]), stamp
        named = "\n".join(f"{file.name} {content}" for file, content in zip(files, contents, strict=True))
        return Digest(_blake(named.encode(errors="surrogateescape"))), stamp
    except FileNotFoundError:
        return Digest(failure="missing", reason="is not there"), ""
    except OSError as error:
        return Digest(failure="unreadable", reason=f"cannot be read: {error.strerror}"), ""


def _blake(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _read_cache(path: Path | None) -> dict[str, list[str]]:
    if path is None:
        return {}
    try:
        cache = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(cache, dict):
        return {}
    return {key: value for key, value in cache.items() if isinstance(value, list) and len(value) == 2}


def _write_cache(path: Path, fresh: dict[str, list[str]]) -> None:
    # Two writers at once: one update is lost and computed again later, but no file is ever half written.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**_read_cache(path), **fresh}, sort_keys=True, indent=0)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".digests-", delete=False) as file:
            aside = Path(file.name)
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
