"""Signal handling: signals are recorded, and the training loop reacts at its next step.

Batch queues send USR1 and USR2 before a time limit or a preemption: save, exit 75. INT, TERM and HUP (the
terminal is gone) end the training: save, exit 1. A second INT does not wait for the save: the previous
checkpoint is kept, exit 130. A third INT ends the process at once.

If nothing can be saved, for example during the imports of a command or in a command that does not train, a
signal ends the command with one line and exit code 130, 143 or 129, or 75 after a warning of a queue.

Under `wandb agent` a single TERM is the early stop of a trial by the server: save, exit 0. The same holds for
INT, which the client sends to itself if it learns of the stop first. An agent that runs a function stops its
thread by an exception, because threads do not receive signals.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from vidcls.errors import ExitCode, VidclsError

_REQUEUE = (signal.SIGUSR1, signal.SIGUSR2)
_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HEARD = (*_REQUEUE, *_END)
"""Signals of queues, users and terminals; helper processes block them and end with their parent."""


class StoppedError(VidclsError):
    """A signal or the stop rule ended the training between two steps; its state is saved.

    Attributes:
        folder: Folder of the run; None if no run was started.
    """

    folder: Path | None = None


class Interruption(KeyboardInterrupt):
    """A signal ends the command at once; data that was saved before is kept."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name}: ended at once; what was saved before is kept")
        self.exit_code = _code_at_once(number)


def _code_at_once(number: int) -> int:
    return int(ExitCode.REQUEUE) if number in _REQUEUE else 128 + number


class CommandSignals:
    """Ends a command with one line if a signal comes, from its first import on; a second signal kills it.

    A training handles its signals itself, see `Signals`.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> Self:
        for number in HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An import may turn the interruption into another error.
        if self.received is not None and error is not None and not isinstance(error, SystemExit):
            ended = Interruption(self.received)
            sys.stderr.write(f"{ended}\n")
            raise SystemExit(ended.exit_code) from None

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(_code_at_once(number))
        self.received = signal.Signals(number)
        raise Interruption(number)


class Signals:
    """Records the first signal during its `with` block. Does nothing outside of the main thread.

    Attributes:
        received: First signal; None before it.
        is_cut_off: Whether a second INT came, so that nothing more is saved.
        is_preparing: Whether `heed` ends the work; a training reacts by itself, between two steps.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.is_cut_off = False
        self.is_preparing = True
        self._num_ints = 0
        self._outer: Signals | None = None
        self._previous: dict[signal.Signals, signal._HANDLER] = {}
        self._mask: set[int] = set()

    def __enter__(self) -> Self:
        global _current
        if threading.current_thread() is threading.main_thread():
            self._outer, _current = _current, self
            for number in HEARD:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:  # nohup
                    continue
                before = signal.signal(number, self._receive)
                command = getattr(before, "__self__", None)
                if isinstance(command, CommandSignals) and command.received is not None:
                    self.received = command.received  # it came while a library suppressed it
                self._previous[number] = before
            # A launcher may have blocked the signals: pending ones are delivered now.
            self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
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
        # A warning followed by TERM stays a warning, since the queue will restart the job.
        if self.received is None:
            self.received = signal.Signals(number)
        if number != signal.SIGINT:
            return
        self._num_ints += 1
        if self._num_ints == 2:
            self.is_cut_off = True
            raise Interruption(number)
        if self._num_ints > 2:
            os._exit(_code_at_once(number))

    def check(self) -> None:
        """Stop before the training has started, if a signal came.

        Raises:
            VidclsError: If a signal came, with its exit code.
        """
        if self.received is not None:
            raise StoppedError(
                f"{self.received.name}: stopped; finished work is kept",
                hint="give the same command again to continue from there",
                exit_code=self.exit_code,
            )

    def heeding(self, progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
        """Wrap a progress callback (stage, done, total) so that it ends the work once a signal came."""

        def stage(name: str, done: int, total: int) -> None:
            progress(name, done, total)
            self.check()

        return stage

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the process for the signal."""
        if self.received in _REQUEUE:
            return ExitCode.REQUEUE
        return ExitCode.DONE if under_agent() else ExitCode.FAILED


_current: Signals | None = None


def heed() -> None:
    """Stop preparing or scoring if a signal came; call it during work that waits or takes long.

    Raises:
        StoppedError: If a signal came, with its exit code.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and _current is not None and _current.is_preparing:
        _current.check()


def heed_waiting() -> None:
    """Stop the wait of a training for its next batch if a signal came: its state can be saved then.

    Raises:
        StoppedError: If a signal came, with its exit code.
    """
    if threading.current_thread() is threading.main_thread() and _current is not None:
        _current.check()


def under_agent() -> bool:
    """Whether `wandb agent` started this process."""
    return "WANDB_SWEEP_ID" in os.environ


def is_agents_stop(error: BaseException) -> bool:
    """Whether an exception is the one that an agent raises in the thread of its function to end a trial."""
    in_thread = threading.current_thread() is not threading.main_thread()
    return in_thread and under_agent() and type(error) is Exception and not error.args
