"""`metrics.jsonl`: one JSON object per line, the reference for a run's metrics; trackers copy it."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from vidcls.errors import VidclsError
from vidcls.files import atomic_file, disk_full, is_disk_full, may_write
from vidcls.json_files import json_object

_LARGEST = 10**300
"""Largest whole number that is accepted, so that it can be converted to a float."""
Value = float | str | None
Row = Mapping[str, Value]


class MetricsFile:
    """Appends rows; a row is in the operating system when `append` returns, and on disk after `sync`.

    Opening the file rewrites it, without a half-written line of a killed process. So rows that a process
    without the lock still appends go to the old file, which has no name any more.

    Raises:
        VidclsError: If the file cannot be written. Unlike tracking, metrics must not be lost silently.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            content = path.read_bytes() if path.exists() else b""
            self._begin(content[: content.rfind(b"\n") + 1])
        except OSError as error:
            self._fail(error)

    def _begin(self, content: bytes) -> None:
        with atomic_file(self._path) as file:
            file.write(content)
        # Unbuffered: a row is written whole, or fails at once.
        self._file = self._path.open("ab", buffering=0)
        self._position = len(content)

    @property
    def position(self) -> int:
        """Length of the file in bytes, which a checkpoint stores for `truncate_to`."""
        return self._position

    def append(self, row: Row) -> None:
        """Append a row. Non-finite numbers become null, because JSON has no NaN."""
        may_write(self._path)
        line = json.dumps({key: _finite(value) for key, value in row.items()}, allow_nan=False)
        rest = memoryview(line.encode() + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            may_write(self._path)  # if the next lock holder has replaced the file, this one is stale
            # A full disk may write part of a line; remove it, so that the next row does not join it.
            with contextlib.suppress(OSError):
                self._file.truncate(self._position)
            self._fail(error)
        self._position += len(line) + 1  # json.dumps gives ASCII

    def sync(self) -> None:
        """Wait until all rows are on disk. Called once per epoch and before every checkpoint."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._fail(error)

    def truncate_to(self, position: int) -> None:
        """Cut off the rows after a checkpoint, so that a resume writes each of them once.

        Args:
            position: Value of `position` when the checkpoint was written.

        Raises:
            VidclsError: If the file has lost rows from before the checkpoint.
        """
        may_write(self._path)  # rows of another process would not match the rows read here
        content = self._path.read_bytes()
        if position > self._position:
            what = f"{self._position} bytes, but the checkpoint was written after {position}"
        elif position and content[position - 1 : position] != b"\n":
            what = f"the checkpoint was written after {position} bytes, which is in the middle of a row"
        else:
            self._file.close()
            try:
                self._begin(content[:position])
            except OSError as error:
                self._fail(error)
            return
        raise VidclsError(
            f"{self._path}: {what}; the file was cut or replaced",
            hint="restore the file, or train the run again with --restart",
        )

    def close(self) -> None:
        """Close the file without `sync`."""
        self._file.close()

    def _fail(self, error: OSError) -> NoReturn:
        if is_disk_full(error):
            raise disk_full(self._path, kept="all rows before are intact", cause=error) from error
        raise VidclsError(
            f"{self._path}: metrics cannot be written: {error.strerror or error}",
            hint="set runs_dir to a folder that you can write",
        ) from error


def read_rows(path: Path) -> list[dict[str, Value]]:
    """Read all rows of a metrics file, which may be in use: an incomplete last line is left out.

    Raises:
        VidclsError: If a complete line is not a row.
    """
    *lines, _torn = path.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        row = json_object(line)
        if row is None or not all(map(_is_value, row.values())):
            raise VidclsError(f"{path}:{number}: not a row of metrics; the file is damaged")
        rows.append(row)
    return rows


def _is_value(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    return value is None or isinstance(value, float | str)


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
