"""Waiting for what another process does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 900.0
"""When a test gives up. What it waits for takes seconds, but on another machine, or beside other work, far more."""
_POLL_S = float(os.environ.get("VIDCLS_TEST_POLL_S", "0.05"))


def wait_for(condition: Callable[[], Any], *, what: str) -> Any:
    """Wait until something holds, and give it."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(_POLL_S)
    return found
