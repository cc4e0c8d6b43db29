"""Folders as TSN and mmaction extract them: frames and the two components of their flow, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.video import moving_square

SIZE = (24, 32)


def levels_of(fields: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The grey levels that dense_flow writes for pixels of motion, with its bound of 20."""
    return np.rint(255 * (fields.clip(-20, 20) + 20) / 40).astype(np.uint8)


def write_raw_frames(
    folder: Path, *, num_frames: int = 6, num_fields: int = 5, seed: int = 0, suffix: str = ".png"
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Write `img_00001.png flow_x_00001.png flow_y_00001.png ...`; frames `[T, H, W, 3]`, fields `[n, H, W, 2]`."""
    folder.mkdir(parents=True)
    frames = moving_square(num_frames, *SIZE, seed=seed)
    rng = np.random.default_rng(seed)
    levels = rng.integers(64, 193, (num_fields, *SIZE, 2), dtype=np.uint8)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(folder / f"img_{number:05}{suffix}")
    for number, field in enumerate(levels, start=1):
        for axis, component in zip("xy", np.moveaxis(field, -1, 0), strict=True):
            Image.fromarray(component).save(folder / f"flow_{axis}_{number:05}{suffix}")
    return frames, (levels.astype(np.float32) - 128) * np.float32(40 / 255)


def write_raw_frames_root(root: Path, *, suffix: str = ".jpg") -> Path:
    """Two classes of three videos in train and two in val and test: `root/split/class/video/img_00001.jpg`."""
    for seed, split in enumerate(("train", "train", "train", "val", "val", "test", "test")):
        for number, label in enumerate(("run", "walk")):
            folder = root / split / label / f"v{seed}"
            write_raw_frames(folder, seed=10 * seed + number, suffix=suffix)
    return root
