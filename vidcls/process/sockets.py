"""Makes multiprocessing put its sockets into a folder with a short path.

The path of a Unix socket has at most 108 bytes (unix(7)), and the TMPDIR of cluster jobs is often too long.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

from vidcls.errors import VidclsError

_MAX_PATH_BYTES = 103  # limit of macOS without the final byte; Linux has four more
_NAME_BYTES = len("/pymp-12345678/listener-12345678")  # appended by multiprocessing
_changing = threading.Lock()


def use_short_socket_paths() -> None:
    """Make multiprocessing put its sockets into `socket_folder()`. Call it before a forkserver starts.

    Raises:
        VidclsError: If there is no suitable folder.
    """
    folder = socket_folder()
    if folder == Path(tempfile.gettempdir()):
        return
    with _changing:
        before = tempfile.tempdir
        tempfile.tempdir = str(folder)
        try:
            util.get_temp_dir()  # makes a folder in there, and keeps it for this process
        finally:
            tempfile.tempdir = before


def socket_folder() -> Path:
    """Folder for temporary files, or one with a short path if that path is too long for a socket.

    Raises:
        VidclsError: If none of the usual folders is writable.
    """
    for folder in _candidates():
        if _is_short(folder) and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise VidclsError(
        f"TMPDIR: {tempfile.gettempdir()}: the path is too long for the sockets between processes, and "
        f"{', '.join(map(str, list(_candidates())[1:]))} cannot be written",
        hint=f"set TMPDIR to a folder whose path has at most {_MAX_PATH_BYTES - _NAME_BYTES} characters",
    )


def _candidates() -> Iterator[Path]:
    yield Path(tempfile.gettempdir())
    yield from map(Path, ("/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108  (mkdtemp makes a private folder there)


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder)) + _NAME_BYTES <= _MAX_PATH_BYTES
