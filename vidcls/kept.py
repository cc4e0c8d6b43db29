"""Values that the trainings of one process share: what the first one has read or computed, the others take.

Only the child process of a sweep's worker keeps values, while it trains heads one after the other. Anywhere
else, each value is made when it is asked for, since files may have changed since.

A sweep may set another backbone, clip or data section in every trial. So only the values that were asked for
last are kept, and the memory of the child does not grow with the number of trials.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 16
"""Largest number of values that are kept. A trial asks for about eight: data, features and backbones."""
_values: ContextVar[dict[Hashable, Any] | None] = ContextVar("values that are kept", default=None)


@contextmanager
def keeping() -> Iterator[None]:
    """Keep the `MOST` values that were asked for last, for the length of a `with` block."""
    token = _values.set({})
    try:
        yield
    finally:
        _values.reset(token)


def kept(key: Hashable, make: Callable[[], T], *, state_of: Callable[[T], Hashable] | None = None) -> T:
    """Value of a key: the one that was made before, if values are kept, otherwise a new one.

    Args:
        key: Name of the value, with everything that it depends on.
        make: Makes the value, which nobody changes afterwards.
        state_of: State on disk of what a value was made from; once it differs, the value is made again.
    """
    values = _values.get()
    if values is None:
        return make()
    if key in values:
        value, state = values.pop(key)
        if state_of is None or state_of(value) == state:
            values[key] = value, state  # now the newest
            known: T = value
            return known
    made = make()
    values[key] = made, None if state_of is None else state_of(made)
    for oldest in list(values)[:-MOST]:
        del values[oldest]
    return made
