"""Prefetching: computes results in threads before they are needed."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

NUM_AHEAD = 2
T = TypeVar("T")


def ahead(fetch: Callable[[int], T], steps: range) -> Iterator[T]:
    """Yield the result of `fetch` for each step, while threads fetch the next `NUM_AHEAD` steps."""
    pending: collections.deque[Future[T]] = collections.deque()
    with ThreadPoolExecutor(NUM_AHEAD, thread_name_prefix="vidcls-ahead") as threads:
        try:
            for step in steps:
                pending.append(threads.submit(fetch, step))
                if len(pending) > NUM_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
