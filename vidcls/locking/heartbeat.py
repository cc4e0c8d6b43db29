"""Signs of life from a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beating(beat: Callable[[], None], *, every_s: float, name: str) -> Iterator[None]:
    """Call `beat` from a thread, again and again, for the length of a `with` block.

    No error ends it: a disk that is away comes back. What was not renewed meanwhile shows by its age, to
    others and to its holder.

    Args:
        beat: Gives one sign of life.
        every_s: Pause between two of them.
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
