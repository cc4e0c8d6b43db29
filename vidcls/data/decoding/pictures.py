"""Reads pictures as RGB frames with Pillow: a folder in the order of its numbers, or an animated picture.

A picture is read as a viewer shows it: rotated by its Exif tag, with transparent parts black. More than 8
bits per channel are cut to the upper 8. Numbers without a defined range (32 bits, floats) are refused: their
maximum may be 1, 255 or anything else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageSequence, TiffImagePlugin

from vidcls.data.decoding.animation import BROKEN, is_animation
from vidcls.data.decoding.errors import DecodeError
from vidcls.data.decoding.frame_folders import look_into
from vidcls.data.decoding.orientation import Orientation

Pixels = NDArray[np.uint8]
Load = Callable[[], Pixels]
"""Function that returns one decoded frame `[H, W, 3]`; a frame is converted to RGB only when called."""
FrameLoads = Generator[Load, None, None]
"""Frames of a file in order, decoded one after another."""

Described = tuple[Pixels, tuple[str, ...]]
"""Frame `[H, W, 3]`, and remarks for the user on its conversion."""


def read_pictures(path: Path) -> FrameLoads:
    """Frames of a folder of pictures, or of one animated file; see `read_described`.

    Raises:
        DecodeError: If a picture cannot be decoded, or its brightness range is undefined; names the file.
    """
    for load in read_described(path):
        yield lambda load=load: load()[0]  # type: ignore[misc]


def read_described(path: Path) -> Generator[Callable[[], Described], None, None]:
    """Same as `read_pictures`, each frame with remarks; load a frame before requesting the next.

    Raises:
        DecodeError: If a picture cannot be decoded, or its brightness range is undefined; names the file.
    """
    if path.is_dir():
        found = look_into(path)
        if (problem := found.problem(of_fields=False)) is not None:
            raise DecodeError(problem)
        for file in found.frames:
            yield lambda file=file: _load(file)  # type: ignore[misc]
        return
    try:
        with Image.open(path) as image:
            for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
                yield lambda frame=frame, number=number: _rgb(frame, f"picture {number}")  # type: ignore[misc]
    except BROKEN as error:
        raise DecodeError(f"cannot be decoded: {error}", "corrupt") from None


def _load(file: Path) -> Described:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if is_animation(image):
                    raise DecodeError(
                        f"{file.name} is an animated picture (a whole video), not one frame", "corrupt"
                    )
                others = getattr(image, "n_frames", 1) - 1
                pixels, said = _rgb(image, file.name)
                return pixels, (
                    *said,
                    f"only the first of {others + 1} pictures in the file is used",
                ) if others else said
    except BROKEN as error:
        raise DecodeError(f"{file.name} cannot be decoded: {error}", "corrupt") from None


def on_black(rgba: Pixels) -> Pixels:
    """Draw a frame `[H, W, 4]` on black: `[H, W, 3]`.

    If no pixel is opaque, return the colours unchanged: some programs leave the alpha channel at zero.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255 or not alpha.any():
        return np.ascontiguousarray(rgb)
    return ((rgb.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def read_as(image: Image.Image, name: str) -> tuple[Orientation, int, tuple[str, ...]]:
    """How to read a picture that is opened but not loaded: orientation, bits per channel, and remarks.

    Raises:
        DecodeError: If its brightness range is undefined.
    """
    num_bits = max([8, *(int(found) for found in re.findall(r";(12|16)", str(getattr(image, "tile", ()))))])
    orientation = Orientation.of_exif(image.getexif().get(ExifTags.Base.Orientation, 1))
    if image.mode in ("I", "F"):
        kind = "floats" if image.mode == "F" else "numbers with 32 bits or with a sign"
        raise DecodeError(
            f"{name} contains {kind}, and does not say which number is black and which is white: write it "
            "again with 8 or 16 bits per channel, without a sign"
        )
    said = [] if orientation == Orientation() else [str(orientation)]
    if num_bits > 8:
        said.append(f"reduced from {num_bits} bits per channel to the upper 8 bits")
    return orientation, num_bits, tuple(said)


def _rgb(image: Image.Image, name: str) -> Described:
    """Picture as a viewer shows it, and remarks on its conversion."""
    orientation, num_bits, said = read_as(image, name)
    if image.mode.startswith("I;16"):
        pixels = _upper_bits(image, num_bits)
    elif image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"), dtype=np.uint8)
        if rgba[..., 3].min() < 255:
            said = (*said, "transparent parts become black")
        pixels = on_black(rgba)
    else:
        pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    is_upright = image.format == "TIFF"  # Pillow rotates only these when it loads them
    return pixels if is_upright else orientation.upright(pixels), said


def _upper_bits(image: Image.Image, num_bits: int) -> Pixels:
    """Upper 8 bits of a grey picture with more bits, in each of three channels."""
    grey = (np.asarray(image) >> (num_bits - 8)).astype(np.uint8)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # zero means white
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, axis=-1)
