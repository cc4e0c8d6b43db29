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
        may_be_larger: Whether the card exists with more memory too, and it was not said which is meant.
    """

    name: str
    memory_bytes: float
    half_flops: float
    float_flops: float
    bytes_per_s: float
    may_be_larger: bool = False


CARDS = {
    "t4": Card("T4", 16 * _GB, 65 * _T, 8.1 * _T, 320 * _GB),
    "v100": Card("V100 16 GB", 16 * _GB, 125 * _T, 15.7 * _T, 900 * _GB),
    "a10": Card("A10", 24 * _GB, 125 * _T, 31.2 * _T, 600 * _GB),
    "a30": Card("A30", 24 * _GB, 165 * _T, 10.3 * _T, 933 * _GB),
    "a40": Card("A40", 48 * _GB, 149.7 * _T, 37.4 * _T, 696 * _GB),
    "l4": Card("L4", 24 * _GB, 121 * _T, 30.3 * _T, 300 * _GB),
    "l40": Card("L40", 48 * _GB, 181 * _T, 90.5 * _T, 864 * _GB),
    "l40s": Card("L40S", 48 * _GB, 362 * _T, 91.6 * _T, 864 * _GB),
    "a100": Card("A100 40 GB", 40 * _GB, 312 * _T, 19.5 * _T, 1555 * _GB),
    "a100_80": Card("A100 80 GB", 80 * _GB, 312 * _T, 19.5 * _T, 2039 * _GB),
    "h100": Card("H100 SXM", 80 * _GB, 989 * _T, 67 * _T, 3350 * _GB),
    "h200": Card("H200", 141 * _GB, 989 * _T, 67 * _T, 4800 * _GB),
}
_LARGER = {"v100": 32 * _GB, "a100": 80 * _GB}
"""Cards that exist with more memory too."""


def card_of(gpu_type: str | None, mig: str | None) -> Card | None:
    """Card of a profile: its type, such as `a100`, `TeslaV100` or `NVIDIA-A100-80GB`, and its MIG slice.

    Args:
        gpu_type: Name of the card; None if any may come.
        mig: Slice as SLURM names it (`1g.10gb`), or as LSF counts it (`2` or `2/1`); None for a whole card.

    Returns:
        The card or slice; None if it is not known. If only a named slice is known, it is one of an A100. If
        no size of memory is named, the smaller one is meant.
    """
    whole = _whole((gpu_type or "").lower())
    asked = (mig or "").lower().strip()
    if named := re.search(r"(\d)g\.(\d+)gb", asked):
        slices, memory = int(named[1]), float(named[2]) * _GB
        of = whole or CARDS["a100"]
        if (
            of.name == CARDS["a100"].name
            and memory / slices >= CARDS["a100_80"].memory_bytes / _MEMORY_SLICES
        ):
            of = CARDS["a100_80"]
        return replace(_slice(of, f"{slices}g.{named[2]}gb", slices, memory), may_be_larger=False)
    if whole is not None and (counted := re.fullmatch(r"(\d)(/\d)?", asked)):
        slices = int(counted[1])
        share = 1.0 if slices == _SLICES else slices / _MEMORY_SLICES
        return _slice(whole, f"{slices} slices", slices, whole.memory_bytes * share)
    return whole


def _slice(whole: Card, name: str, slices: int, memory_bytes: float) -> Card:
    share = slices / _SLICES
    return replace(
        whole,
        name=f"{name} of an {whole.name}",
        memory_bytes=memory_bytes,
        half_flops=whole.half_flops * share,
        float_flops=whole.float_flops * share,
        bytes_per_s=whole.bytes_per_s * memory_bytes / whole.memory_bytes,
    )


def _whole(name: str) -> Card | None:
    # The longest first, as `l4` is part of `l40s`; no digit may follow, as `a10` is part of `a1000`.
    keys = sorted((key for key in CARDS if "_" not in key), key=len, reverse=True)
    key = next((key for key in keys if re.search(rf"{key}(?!\d)", name)), None)
    if key is None:
        return None
    size = re.search(r"(\d+)\s*g", name.split(key, 1)[1])
    if key not in _LARGER:
        return CARDS[key]
    if size is None:
        return replace(CARDS[key], may_be_larger=True)
    memory_bytes = float(size[1]) * _GB
    if key == "a100" and memory_bytes == CARDS["a100_80"].memory_bytes:
        return CARDS["a100_80"]
    label = f"{CARDS[key].name.split()[0]} {size[1]} GB"
    return replace(CARDS[key], name=label, memory_bytes=memory_bytes)
