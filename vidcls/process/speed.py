"""Settings of a process that computes on the CPU, made before torch is loaded: its threads and its memory."""

from __future__ import annotations

import ctypes
import os
import platform

_SPIN_COUNT = "20000"
# Environment variable, option of malloc.h, and bytes.
_MALLOC = (
    ("MALLOC_MMAP_THRESHOLD_", -3, 2**30),
    ("MALLOC_TRIM_THRESHOLD_", -1, 2**31 - 1),
)


def keeps_memory() -> bool:
    """Whether freed memory stays with the process: where the C library is glibc, unless the user says no."""
    return os.environ.get("VIDCLS_KEEP_MEMORY") != "0" and platform.libc_ver()[0] == "glibc"


def compute_fast() -> None:
    """Set up this process, and those that it starts, to compute fast; what the user has set stays.

    OpenMP threads spin at each barrier. By default they spin so long that on a busy node they block each
    other's cores, and training is several times slower.

    glibc returns large blocks of memory to the kernel after each operator, and gets them again as fresh
    pages, which must be cleared. Kept, they make training steps about 1.5 times as fast on the CPU (`python
    -m benchmarks kept_memory`); a process then keeps the most that it ever used at one time.
    `VIDCLS_KEEP_MEMORY=0` leaves glibc as it is.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    if not keeps_memory():
        return
    mallopt = ctypes.CDLL(None).mallopt
    for variable, option, num_bytes in _MALLOC:
        if variable not in os.environ:
            mallopt(option, num_bytes)
            os.environ[variable] = str(num_bytes)  # for the processes that follow, whose glibc reads it
