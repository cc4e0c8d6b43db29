"""Runs an iterator in a thread of its own, ahead of its user."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Final, TypeVar

from vidcls.process.signals import heed

T = TypeVar("T")
_POLL_S: Final = 0.2
_JOIN_S: Final = 2.0


class _End:
    """Mark at the end of the items, with the error that ended them, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def in_background(
    items: Iterator[T], *, ahead: int, is_over: Callable[[], bool] = lambda: False
) -> Generator[T, None, None]:
    """Yield items that a thread computes in advance; signals are handled while they are waited for.

    Args:
        items: Iterator, used by the thread only, and closed by it if it is a generator.
        ahead: Number of items that may wait for their user.
        is_over: Whether to end, asked while an item is waited for; the thread may then stay in a read that
            never returns, and ends with the process.

    Raises:
        StoppedError: If a signal came and the command does not handle it by itself.
        Exception: What `items` raised.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(ahead)
    is_left = threading.Event()

    def put(item: T | _End) -> None:
        while not is_left.is_set():
            try:
                waiting.put(item, timeout=_POLL_S)
                return
            except queue.Full:
                continue

    def work() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if is_left.is_set():
                    break
        except BaseException as error:
            end = _End(error)
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()
        put(end)

    thread = threading.Thread(target=work, name="vidcls-frames", daemon=True)
    thread.start()
    try:
        while not is_over():
            heed()
            try:
                item = waiting.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        is_left.set()
        thread.join(_JOIN_S)
