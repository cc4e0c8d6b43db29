"""Animated GIF, WebP and PNG: one file that holds several pictures is a video, read with Pillow.

FFmpeg decodes no animated WebP, and takes a still GIF for a video. Frames are counted, not timed: how long
each is shown plays no part, as in all other files. Runs in worker processes: no torch here.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from PIL import Image

ANIMATED_SUFFIXES = frozenset({".apng", ".gif", ".webp"})
"""Endings of pictures that are often animated; a PNG that is says so only inside."""
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for a picture that it cannot decode."""
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return is_animation(image)
    except BROKEN:
        return False
