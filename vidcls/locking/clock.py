"""The time of a machine; tests bring a simulated one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _now() -> float:
    # Time counts while the machine sleeps, too, where the system has such a clock.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Clock:
    """A clock that is never set.

    Attributes:
        now: Seconds from some moment on.
        sleep: Lets so many seconds pass.
    """

    now: Callable[[], float] = _now
    sleep: Callable[[float], None] = time.sleep


SYSTEM = Clock()
