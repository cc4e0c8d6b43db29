"""Checksums of a store's files: written when it is built, verified once on every machine that reads it.

    <store>/verified/<machine>.json   size, times and inode of each file when this machine verified it

A file that was changed later has other times and is verified again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vidcls.data.decoding.workers import StageProgress
from vidcls.errors import VidclsError
from vidcls.files import write_json

STAGE = "checksums"
_Stamps = Mapping[str, list[int]]


def checksums(folder: Path, names: Sequence[str], *, progress: StageProgress | None = None) -> dict[str, str]:
    """128-bit BLAKE2b checksums of files in a folder, by name.

    Args:
        folder: Folder of the files.
        names: Names of the files.
        progress: Called after each file; may raise to stop the work.

    Raises:
        OSError: If a file cannot be read.
    """
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    try:
        found: dict[str, str] = {}
        for name, digest in zip(names, pool.map(file_digest, [folder / name for name in names]), strict=True):
            found[name] = digest
            if progress is not None:
                progress(STAGE, len(found), len(names))
        return found
    finally:
        pool.shutdown(cancel_futures=True)


def file_digest(path: Path) -> str:
    """128-bit BLAKE2b digest of a file's content.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def verify(folder: Path, expected: Mapping[str, str], *, progress: StageProgress | None = None) -> None:
    """Verify the checksums of a store, unless this machine has verified them before.

    Args:
        folder: Folder of the store.
        expected: Checksums by file name.
        progress: Called after each file; may raise to stop the work.

    Raises:
        VidclsError: If files are damaged; the message lists them.
    """
    hint = f"rm -r {folder}  (it is built again)"
    try:
        stamps = _stamps(folder, expected)
        if stamps == _verified(folder):
            return
        found = checksums(folder, list(expected), progress=progress)
    except OSError as error:
        raise VidclsError(f"{folder}: damaged: {error}", hint=hint) from error
    damaged = [name for name, digest in expected.items() if found[name] != digest]
    if damaged:
        listed = "\n".join(f"  {folder / name}" for name in damaged)
        raise VidclsError(
            f"{folder}: damaged: the files have changed since they were written:\n{listed}", hint=hint
        )
    _remember(folder, stamps)


def remember_verified(folder: Path, names: Sequence[str]) -> None:
    """Record files as verified because this machine has just written them."""
    with contextlib.suppress(OSError):
        _remember(folder, _stamps(folder, names))


def _stamps(folder: Path, names: Mapping[str, str] | Sequence[str]) -> dict[str, list[int]]:
    found = {}
    for name in names:
        stat = (folder / name).stat()
        found[name] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    return found


def _verified(folder: Path) -> object:
    try:
        return json.loads(_note(folder).read_text())
    except (OSError, ValueError):
        return None


def _remember(folder: Path, stamps: _Stamps) -> None:
    # If the store is not writable, it is verified again next time.
    with contextlib.suppress(OSError):
        write_json(_note(folder), stamps)


def _note(folder: Path) -> Path:
    return folder / "verified" / f"{socket.gethostname().replace(os.sep, '_')}.json"
