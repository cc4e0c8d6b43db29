"""Imported by the process from which workers come: a worker that nobody needs any more starts without a word.

A command may end while a worker is being started. Python then prints the traceback of the worker, which finds
no one to tell it what to do.
"""

from __future__ import annotations

import sys
from types import TracebackType

_hook = sys.excepthook


def _quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, EOFError | BrokenPipeError | ConnectionResetError):
        _hook(kind, error, trace)


sys.excepthook = _quiet
