"""Signals ask; the training loop answers at its next step.

USR1 and USR2 are what batch queues send ahead of a time limit or a preemption: save, exit 75. INT, TERM and
HUP (its terminal is gone) end the training: save, exit 1. A second INT does not wait for the save: the
checkpoint from before stands, exit 130; a third ends the process on the spot.

Where nothing can be saved, as while a command still imports or in one that does not train, a signal ends it
with one line and exit code 130, 143 or 129, or 75 where a queue wants the machine.

Under `wandb agent` a bare TERM is its server's early stop of a trial: save, exit 0. So is an INT: the client
sends it to itself when it hears of the stop first. An agent that runs a function stops its thread by an
exception, because a thread hears no signals.
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
"""What queues, people and terminals send; helper processes are deaf to it, and end with who started them."""


class StoppedError(VidclsError):
    """A signal, or whoever judges the training, ended it between two steps; all is saved.

    Attributes:
        folder: Folder of the run, None if none was begun.
    """

    folder: Path | None = None


class Interruption(KeyboardInterrupt):
    """A signal ends the command wherever it is; what was saved before stands."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name}: ended at once; what was saved before stands")
        self.exit_code = _code_at_once(number)


def _code_at_once(number: int) -> int:
    return int(ExitCode.REQUEUE) if number in _REQUEUE else 128 + number


class CommandSignals:
    """Ends a command with one line if a signal comes, from its first import on; a second one kills it.

    Training takes its signals over, see `Signals`.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> Self:
        for number in HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants it so
                signal.signal(number, self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An import makes another error of it, as it likes.
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
    """Remembers the first signal while its `with` block runs. Does nothing outside the main thread.

    Attributes:
        received: The first signal, None before.
        is_cut_off: Whether a second INT came, so that nothing more is saved.
        is_preparing: Whether `heed` ends the work; a training answers by itself, between two steps.
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
                    self.received = command.received  # it came while a library let nothing out
                self._previous[number] = before
            # A launcher may have blocked them: what is pending is heard now.
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
        # A warning followed by TERM stays a warning: the queue wants the job back.
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
