"""Orientation of decoded frames: how a display matrix, or the Exif tag of a picture, makes them upright.

A display matrix maps the pixel (x, y), x to the right and y downwards, to (a x + c y, b x + d y). It is
stored in the `tkhd` box of MP4 and MOV (ISO/IEC 14496-12, 8.3.2), in the headers of other containers, and in
H.264 and HEVC streams; FFmpeg returns all of them as `[a, b, u, c, d, v, x, y, w]`. Eight matrices map whole
pixels to whole pixels: four rotations, each with or without a mirror. (x, y) is the position of the picture
on the canvas of a player, and w scales everything: they change no pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from vidcls.data.decoding.errors import DecodeError

_TOLERANCE = math.sin(math.radians(1))  # as in FFmpeg: matrices contain rounded sines
_TURNS = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 1, (-1, 0, 0, -1): 2, (0, 1, -1, 0): 3}
_EXIF_IS_MIRRORED_AND_TURNS = {
    1: (False, 0), 2: (True, 0), 3: (False, 2), 4: (True, 2),
    5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Orientation:
    """Orientation of a frame: mirrored first, then rotated.

    Attributes:
        quarter_turns: Anticlockwise quarter turns, 0 to 3.
        is_mirrored: Whether left and right are exchanged before the rotation.
    """

    quarter_turns: int = 0
    is_mirrored: bool = False

    @classmethod
    def of_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """Orientation from a display matrix of nine numbers.

        A matrix of zeros gives no orientation; `is_void` detects it.

        Raises:
            DecodeError: If it is none of the eight matrices: another rotation angle, or a shear.
        """
        a, b, u, c, d, v = (int(value) for value in matrix[:6])
        if is_void(matrix):
            return cls()
        lengths = math.hypot(a, b), math.hypot(c, d)
        if min(lengths) > 0 and not (u or v):
            exact = (a / lengths[0], b / lengths[0], c / lengths[1], d / lengths[1])
            p, q, r, s = (round(value) for value in exact)
            is_near = all(abs(x - y) <= _TOLERANCE for x, y in zip(exact, (p, q, r, s), strict=True))
            if is_near and (turns := _TURNS.get((p, q, r, s))) is not None:
                return cls(turns)
            if is_near and (turns := _TURNS.get((-p, -q, r, s))) is not None:
                return cls(turns, is_mirrored=True)
        shown = ", ".join(f"{value / 65536:.4g}" for value in (a, b, c, d))
        raise DecodeError(
            f"its display matrix ({shown}) is not a turn by a multiple of 90 degrees or a mirror: write "
            "the video again with upright frames, for example with: ffmpeg -i IN.mp4 OUT.mp4"
        )

    @classmethod
    def of_exif(cls, value: int) -> Orientation:
        """Orientation from the tag Orientation (0x0112) of a picture; undefined numbers are ignored."""
        is_mirrored, quarter_turns = _EXIF_IS_MIRRORED_AND_TURNS.get(value, (False, 0))
        return cls(quarter_turns, is_mirrored)

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> Orientation:
        """Orientation of a frame that PyAV decoded.

        Raises:
            DecodeError: As for `of_matrix`.
        """
        matrix = matrix_of(frame)
        return cls() if matrix is None else cls.of_matrix(matrix)

    @property
    def swaps_sides(self) -> bool:
        """Whether height and width are exchanged."""
        return self.quarter_turns % 2 == 1

    def upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frame `[H, W, ...]` in upright orientation."""
        if self.is_mirrored:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(np.rot90(pixels, self.quarter_turns))

    def __str__(self) -> str:
        mirrored = ["mirrored left to right"] if self.is_mirrored else []
        turned = [f"turned by {90 * self.quarter_turns} degrees anticlockwise"] if self.quarter_turns else []
        return ", then ".join(mirrored + turned) or "upright"


def matrix_of(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Display matrix of a frame, or None."""
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV knows fewer kinds of side data than its FFmpeg, and fails if one is unknown
        SideDataType._missing_ = classmethod(_unnamed)  # type: ignore[assignment]
        data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else tuple(np.frombuffer(data, np.int32).tolist())


def _unnamed(kind: Any, value: int) -> Any:
    """Make an enumeration member for a value without a name."""
    member = object.__new__(kind)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


def is_void(matrix: Sequence[int]) -> bool:
    """Whether the rotation part of a matrix is all zeros: some programs leave it empty."""
    return not any(int(matrix[place]) for place in (0, 1, 3, 4))
