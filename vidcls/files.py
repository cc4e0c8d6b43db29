"""Files that are either whole or absent: written aside, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vidcls.errors import VidclsError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that the disk or the quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def expand_home(path: str) -> str:
    """A path as a person writes it, its `~` or `~user` replaced by a home folder; else unchanged.

    Raises:
        ValueError: If no file can have this path, or there is no such user.
    """
    if "\0" in path:
        raise ValueError("a path holds no NUL character")
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        user = path.partition("/")[0].removeprefix("~")
        raise ValueError(f"no user {user} is known here; a file of that name is written ./{path}") from None


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists: whose disk it would be written to."""
    path = path.expanduser().absolute()
    while not path.is_dir():
        path = path.parent
    return path


def disk_full(path: Path, *, kept: str, cause: BaseException) -> VidclsError:
    """The error for a disk that was full while `path` was written; `kept` says what survives."""
    import shutil

    free_mb = shutil.disk_usage(path.parent).free / 1e6
    error = VidclsError(
        f"{path}: the disk or the quota is full ({free_mb:.0f} MB free on the disk); {kept}",
        hint="free some space, or put runs_dir and store_dir on scratch; then give the same command again",
    )
    error.__cause__ = cause
    return error


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only once it is whole and on disk.

    Args:
        path: Its name; folders are made.
        sync: Wait for the disk. Without it a power cut may leave an empty file: only for caches.

    Raises:
        OSError: From the write; the file that had the name before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(folder: Path, path: Path) -> None:
    """Rename a folder that is whole to its name; where another process was first, its folder stands.

    Raises:
        OSError: If that cannot be.
    """
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(folder)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
