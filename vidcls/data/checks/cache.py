"""Cache of facts about files, keyed by their content: one small JSON file each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.installed import releases

T = TypeVar("T")


class ContentCache(Generic[T]):
    """Values by digest under a folder; an unreadable value counts as missing.

    Args:
        folder: Folder of the cache; `versions` in its name separates the results of different releases.
        kind: Type adapter that reads and writes a value.
    """

    def __init__(self, folder: Path, kind: TypeAdapter[T]) -> None:
        self._folder = folder
        self._kind = kind

    def get(self, digest: str) -> T | None:
        """Value for a file, or None."""
        try:
            return self._kind.validate_json(self._file(digest).read_bytes())
        except (OSError, ValueError):
            return None

    def put(self, digest: str, value: T) -> None:
        """Store the value for a file.

        Raises:
            VidclsError: If the disk is full.
            OSError: If the value cannot be written for another reason.
        """
        path = self._file(digest)
        try:
            with atomic_file(path, sync=False) as file:  # if the file is lost, it is computed again
                file.write(self._kind.dump_json(value))
        except OSError as error:
            if is_disk_full(error):
                raise disk_full(path, kept="earlier results are kept", cause=error) from error
            raise

    def _file(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.json"


def versions(form: int, packages: Sequence[str]) -> str:
    """Folder name with the versions of `packages`: another release may give different results.

    Args:
        form: Version number, increased when the stored values or their computation change.
        packages: Distributions; those that are not installed are left out.
    """
    found = releases(tuple(packages))
    return "+".join([f"v{form}", *(f"{name}-{release}" for name, release in found.items())])
