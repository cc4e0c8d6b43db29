"""Animated GIF, WebP and PNG: a file with several pictures is a video and is read with Pillow.

FFmpeg does not decode animated WebP, and treats a still GIF as a video. Frames are counted, not timed: their
durations are ignored, as for all other files. Runs in worker processes, so it must not import torch.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from PIL import Image

ANIMATED_SUFFIXES = frozenset({".apng", ".gif", ".webp"})
"""Suffixes of pictures that are often animated; an animated PNG is recognised only by its content."""
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""Exceptions of Pillow for a picture that it cannot decode."""
_FORMATS = frozenset({"GIF", "PNG", "WEBP"})
_STARTS = (b"GIF8", b"\x89PNG", b"RIFF")


def is_animation(image: Image.Image) -> bool:
    """Whether an opened picture has several frames in time; pages and thumbnails do not count."""
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
