"""Small, seeded, really encoded videos for tests."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]


def moving_square(
    num_frames: int, height: int, width: int, *, seed: int = 0, dx: int = 2, dy: int = 0
) -> Frames:
    """A bright square on a smooth coloured background, wrapping round: `[T, H, W, 3]`, RGB.

    Each step moves it by `(dx, dy)` pixels, so every frame differs from the one before.
    """
    rng = np.random.default_rng(seed)
    slope = rng.integers(20, 100, size=(2, 3))
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 1, width)[None, :, None]
    background = (30 + rows * slope[0] + columns * slope[1]).astype(np.uint8)
    side = max(2, min(height, width) // 4)
    colour = rng.integers(180, 256, size=3, dtype=np.uint8)
    top, left = int(rng.integers(height)), int(rng.integers(width))
    frames = np.repeat(background[None], num_frames, axis=0)
    for index, frame in enumerate(frames):
        y = (top + index * dy + np.arange(side)) % height
        x = (left + index * dx + np.arange(side)) % width
        frame[np.ix_(y, x)] = colour
    return frames


def write_clip(
    path: Path,
    frames: Frames,
    *,
    codec: str = "libx264",
    fps: int | Fraction = 25,
    options: Mapping[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Encode `frames` `[T, H, W, 3]` (even sides) into `path`, whose ending picks the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1  # the same bytes each time
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_frames(folder: Path, frames: Frames, *, suffix: str = ".png", first: int = 1) -> Path:
    """Write `frames` `[T, H, W, 3]` as `frame_1.png`, `frame_2.png`, ... (not zero-padded) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"frame_{number}{suffix}")
    return folder
