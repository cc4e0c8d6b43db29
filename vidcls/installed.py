"""Installed software that affects results: the code of this package, and releases of other packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vidcls.errors import UserError

DECODERS = ("av", "decord", "decord2", "opencv-python-headless", "opencv-python", "pillow")
"""Distributions that produce pixels: decoders of videos and pictures, and image resizing."""
COMPUTING = ("torch", "torchvision", "timm", "numpy", *DECODERS)
"""Distributions whose release may change the trained weights."""


@cache
def code_digest() -> str:
    """Digest of the installed package's Python files, which distinguishes runs of different code."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(_sources(root)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def shipped_folder(name: str) -> Path:
    """Folder of shipped files, such as `experiments`: in the wheel, or in the checkout if that is used."""
    package = Path(__file__).parent
    inside = package / "project" / name
    return inside if inside.is_dir() else package.parent / name


def _sources(root: Path) -> list[Path]:
    # Linked folders contain code too.
    folders = os.walk(root, followlinks=True)
    return [Path(folder, name) for folder, _, names in folders for name in names if name.endswith(".py")]


@cache
def releases(packages: Sequence[str]) -> dict[str, str]:
    """Release of each installed distribution among the given ones, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def refuse_missing(packages: Sequence[str], *, extra: str) -> None:
    """Refuse work that needs packages of an extra that are not installed; none of them is imported.

    Args:
        packages: Names by which the packages are imported.
        extra: Extra of vidcls that installs them.

    Raises:
        UserError: If a package is missing.
    """
    missing = [name for name in packages if not _is_installed(name)]
    if missing:
        one = "is" if len(missing) == 1 else "are"
        raise UserError(
            f"this needs {' and '.join(missing)}, which {one} not installed",
            hint=f"pip install 'vidcls[{extra}]'",
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
