"""All file operations on a sweep's state; tests implement the same interface with a simulated network disk.

Four operations are enough, because only the heartbeat of a worker is ever changed: any other file is created
whole, by one process only, and never changed. A late reader sees an earlier state, never a wrong one.
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
    """Small JSON files by name; names contain `/` as on disk.

    Any operation may raise OSError; a `create` or `replace` that raised may still have taken effect.
    """

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Create a file, whole and on disk; False if another process created it first."""

    def read(self, name: str) -> dict[str, Any] | None:
        """Read the content of a file; None if it is missing, as far as this machine knows."""

    def names(self, folder: str) -> list[str]:
        """List the names in a folder, sorted; new files may be missing for a while."""

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file of which this process is the only writer; readers see the old or the new content."""


class DiskStorage:
    """Files of a folder on a local or a network disk.

    Attributes:
        root: Folder to which names are relative.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Create a file, whole and on disk; False if another process created it first.

        Raises:
            OSError: If the disk fails; the file may exist all the same.
        """
        path = self.root / name
        if path.exists():  # most late processes see the file here, and need not write
            return False
        self._make_folder(path.parent)
        return create_file(path, json.dumps({**content, _NONCE: uuid.uuid4().hex}).encode())

    def read(self, name: str) -> dict[str, Any] | None:
        """Read the content of a file; None if it is missing, as far as this machine knows.

        Raises:
            DamagedError: If the file does not match its schema, see `vidcls.sweep.storage.shapes`.
        """
        content = _text(f"{self.root}/{name}")
        if content is None:
            return None
        path = f"{self.root}/{name}"
        # Looks of a race follow from the stored logits; any other file exists only once.
        hint = f"rm {path}  (it is made again)" if name.startswith("looks/") else "restore this file"
        value = parse_json(content, shape_of(name), name=path, hint=hint)
        value.pop(_NONCE, None)
        return value

    def names(self, folder: str) -> list[str]:
        """List the names in a folder, sorted, without files that are still being written."""
        try:
            return sorted(path.name for path in (self.root / folder).iterdir() if path.name[0] != ".")
        except FileNotFoundError:
            return []

    def replace(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file of which this process is the only writer; readers see the old or the new content."""
        write_json(self.root / name, content)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _text(path: str) -> bytes | None:
    # Thousands of small files are read; creating a Path or a file object would take as long as the read.
    for _ in range(_TRIES):
        try:
            content = _slurp(path)
            if content:
                return content
            time.sleep(_BEING_WRITTEN_S)  # without hard links, a file is empty for a moment
        except FileNotFoundError:
            # A network client caches for up to a minute that a file is missing. Opening the folder makes it
            # ask the server.
            if not _open_folder(path.rpartition("/")[0]):
                return None
            with contextlib.suppress(FileNotFoundError):
                return _slurp(path)
            return None
        except OSError as error:
            if error.errno != errno.ESTALE:  # replaced between lookup and read
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
