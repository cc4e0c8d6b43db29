"""Checksums of a store's files: written when it is built, verified once on every machine that reads it.

    <store>/verified/<machine>.json   size, times and inode of each file as this machine saw and verified it

A file that was changed since, by whatever, has other times and is verified again.
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
    """BLAKE2b of 128 bits of each of these files of a folder, by name.

    Args:
        folder: Where they lie.
        names: Their names.
        progress: Told after each file; may raise, which ends the work.

    Raises:
        OSError: If one cannot be read.
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
    """BLAKE2b of 128 bits of a file's content.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def verify(folder: Path, expected: Mapping[str, str], *, progress: StageProgress | None = None) -> None:
    """Make sure that a store holds what was written into it, unless this machine did so before.

    Args:
        folder: The store.
        expected: Checksums by name of the file.
        progress: Told after each file; may raise, which ends the work.

    Raises:
        VidclsError: Naming the files that are damaged.
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
        raise VidclsError(f"{folder}: damaged: not the bytes that were written:\n{listed}", hint=hint)
    _remember(folder, stamps)


def remember_verified(folder: Path, names: Sequence[str]) -> None:
    """Note that this machine has just written these files itself."""
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
    # Where the store cannot be written to, it is verified again next time.
    with contextlib.suppress(OSError):
        write_json(_note(folder), stamps)


def _note(folder: Path) -> Path:
    return folder / "verified" / f"{socket.gethostname().replace(os.sep, '_')}.json"
