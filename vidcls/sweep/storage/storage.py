"""The only file operations of a sweep's state; tests put a simulated network disk behind the same words.

Four operations are enough, because nothing is ever changed but a worker's own beat: a file is created whole,
by one process only, and stays as it is. Whoever reads late reads an earlier truth, never a false one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vidcls.files import create_file, sync_folder, write_json
from vidcls.json_files import parse_json
from vidcls.sweep.storage.shapes import shape_of

_NONCE = "nonce"
_TRIES = 5
_BEING_WRITTEN_S = 0.02


class Storage(Protocol):
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


class DiskStorage:
    """The files of a folder on a local or a network disk.

    Attributes:
        root: The folder that names are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Make a file, whole and on disk; False where another made it first.

        Raises:
            OSError: From the disk; the file may be there all the same.
        """
        path = self.root / name
        if path.exists():  # most of those who come late see it, and need not write
            return False
        self._make_folder(path.parent)
        return create_file(path, json.dumps({**content, _NONCE: uuid.uuid4().hex}).encode())

    def read(self, name: str) -> dict[str, Any] | None:
        """A file's content; None if it is not there, as far as this machine knows.

        Raises:
            DamagedError: If the file is not of its shape, see `vidcls.sweep.storage.shapes`.
        """
        content = _text(f"{self.root}/{name}")
        if content is None:
            return None
        value = parse_json(content, shape_of(name), name=f"{self.root}/{name}", hint="restore this file")
        value.pop(_NONCE, None)
        return value

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


def _text(path: str) -> bytes | None:
    # Thousands of small files are read; a Path or a file object would cost as much as the read itself.
    for _ in range(_TRIES):
        try:
            content = _slurp(path)
            if content:
                return content
            time.sleep(_BEING_WRITTEN_S)  # without links a file has its name for a moment before its content
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
    return b""


def _slurp(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        text = b""
        while chunk := os.read(descriptor, 1 << 16):
            text += chunk
        return text
    finally:
        os.close(descriptor)


def _open_folder(folder: str) -> bool:
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    except FileNotFoundError:
        return False
    return True
