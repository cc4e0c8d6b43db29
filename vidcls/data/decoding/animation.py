"""Animated GIF, WebP and PNG: one file that holds several pictures is a video, read with Pillow.

FFmpeg decodes no animated WebP. What is transparent is shown over black. Frames are counted, not timed: how
long each is shown plays no part, as in all other files. Runs in worker processes: no torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ANIMATED_SUFFIXES = frozenset({".apng", ".gif", ".webp"})
"""Endings of pictures that are often animated; a PNG that is says so only inside."""
_FORMATS = frozenset({"GIF", "PNG", "WEBP"})
_STARTS = (b"GIF8", b"\x89PNG", b"RIFF")


def is_animation(image: Image.Image) -> bool:
    """Whether an opened picture has several frames in time; pages and thumbnails are none."""
    return image.format in _FORMATS and getattr(image, "n_frames", 1) > 1


def is_animated_file(path: Path) -> bool:
    """Whether a file is an animated picture, by its content.

    Raises:
        OSError: If the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(12)
    if not start.startswith(_STARTS) or (start.startswith(b"RIFF") and start[8:] != b"WEBP"):
        return False
    try:
        with Image.open(path) as image:
            return is_animation(image)
    except (OSError, SyntaxError, ValueError):
        return False


def animation_frames(path: Path) -> Iterator[Callable[[], NDArray[np.uint8]]]:
    """What loads each frame of an animated picture, `[H, W, 3]` in RGB, in order.

    Raises:
        OSError: If the file cannot be opened.
    """
    with Image.open(path) as image:

        def load(index: int) -> NDArray[np.uint8]:
            image.seek(index)
            ground = Image.new("RGBA", image.size, (0, 0, 0, 255))
            shown = Image.alpha_composite(ground, image.convert("RGBA"))
            return np.asarray(shown.convert("RGB"), dtype=np.uint8)

        for index in range(getattr(image, "n_frames", 1)):
            yield lambda index=index: load(index)  # type: ignore[misc]
