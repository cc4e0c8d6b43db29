"""A process that stands still right before one of its file operations, as a machine that is suspended does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from vidcls.locking.clock import Clock

_CHANGES = {"write", "replace", "rename", "link", "unlink", "utime", "mkdir", "fsync", "open", "truncate"}
_WRITERS = {"files.py", "lock.py", "jsonl.py", "runs.py", "session.py", "checkpoint.py"}


class SharedClock:
    """Seconds that two processes share, and that pass when told to."""

    def __init__(self) -> None:
        self._now = multiprocessing.get_context("fork").Value("d", 1000.0)

    def advance(self, seconds: float) -> None:
        self._now.value += seconds

    def of_a_machine(self) -> Clock:
        return Clock(now=lambda: self._now.value, sleep=self.advance)


def stand_still_before(number: int) -> None:
    """Stop this process before its file operation of that number."""
    before_operation(number, lambda: os.kill(os.getpid(), signal.SIGSTOP))


def before_operation(number: int, act: Callable[[], None]) -> None:
    """Do something before the file operation of that number in our own code, counted from 0.

    The profiler sees each call into C, so the moment may be any: before a write, between a look at the lock and
    the rename that it is for, within the end of a run.
    """
    left = [number]

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in _CHANGES and _is_ours(frame):
            left[0] -= 1
            if left[0] == -1:
                sys.setprofile(None)
                act()

    sys.setprofile(look)


def _is_ours(frame: FrameType | None) -> bool:
    """Whether one of our writers calls, by itself or through pathlib and the like."""
    for _ in range(4):
        if frame is None:
            return False
        path = Path(frame.f_code.co_filename)
        if path.name in _WRITERS and "vidcls" in path.parts:
            return True
        frame = frame.f_back
    return False


def fork(main: Callable[[], int]) -> int:
    """Run a function in a child process, which ends with its result; the child's number."""
    if pid := os.fork():
        return pid
    code = 99
    try:
        code = main()
    finally:
        os._exit(code)


def wait_for_stop(pid: int) -> bool:
    """Wait until a child stands still; False if it ended before."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    return os.WIFSTOPPED(status)


def go_on(pid: int) -> int:
    """Let a child go on to its end; its exit code."""
    os.kill(pid, signal.SIGCONT)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def content_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, those of its lock aside."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".lock", "lock"))
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
