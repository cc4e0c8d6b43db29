"""One builder at a time: a lock of the kernel's, which a process cannot take to its grave."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LOOK_AGAIN_S = 0.2
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def alone(path: Path, *, waiting: Callable[[], None]) -> Iterator[bool]:
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
