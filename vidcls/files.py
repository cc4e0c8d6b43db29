"""Files that are either whole or absent: written aside, synced, renamed."""

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
"""How file systems say that they cannot link files, or cannot sync a folder."""
_guards: dict[Path, Callable[[], None]] = {}


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
    free_mb = shutil.disk_usage(path.parent).free / 1e6
    error = VidclsError(
        f"{path}: the disk or the quota is full ({free_mb:.0f} MB free on the disk); {kept}",
        hint="free some space, or put runs_dir and store_dir on scratch; then give the same command again",
    )
    error.__cause__ = cause
    return error


@contextlib.contextmanager
def guarded(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Ask `check` just before each change of a file below a folder; it raises where nothing may be written.

    Whoever holds a run gives its lock's check here, so that no writer of the run can forget to ask.
    """
    key = folder.absolute()
    assert key not in _guards, f"{key} has a guard"
    _guards[key] = check
    try:
        yield
    finally:
        del _guards[key]


def may_write(path: Path) -> bool:
    """Ask the guards of a file that is about to change, which raise if it may not.

    Returns:
        Whether it has one.
    """
    absolute = path.absolute()
    # A copy: a guard of another run may come or go in another thread.
    checks = [check for folder, check in list(_guards.items()) if absolute.is_relative_to(folder)]
    for check in checks:
        check()
    return bool(checks)


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only once it is whole and on disk.

    Args:
        path: Name of the file; folders are made.
        sync: Wait for the disk. Without it a power cut may leave an empty file: only for caches.

    Raises:
        OSError: From the write; the file that had the name before is untouched.
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
            may_write(path)  # the next holder of the run removed it, and this names the reason
            raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Make a file, whole and on disk, unless another process made it first: of several, one succeeds.

    Args:
        path: Name of the file, in a folder that exists.
        content: Unlike that of any other process: a server that is asked again, its answer lost, refuses what
            it has done, and then the content tells whose file it is.

    Returns:
        Whether it is this process's.

    Raises:
        OSError: From the disk; the file may be there all the same.
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
    """Name a whole file as no other is named, the best way that the file system has.

    Raises:
        FileExistsError: If one is.
    """
    try:
        # A link is exclusive on network disks too, and the file is whole from the first moment.
        os.link(temporary, path)
        return
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
    # Without links, as on exFAT or in an object store: the file is there at once, and whole a moment later.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(temporary.read_bytes())
        file.flush()
        _sync(file.fileno())


def _open_aside(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside another, with the permissions of a plain one; what guards a run shows in its name."""
    kind = ".held" if may_write(path) else ""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{kind}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    return temporary, os.fdopen(descriptor, "w+b")


def remove_unfinished(folder: Path) -> None:
    """Remove what guarded writes below a folder had not finished, for a new holder before its first write.

    That a killed process left them is only half of it: one that was suspended between its last look at the
    lock and its rename finds nothing to rename any more.
    """
    for temporary in folder.rglob(".*.held.tmp"):
        temporary.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _sync(descriptor: int) -> None:
    """Wait until a file is on disk, where the file system knows how."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut, where the file system knows how."""
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
    """Rename a folder that is whole to its name; where another process was first, its folder stands.

    Raises:
        OSError: If that cannot be.
    """
    try:
        folder.rename(path)
    except OSError:
        if not path.is_dir():  # file systems have several names for "there already"
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
