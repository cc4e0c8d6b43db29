"""Records of videos without a manifest, and clips opened from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vidcls.data.batches.clips import Clips
from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.manifest import Video
from vidcls.spec.data import DataSection
from vidcls.spec.sections import Clip


def video(path: Path, *, label: int = 0, name: str | None = None) -> Video:
    """A training video with the digest of its file; a folder, or an unreadable file, is named by its path."""
    content = path.read_bytes() if path.is_file() else str(path).encode()
    return Video(name or path.stem, path, label, "train", None, hashlib.sha256(content).hexdigest()[:32])


def read_from(files: Mapping[str, Path]) -> dict[str, Files]:
    """Video files and folders of frames, none with flow fields."""
    return {digest: Files(path) for digest, path in files.items()}


def open_cpu(videos: Sequence[Video], store_dir: Path, **options: Any) -> Clips:
    """`open_clips` on the CPU with two workers; the classes are a to f unless given."""
    data = DataSection(workers=2, **options.pop("data", {}))
    clip = Clip(**{"frames": 4, "size": (16, 16), **options.pop("clip", {})})
    options.setdefault("classes", tuple("abcdef"))
    return open_clips(
        videos, data=data, clip=clip, store_dir=store_dir, device=torch.device("cpu"), **options
    )
