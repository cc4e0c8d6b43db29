"""Heartbeats from a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beating(beat: Callable[[], None], *, every_s: float, name: str) -> Iterator[None]:
    """Call `beat` repeatedly from a thread for the length of a `with` block.

    No error ends the thread, since a missing disk may come back. Other processes and the holder itself see
    from the age of the heartbeat that it was not renewed.

    Args:
        beat: Writes one heartbeat.
        every_s: Pause between two heartbeats, in seconds.
        name: Name of the thread.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            with contextlib.suppress(Exception):
                beat()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
