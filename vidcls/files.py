"""Atomic file operations: files are written to a temporary file, synced and renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from vidcls.errors import VidclsError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSALS = {
    errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK,
    errno.EISDIR, errno.EBADF,
}  # fmt: skip
"""Error numbers of file systems that cannot link files, or cannot sync a folder."""
_guards: dict[Path, Callable[[], None]] = {}


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, means that the disk or the quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def expand_home(path: str) -> str:
    """Replace `~` or `~user` in a path by a home folder; leave other paths unchanged.

    Raises:
        ValueError: If no file can have this path, or the user is unknown.
    """
    if "\0" in path:
        raise ValueError("a path cannot contain a NUL character")
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        user = path.partition("/")[0].removeprefix("~")
        raise ValueError(f"there is no user {user} here; write ./{path} for a file of this name") from None


def nearest_folder(path: Path) -> Path:
    """The folder or its nearest existing parent, which is on the disk to which it would be written."""
    path = path.expanduser().absolute()
    while not path.is_dir():
        path = path.parent
    return path


def disk_full(path: Path, *, kept: str, cause: BaseException) -> VidclsError:
    """Error for a disk that was full while `path` was written; `kept` is a text about what is safe."""
    free_mb = shutil.disk_usage(path.parent).free / 1e6
    error = VidclsError(
        f"{path}: the disk or the quota is full ({free_mb:.0f} MB free on the disk); {kept}",
        hint="free some space, or put runs_dir and store_dir on scratch; then give the same command again",
    )
    error.__cause__ = cause
    return error


@contextlib.contextmanager
def guarded(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` just before each change of a file below a folder; it raises if writing is not allowed.

    The holder of a run passes the check of its lock here, so that no writer of the run can omit it.
    """
    key = folder.absolute()
    assert key not in _guards, f"{key} has a guard"
    _guards[key] = check
    try:
        yield
    finally:
        del _guards[key]


def may_write(path: Path) -> bool:
    """Call the guards of a file that is about to change; they raise if it may not change.

    Returns:
        Whether the file has a guard.
    """
    absolute = path.absolute()
    # A copy, because another thread may add or remove a guard of another run.
    checks = [check for folder, check in list(_guards.items()) if absolute.is_relative_to(folder)]
    for check in checks:
        check()
    return bool(checks)


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only once it is whole and on disk.

    Args:
        path: Path of the file; missing folders are created.
        sync: Wait for the disk. Without it, a power cut may leave an empty file, so only for caches.

    Raises:
        OSError: If writing fails; the earlier file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, file = _open_aside(path)
    try:
        with file:
            yield file
            if sync:
                file.flush()
                _sync(file.fileno())
        may_write(path)
        try:
            temporary.replace(path)
        except FileNotFoundError:
            may_write(path)  # the next holder of the run removed the file; raises the reason
            raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Create a file, whole and on disk, unless another process created it first; only one process succeeds.

    Args:
        path: Path of the file, in an existing folder.
        content: Content that no other process writes: if the answer of a server is lost and the request is
            repeated, it is refused, and then the content shows which process created the file.

    Returns:
        Whether this process created the file.

    Raises:
        OSError: If the disk fails; the file may exist all the same.
    """
    temporary, file = _open_aside(path)
    try:
        with file:
            file.write(content)
            file.flush()
            _sync(file.fileno())
        may_write(path)
        try:
            _give_name(temporary, path)
        except OSError as error:
            if _content(path) != content:
                if isinstance(error, FileExistsError):
                    return False
                raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    sync_folder(path.parent)
    return True


def _give_name(temporary: Path, path: Path) -> None:
    """Give a complete file a name that must not exist yet, by the best method of the file system.

    Raises:
        FileExistsError: If the name exists.
    """
    try:
        # A link is exclusive on network disks too, and the file is complete from the first moment.
        os.link(temporary, path)
        return
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
    # Without links, as on exFAT or in an object store, the file exists at once and is complete a moment
    # later.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(temporary.read_bytes())
        file.flush()
        _sync(file.fileno())


def _open_aside(path: Path) -> tuple[Path, IO[bytes]]:
    """Open a temporary file beside another, with normal permissions; a guarded file gets a special name."""
    kind = ".held" if may_write(path) else ""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{kind}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    return temporary, os.fdopen(descriptor, "w+b")


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files of guarded writes below a folder, before the first write of a new lock holder.

    This cleans up after killed processes. It also stops a process that was suspended between its last check
    of the lock and its rename, because it finds no file to rename.
    """
    for temporary in folder.rglob(".*.held.tmp"):
        temporary.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _sync(descriptor: int) -> None:
    """Wait until a file is on disk, if the file system supports it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut, if the file system supports it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def publish(folder: Path, path: Path) -> None:
    """Rename a complete folder to its final name; if another process was first, its folder is kept.

    Raises:
        OSError: If the folder cannot be renamed.
    """
    try:
        folder.rename(path)
    except OSError:
        if not path.is_dir():  # file systems have several errors for an existing target
            raise
        shutil.rmtree(folder)
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
