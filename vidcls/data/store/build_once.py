"""Builds folders once: complete or not at all, by one of all processes that need them.

A builder writes into `<path>.partial` and renames it once it is complete, so a reader sees all or nothing,
and after a kill the next builder finds the finished parts. The lock belongs to the kernel, which releases it
when the process dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidcls.data.checksums import checksums, remember_verified
from vidcls.data.decoding.workers import StageProgress
from vidcls.files import disk_full, is_disk_full, publish, write_json

_LOOK_AGAIN_S = 0.2
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Written:
    """Files that a builder wrote into the folder.

    Attributes:
        files: Names of the files that a reader needs; `index.json` gets their checksums.
        index: Other content of `index.json`.
        scratch: Files that only a builder needs; they are removed before the folder is published.
    """

    files: Sequence[str]
    index: Mapping[str, Any]
    scratch: Sequence[Path] = ()


def build_once(
    path: Path,
    write: Callable[[Path], Written],
    *,
    is_published: Callable[[], bool],
    waiting: str,
    kept: str,
    progress: StageProgress | None = None,
) -> bool:
    """Let one process write a folder and publish it with its `index.json`; the others wait for it.

    Args:
        path: Folder to build.
        write: Writes the missing content into the folder that it is given.
        is_published: Returns whether the folder is published.
        waiting: Name of the stage for `progress` while another process builds.
        kept: Text about the finished work, for the message about a full disk.
        progress: Called in this stage and in `checksums`.

    Returns:
        Whether this process built the folder; False if it existed, perhaps by a faster process.

    Raises:
        VidclsError: If the disk is full.
        OSError: If a file cannot be written for another reason.
    """

    def wait() -> None:
        if progress is not None:
            progress(waiting, 0, 0)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock"), waiting=wait) as is_alone:
            if is_published():
                return False
            # Without locks, each builder works in its own folder, and the first one publishes.
            folder = partial(path) if is_alone else path.with_suffix(f".{uuid.uuid4().hex}")
            folder.mkdir(exist_ok=True)
            written = write(folder)
            sums = checksums(folder, written.files, progress=progress)
            write_json(folder / "index.json", {**written.index, "checksums": sums})
            for file in written.scratch:
                file.unlink()
            publish(folder, path)
            remember_verified(path, written.files)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, kept=kept, cause=error) from error
        raise
    return True


def partial(path: Path) -> Path:
    """Path of a folder while it is being built."""
    return path.with_suffix(".partial")


@contextlib.contextmanager
def _alone(path: Path, *, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock `path` for the length of a `with` block; yields False if the file system has no locks.

    The file is not removed: if it were removed while another process waits, two could hold the lock.

    Args:
        path: Lock file, in an existing folder.
        waiting: Called repeatedly while another process holds the lock.

    Raises:
        OSError: If the file cannot be created.
    """
    with path.open("a") as file:
        is_alone = True
        try:
            while not _lock(file.fileno()):
                waiting()
                time.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            is_alone = False
        yield is_alone


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
