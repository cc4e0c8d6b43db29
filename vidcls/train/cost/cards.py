"""GPUs: memory, peak arithmetic and bandwidth, from the data sheets of NVIDIA."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_GB = 1e9
_T = 1e12
_SLICES, _MEMORY_SLICES = 7, 8
"""Slices into which MIG divides the arithmetic and the memory of a GPU."""


@dataclass(frozen=True)
class Card:
    """A GPU, or a MIG slice of one.

    Attributes:
        name: Name for messages.
        memory_bytes: Size of its memory.
        half_flops: Peak operations per second in bf16, or in fp16 if it has no bf16; dense, accumulated in
            float32.
        float_flops: Peak operations per second in float32, without TF32.
        bytes_per_s: Bandwidth of its memory.
    """

    name: str
    memory_bytes: float
    half_flops: float
    float_flops: float
    bytes_per_s: float


CARDS = {
    "t4": Card("T4", 16 * _GB, 65 * _T, 8.1 * _T, 320 * _GB),
    "v100": Card("V100 16 GB", 16 * _GB, 125 * _T, 15.7 * _T, 900 * _GB),
    "a10": Card("A10", 24 * _GB, 125 * _T, 31.2 * _T, 600 * _GB),
    "a30": Card("A30", 24 * _GB, 165 * _T, 10.3 * _T, 933 * _GB),
    "a40": Card("A40", 48 * _GB, 149.7 * _T, 37.4 * _T, 696 * _GB),
    "l4": Card("L4", 24 * _GB, 121 * _T, 30.3 * _T, 300 * _GB),
    "l40s": Card("L40S", 48 * _GB, 362 * _T, 91.6 * _T, 864 * _GB),
    "a100": Card("A100 40 GB", 40 * _GB, 312 * _T, 19.5 * _T, 1555 * _GB),
    "a100_80": Card("A100 80 GB", 80 * _GB, 312 * _T, 19.5 * _T, 2039 * _GB),
    "h100": Card("H100 SXM", 80 * _GB, 989 * _T, 67 * _T, 3350 * _GB),
    "h200": Card("H200", 141 * _GB, 989 * _T, 67 * _T, 4800 * _GB),
}
"""By the name that clusters give them; where a card exists with two sizes of memory, the smaller is meant."""


def card_of(gpu_type: str | None, mig: str | None) -> Card | None:
    """Card of a profile: its type, such as `a100` or `NVIDIA-A100-80GB`, and its slice, such as `1g.10gb`.

    Args:
        gpu_type: Name of the card; None if any may come.
        mig: Name of the MIG slice; None for a whole card.

    Returns:
        The card or slice; None if neither is known. If only the slice is known, it is one of an A100.
    """
    whole = _whole(gpu_type or "")
    found = re.search(r"(\d)g\.(\d+)gb", (mig or "").lower())
    if found is None:
        return whole
    slices, memory = int(found[1]), float(found[2]) * _GB
    of = whole or CARDS["a100"]
    if of == CARDS["a100"] and memory / slices >= CARDS["a100_80"].memory_bytes / _MEMORY_SLICES:
        of = CARDS["a100_80"]
    share = slices / _SLICES
    return replace(
        of,
        name=f"{slices}g.{found[2]}gb of an {of.name}",
        memory_bytes=memory,
        half_flops=of.half_flops * share,
        float_flops=of.float_flops * share,
        bytes_per_s=of.bytes_per_s * memory / of.memory_bytes,
    )


def _whole(gpu_type: str) -> Card | None:
    words = re.split(r"[^a-z0-9]+", gpu_type.lower())
    if "a100" in words and any(word.startswith("80") for word in words):
        return CARDS["a100_80"]
    return next((CARDS[word] for word in words if word in CARDS), None)
