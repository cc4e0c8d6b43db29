"""Clock of a machine; tests use a simulated one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _now() -> float:
    # Counts the time while the machine sleeps too, if the system has such a clock.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Clock:
    """Monotonic clock.

    Attributes:
        now: Returns the seconds since some fixed moment.
        sleep: Waits for a number of seconds.
    """

    now: Callable[[], float] = _now
    sleep: Callable[[float], None] = time.sleep


SYSTEM = Clock()
