"""The only file operations of a sweep's state; tests put a simulated network disk behind the same words.

Four operations are enough, because nothing is ever changed but a worker's own beat: a file is created whole,
by one process only, and stays as it is. Whoever reads late reads an earlier truth, never a false one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vidcls.errors import VidclsError
from vidcls.files import sync_folder, write_json

_NONCE = "nonce"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
_TRIES = 5


class Shelf(Protocol):
    """Small JSON files by name, names with `/` as on disk.

    Any operation may raise OSError; a `create` or `replace` that did may still have happened.
    """

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Make a file, whole and on disk; False where another made it first."""

    def read(self, name: str) -> dict[str, Any] | None:
        """A file's content; None if it is not there, as far as this machine knows."""

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; new files may be missing for a while."""

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file that has one writer only, this process; readers see the old or the new content."""


class DiskShelf:
    """The files of a folder on a local or a network disk.

    Attributes:
        root: The folder that names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Make a file, whole and on disk; False where another made it first.

        Raises:
            VidclsError: If the file system has no hard links.
            OSError: From the disk; the file may be there all the same.
        """
        path = self.root / name
        if path.exists():  # most of those who come late see it, and need not write
            return False
        self._make_folder(path.parent)
        nonce = uuid.uuid4().hex
        temporary = path.with_name(f".{path.name}.{nonce}.tmp")
        try:
            with temporary.open("x") as file:
                json.dump({**content, _NONCE: nonce}, file)
                file.flush()
                os.fsync(file.fileno())
            try:
                # A link is exclusive on network disks too, and the file is whole from the first moment.
                os.link(temporary, path)
            except FileExistsError:
                if _nonce(path) != nonce:
                    return False
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise _no_links(path.parent) from error
                if _nonce(path) != nonce:
                    raise
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        sync_folder(path.parent)
        return True

    def read(self, name: str) -> dict[str, Any] | None:
        """A file's content; None if it is not there, as far as this machine knows.

        Raises:
            VidclsError: If the file is damaged.
        """
        text = _text(f"{self.root}/{name}")
        if text is None:
            return None
        try:
            content: dict[str, Any] = json.loads(text)
            content.pop(_NONCE, None)
        except (ValueError, AttributeError) as error:
            raise VidclsError(f"{self.root / name}: damaged: {error}", hint="restore this file") from error
        return content

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted, without files that are still being written."""
        try:
            return sorted(path.name for path in (self.root / folder).iterdir() if path.name[0] != ".")
        except FileNotFoundError:
            return []

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file that has one writer only, this process; readers see the old or the new content."""
        write_json(self.root / name, content)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _nonce(path: Path) -> str | None:
    """Whose file this is: a server that is asked again, its answer lost, refuses what it has done."""
    text = _text(str(path))
    nonce = json.loads(text).get(_NONCE) if text else None
    return nonce if isinstance(nonce, str) else None


def _no_links(folder: Path) -> VidclsError:
    return VidclsError(
        f"{folder}: this file system has no hard links, which keep two workers apart",
        hint="put runs_dir on another disk",
    )


def _text(path: str) -> str | None:
    # Thousands of small files are read; a Path or a file object would cost as much as the read itself.
    for _ in range(_TRIES):
        try:
            return _slurp(path)
        except FileNotFoundError:
            # A network client remembers for up to a minute that a file was not there, unless it opens the
            # folder: that asks the server.
            if not _open_folder(path.rpartition("/")[0]):
                return None
            with contextlib.suppress(FileNotFoundError):
                return _slurp(path)
            return None
        except OSError as error:
            if error.errno != errno.ESTALE:  # replaced between look-up and read
                raise
    return None


def _slurp(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        text = b""
        while chunk := os.read(descriptor, 1 << 16):
            text += chunk
        return text.decode()
    finally:
        os.close(descriptor)


def _open_folder(folder: str) -> bool:
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    except FileNotFoundError:
        return False
    return True
