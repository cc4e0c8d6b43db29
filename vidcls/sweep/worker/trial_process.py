"""Child process of a worker, which trains a trial, and the launcher that starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

from vidcls.process.signals import HEARD
from vidcls.process.sockets import use_short_socket_paths
from vidcls.sweep.storage.trials import Lease, Trial
from vidcls.sweep.worker.messages import Epoch, TrialOutcome, TrialRequest, enter

_LEAVING_S = 10.0
"""Seconds for a child to end by itself after it has reported its outcome."""
ChildMain = Callable[[TrialRequest, Connection, Connection], None]
"""First function of a child; it gets the request, a pipe to the worker, and a pipe that closes with it."""


@dataclass
class TrialProcess:
    """A child process and the worker's knowledge of it.

    Attributes:
        trial: Trial that the child trains.
        lease: Lease of the trial.
        process: Child process.
        pipe: Pipe for messages of the child and decisions of the worker.
        alive: Pipe held open as long as this worker lives.
        epoch: Number of finished epochs.
        values: Metric after each finished epoch.
        epoch_s: Seconds of the longest epoch so far.
        ending: Kind of end that the worker has requested, with the reason.
        heard: Message of the child that the worker has not handled yet.
    """

    trial: Trial
    lease: Lease
    process: BaseProcess
    pipe: Connection
    alive: Connection
    epoch: int = 0
    values: list[float] = field(default_factory=list)
    epoch_s: float = 0.0
    ending: tuple[str, str] | None = None
    heard: Epoch | TrialOutcome | None = None
    begun: float = field(default_factory=time.monotonic)
    _num_counted: int = 0
    _last: float = field(default_factory=time.monotonic)

    def count_epoch(self, number: int, values: list[float]) -> None:
        """Record an epoch that the child finished."""
        now = time.monotonic()
        # The first interval includes the start of the process and of the data, so the next one replaces it.
        self.epoch_s = now - self._last if self._num_counted < 2 else max(self.epoch_s, now - self._last)
        self._num_counted += 1
        self.epoch, self.values, self._last = number, values, now

    def ask_to_save(self) -> None:
        """Ask the child to save and exit, by the signal of a batch queue."""
        if self.process.is_alive() and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGUSR1)

    def kill(self, why: str) -> None:
        """Kill the child at once; its messages are ignored from then on."""
        self.process.kill()
        self.heard = TrialOutcome("crashed", why, {})

    def close(self) -> None:
        """Close the pipes and wait for a child that has reported its outcome and does not stay."""
        self.process.join(_LEAVING_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.alive.close()

    def listen(self) -> Epoch | TrialOutcome | None:
        """Next message of the child, None if there is none; it stays in `heard` until it is handled."""
        if self.heard is None:
            # `is_alive` is called first: then all messages from before a death are already in the pipe.
            alive = self.process.is_alive()
            with contextlib.suppress(EOFError, OSError):
                if self.pipe.poll():
                    self.heard = self.pipe.recv()
            if self.heard is None and not alive:
                self.heard = TrialOutcome("crashed", _how_it_died(self.process.exitcode), {})
        return self.heard

    def answer(self, verdict: str | None) -> None:
        """Let the child continue, or end it with a reason."""
        self.heard = None
        with contextlib.suppress(OSError):  # the child has died since; its sentinel reports that
            self.pipe.send(verdict)


class TrialLauncher:
    """Starts child processes from one forkserver, which has imported torch but computed nothing.

    Args:
        main: First function of a child. Tests of the search rules pass one that follows a script.
        preload: Additional modules that the forkserver imports.
    """

    def __init__(self, main: ChildMain = enter, *, preload: Sequence[str] = ()) -> None:
        self._main = main
        use_short_socket_paths()
        self._context: ForkServerContext = get_context("forkserver")
        self._context.set_forkserver_preload(["vidcls.sweep.worker.child", *preload])
        self._waiting: list[TrialProcess] = []

    def start(self, trial: Trial, lease: Lease, request: TrialRequest) -> TrialProcess:
        """Let a child that has stayed train a trial, or else start a new one."""
        while self._waiting:
            old = self._waiting.pop()
            with contextlib.suppress(OSError):  # it was killed since
                old.pipe.send(request)
                return TrialProcess(trial, lease, old.process, old.pipe, old.alive)
            old.close()
        return self._forked(trial, lease, request)

    def end(self, child: TrialProcess, outcome: TrialOutcome) -> None:
        """Close a child that has reported its outcome, or keep it for another trial."""
        if outcome.stays and child.process.is_alive():
            self._waiting.append(child)
        else:
            child.close()

    def close(self) -> None:
        """End the children that have stayed: they have nothing to save."""
        for child in self._waiting:
            child.process.kill()
            child.close()
        self._waiting.clear()

    def _forked(self, trial: Trial, lease: Lease, request: TrialRequest) -> TrialProcess:
        pipe, theirs = self._context.Pipe()
        alive_theirs, alive = self._context.Pipe(duplex=False)
        process = self._context.Process(target=self._main, args=(request, theirs, alive_theirs))
        # A queue signals all processes of a job. The forkserver, started with the first child, blocks these
        # signals. Its children inherit the mask, so a signal is pending until they listen.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            resource_tracker.ensure_running()  # started before, because it changes the mask
            signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        alive_theirs.close()
        return TrialProcess(trial, lease, process, pipe, alive)


def _how_it_died(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        why = ": out of memory, or killed by a person" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"
    return f"its process ended without a message (exit code {exit_code})"
