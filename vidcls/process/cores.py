"""The processor: its name, the cores that this process may use, and those that others leave free."""

from __future__ import annotations

import math
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

_LEAST_S = 0.3  # a shorter time says little


class _Use(NamedTuple):
    """CPU seconds so far: of all processes on the usable cores, and of this process and its children."""

    at: float
    everybody: float
    own: float


_watched: _Use | None = None


def usable_cores() -> int:
    """Number of cores this process may use; a queue often allows fewer than the machine has."""
    return len(_usable())


def processor() -> str:
    """Product name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def watch_cores() -> None:
    """Begin to watch what other processes do, for `free_cores`."""
    global _watched
    _watched = _use()


def free_cores() -> int:
    """Usable cores, less those that other processes kept busy since `watch_cores`; at least one.

    Processes that have a lower priority (`nice`) make room, and are not counted.
    """
    num_usable = usable_cores()
    if _watched is None:
        return num_usable
    now = _use()
    elapsed = now.at - _watched.at
    if elapsed < _LEAST_S:
        return num_usable
    others = (now.everybody - _watched.everybody) - (now.own - _watched.own)
    return min(num_usable, max(1, math.floor(num_usable - others / elapsed + 0.5)))


def _usable() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _use() -> _Use:
    import psutil  # late, as most commands do not watch

    of_cores = psutil.cpu_times(percpu=True)
    usable = [of_cores[core] for core in _usable() if core < len(of_cores)]
    return _Use(time.monotonic(), sum(core.user + core.system for core in usable), sum(os.times()[:4]))
