"""Signals ask; the training loop answers at its next step.

USR1 and USR2 are what batch queues send ahead of a time limit or a preemption: save, exit 75. INT and TERM
end the training: save, exit non-zero. A second INT does not wait. Under `wandb agent` a bare TERM is its
server's early stop of a trial: save, exit 0. So is an INT: the client sends it to itself when it hears of the
stop first. An agent that runs a function stops its thread by an exception, because a thread hears no signals.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from vidcls.errors import ExitCode, VidclsError

_REQUEUE = (signal.SIGUSR1, signal.SIGUSR2)
_END = (signal.SIGINT, signal.SIGTERM)


class StoppedError(VidclsError):
    """A signal, or whoever judges the training, ended it between two steps; all is saved.

    Attributes:
        folder: Of the run, None if none was begun.
    """

    folder: Path | None = None


class Signals:
    """Remembers the first signal while its `with` block runs. Does nothing outside the main thread.

    Attributes:
        received: The first signal, None before.
        is_preparing: Whether `heed` ends the work; a training answers by itself, between two steps.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.is_preparing = True
        self._outer: Signals | None = None
        self._previous: dict[signal.Signals, signal._HANDLER] = {}
        self._mask: set[int] = set()

    def __enter__(self) -> Self:
        global _current
        if threading.current_thread() is threading.main_thread():
            self._outer, _current = _current, self
            for number in (*_REQUEUE, *_END):
                self._previous[number] = signal.signal(number, self._receive)
            # A launcher may have blocked them: what is pending is heard now.
            self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_REQUEUE, *_END))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _current
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            _current = self._outer
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        # A warning followed by TERM stays a warning: the queue wants the job back.
        if self.received is None:
            self.received = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Stop before training has begun, if a signal came.

        Raises:
            VidclsError: With the exit code that the signal asks for.
        """
        if self.received is not None:
            raise StoppedError(
                f"{self.received.name}: stopped; what is finished is kept",
                hint="the same command goes on from there",
                exit_code=self.exit_code,
            )

    def heeding(self, progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
        """Progress (stage, done, total) that ends the work at its next step once a signal came."""

        def stage(name: str, done: int, total: int) -> None:
            progress(name, done, total)
            self.check()

        return stage

    @property
    def exit_code(self) -> ExitCode:
        """What the process exits with because of the signal."""
        if self.received in _REQUEUE:
            return ExitCode.REQUEUE
        return ExitCode.DONE if under_agent() else ExitCode.FAILED


_current: Signals | None = None


def heed() -> None:
    """Stop what this process prepares or scores, if a signal came. For work that waits or takes long.

    Raises:
        StoppedError: With the exit code that the signal asks for.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and _current is not None and _current.is_preparing:
        _current.check()


def under_agent() -> bool:
    """Whether `wandb agent` started this process."""
    return "WANDB_SWEEP_ID" in os.environ


def is_agents_stop(error: BaseException) -> bool:
    """Whether an exception is what an agent puts into the thread of its function to end a trial early."""
    in_thread = threading.current_thread() is not threading.main_thread()
    return in_thread and under_agent() and type(error) is Exception and not error.args
