"""What computes: this package's own code, and the releases of the packages whose results it passes on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

DECODERS = ("av", "decord", "decord2", "opencv-python-headless", "opencv-python", "pillow")
"""Distributions that make pixels: decoders of videos and pictures, and what resizes."""
COMPUTING = ("torch", "torchvision", "timm", "numpy", *DECODERS)
"""Distributions of which another release may train to other weights."""


@cache
def code_digest() -> str:
    """A digest of the installed package's Python files: runs of different code are told apart by it."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(_sources(root)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(root: Path) -> list[Path]:
    # A folder behind a link is code like any other.
    folders = os.walk(root, followlinks=True)
    return [Path(folder, name) for folder, _, names in folders for name in names if name.endswith(".py")]


@cache
def releases(packages: Sequence[str]) -> dict[str, str]:
    """The release of each of these distributions that is installed, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
