"""A copy of this package that jobs run, so that editing the code never changes what is queued."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vidcls.files import publish

_PACKAGE = Path(__file__).parents[1]


def copy_package(folder: Path) -> None:
    """Copy the package into a folder that nobody else sees yet."""
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))


def frozen_package(parent: Path) -> Path:
    """A folder below `parent` that holds this very code, named by its content and never changed.

    Returns:
        What goes in front of PYTHONPATH.
    """
    with beside(parent / "code") as aside:
        copy_package(aside)
        # Of the copy: the code may be edited this very moment.
        path = package_path(parent, aside / _PACKAGE.name)
        if not path.is_dir():
            publish(aside, path)
    return path


def package_path(parent: Path, package: Path = _PACKAGE) -> Path:
    """Where a copy of the package lies below `parent`, or would."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return parent / f"code-{digest.hexdigest()[:12]}"


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A folder beside a path, for what is to be published under it; gone afterwards, if it was not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    aside.chmod(0o777 & ~_umask())
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
