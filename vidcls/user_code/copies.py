"""Copies of users' code: with a run, with a sweep, and with the package that a queued job runs.

<folder>/code.json              which target is which copy
<folder>/<digest>/my_model.py   sources of one target, at the same paths as below its own folder
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from vidcls.files import atomic_file, write_json
from vidcls.json_files import JsonText, read_json
from vidcls.user_code.code import UserCode

FROZEN_NAME = "user_code"
"""Name of the folder of copies beside a frozen package."""
_MAP = "code.json"


class _Entry(TypedDict):
    module: Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    release: JsonText | None


_MAPPING = TypeAdapter(dict[JsonText, _Entry])
_in_use: ContextVar[Path | None] = ContextVar("copies of users' code", default=None)


@dataclass(frozen=True)
class CopiedCode:
    """Copy of the code of a target.

    Attributes:
        root: Folder of the copied files.
        module: Full name of the module.
        digest: Digest of the code.
        release: Distribution and release of an installed module, which is not copied.
    """

    root: Path
    module: str
    digest: str
    release: str | None


def copies_in(folder: Path) -> dict[str, CopiedCode]:
    """Copies in a folder, by target; empty if there are none.

    Raises:
        DamagedError: If the list of copies is damaged.
    """
    try:
        entries = read_json(folder / _MAP, _MAPPING, hint=f"restore {folder} from where it was copied")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        target: CopiedCode(folder / entry["digest"], entry["module"], entry["digest"], entry["release"])
        for target, entry in entries.items()
    }


def write_copies(folder: Path, codes: Iterable[UserCode]) -> None:
    """Copy code into a folder; nothing is written if there is no code.

    Raises:
        VidclsError: If the disk is full.
    """
    entries: dict[str, _Entry] = {}
    for code in codes:
        entries[code.target] = {"module": code.module, "digest": code.digest, "release": code.release}
        for source in code.sources.values():
            path = folder / code.digest / (source.path or source.name.replace(".", "/"))
            if source.path is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                file.write(source.content)
    if entries:
        write_json(folder / _MAP, entries)


def copy_for(target: str) -> CopiedCode | None:
    """Copy in use for a target: that of `using`, else that beside a frozen package; None without one."""
    frozen = Path(__file__).parents[2] / FROZEN_NAME
    for folder in (_in_use.get(), frozen):
        if folder is not None and (copied := copies_in(folder).get(target)) is not None:
            return copied
    return None


@contextlib.contextmanager
def using(folder: Path) -> Iterator[None]:
    """Take the copies in a folder for their targets, for the length of a `with` block."""
    token = _in_use.set(folder)
    try:
        yield
    finally:
        _in_use.reset(token)
