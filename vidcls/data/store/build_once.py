"""Folders that are computed once: whole or not at all, by one process of all that ask for them.

A builder writes into `<path>.partial` and renames it once all is there, so a reader sees all or nothing, and
a builder that was killed is followed by one that finds what it finished. The lock is the kernel's, which a
process cannot take to its grave.
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
    """What a builder wrote into the folder.

    Attributes:
        files: Names of the files that a reader needs; `index.json` gets their checksums.
        index: What else `index.json` says.
        scratch: Files that only a builder needs, removed before the folder is published.
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
        path: The folder.
        write: Writes what is missing of it into the folder that it gets.
        is_published: Whether it is there.
        waiting: Stage that `progress` is told while another process builds.
        kept: What a message about a full disk says of the work that was done.
        progress: Told about this stage, and about `checksums`.

    Returns:
        Whether this process built it; False if it was there, perhaps because another process was faster.

    Raises:
        VidclsError: If the disk is full.
        OSError: If something cannot be written for another reason.
    """

    def wait() -> None:
        if progress is not None:
            progress(waiting, 0, 0)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock"), waiting=wait) as is_alone:
            if is_published():
                return False
            # Without locks each builder works for itself, and the first one publishes.
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
    """Where a folder is while it is being built."""
    return path.with_suffix(".partial")


@contextlib.contextmanager
def _alone(path: Path, *, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock `path` for the length of a `with` block; yields False where the file system has no locks.

    The file stays: taking it away while another process waits for it would let two in.

    Args:
        path: The lock file, in a folder that exists.
        waiting: Called again and again while another process holds the lock.

    Raises:
        OSError: If the file cannot be made.
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
