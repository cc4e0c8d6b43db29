"""Roots of files whose content plays no part, and what is read of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vidcls.data.manifest import Manifest, read_manifest
from vidcls.spec.data import DataSection


def put(root: Path, *names: str) -> Path:
    """Make files below `root`, no two alike; returns `root`."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def write(path: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(root: Path, **settings: object) -> Manifest:
    """The manifest of a root."""
    return read_manifest(DataSection.model_validate({"root": str(root), **settings}), cache_dir=None)


def splits(manifest: Manifest) -> Mapping[str, tuple[str, str]]:
    """Class and split of each video, by id; a val that was cut counts as train."""
    cut = {"val": "train"} if manifest.val_is_cut else {}
    return {
        video.id: (manifest.classes[video.label], cut.get(video.split, video.split))
        for video in manifest.videos
    }


def said(manifest: Manifest, *kinds: str) -> list[str]:
    """The messages of the problems of `kinds`; of all fatal ones if none is given."""
    return [
        problem.message
        for problem in manifest.problems
        if (problem.kind in kinds if kinds else problem.fatal)
    ]
