"""Boxes of MP4 and MOV files (ISO/IEC 14496-12), changed by hand to what no encoder here writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

ONE = 1 << 16
"""1 in the fixed point numbers of a display matrix."""


def set_matrix(path: Path, abcd: Sequence[float], *, at: tuple[int, int] = (0, 0), slant: float = 0) -> Path:
    """Give the only track of an MP4 or MOV file a display matrix.

    Args:
        path: A file of one track that has none.
        abcd: A pixel (x, y) is shown at (a x + c y, b x + d y).
        at: Where it is put on the canvas, in pixels.
        slant: Makes it a perspective.
    """
    content = path.read_bytes()
    a, b, c, d = (round(value * ONE) for value in abcd)
    unity = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    place = content.index(unity, content.index(b"tkhd"))
    u = round(slant * (1 << 30))
    made = struct.pack(">9i", a, b, u, c, d, 0, at[0] * ONE, at[1] * ONE, 1 << 30)
    path.write_bytes(content[:place] + made + content[place + len(unity) :])
    return path


def refer_to(path: Path, other: Path) -> Path:
    """Make the media of a MOV file lie in another file, by a Macintosh alias: it becomes a reference movie."""
    name = str(other).encode()
    name += b"\0" * (len(name) % 2)
    alias = (
        bytes(10) + b"\x04" + b"disk".ljust(27, b"\0") + bytes(12) + b"\x05" + other.name.encode().ljust(63, b"\0")
        + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(name)) + name
        + struct.pack(">HH", 0xFFFF, 0)
    ).ljust(160, b"\0")  # fmt: skip
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    inner = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    path.write_bytes(_replaced(path.read_bytes(), inner, struct.pack(">II", 0, 1) + entry))
    return path


def _replaced(content: bytes, names: Sequence[bytes], body: bytes) -> bytes:
    """`content` with another body of the box that `names` lead to, and the sizes of all boxes around it."""
    made, place = b"", 0
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        inner = content[place + 8 : place + size]
        if name == names[0]:
            inner = _replaced(inner, names[1:], body) if len(names) > 1 else body
        made += struct.pack(">I4s", 8 + len(inner), name) + inner
        place += size
    return made
