"""One child of a worker, which trains one trial, and what starts it."""

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

from vidcls.signals import HEARD
from vidcls.sockets import use_short_socket_paths
from vidcls.sweep.storage.trials import Lease, Trial
from vidcls.sweep.worker.messages import Epoch, TrialOutcome, TrialRequest, enter

_LEAVING_S = 10.0
"""A child that has said its last word has so long to end by itself."""
ChildMain = Callable[[TrialRequest, Connection, Connection], None]
"""First function of a child; it gets what to do, a pipe to the worker, and one that closes with it."""


@dataclass
class TrialProcess:
    """A child and what the worker knows of it.

    Attributes:
        trial: What it trains.
        lease: The right to.
        process: The child.
        pipe: Messages of the child, and the way back for verdicts.
        alive: Held open for as long as this worker lives.
        epoch: Finished epochs.
        values: The metric after each of them.
        epoch_s: Seconds of the longest epoch so far.
        ending: What the worker told it to end as, with the reason.
        heard: What it said and the worker has not dealt with.
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
        """Note an epoch that the child finished."""
        now = time.monotonic()
        # The first interval holds the start of the process and of the data too, so a later one replaces it.
        self.epoch_s = now - self._last if self._num_counted < 2 else max(self.epoch_s, now - self._last)
        self._num_counted += 1
        self.epoch, self.values, self._last = number, values, now

    def ask_to_save(self) -> None:
        """Ask the child to save and end, as a batch queue would."""
        if self.process.is_alive() and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGUSR1)

    def kill(self, why: str) -> None:
        """End the child at once; that is the last that is heard of it."""
        self.process.kill()
        self.heard = TrialOutcome("crashed", why, {})

    def close(self) -> None:
        """Let go of a child that has said its last word."""
        self.process.join(_LEAVING_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.alive.close()

    def listen(self) -> Epoch | TrialOutcome | None:
        """What the child said, None if nothing; it stays `heard` until the worker has dealt with it."""
        if self.heard is None:
            # Asked first: what a child said before it died is in the pipe by then.
            alive = self.process.is_alive()
            with contextlib.suppress(EOFError, OSError):
                if self.pipe.poll():
                    self.heard = self.pipe.recv()
            if self.heard is None and not alive:
                self.heard = TrialOutcome("crashed", _how_it_died(self.process.exitcode), {})
        return self.heard

    def answer(self, verdict: str | None) -> None:
        """Let the child go on, or end it with a reason."""
        self.heard = None
        with contextlib.suppress(OSError):  # it died since; its sentinel says so
            self.pipe.send(verdict)


class TrialLauncher:
    """Starts children: of one forkserver, which has imported torch and computed nothing.

    Args:
        main: First function of a child. Tests of the rules of a search bring one that follows a script.
        preload: What the forkserver imports besides.
    """

    def __init__(self, main: ChildMain = enter, *, preload: Sequence[str] = ()) -> None:
        self._main = main
        use_short_socket_paths()
        self._context: ForkServerContext = get_context("forkserver")
        self._context.set_forkserver_preload(["vidcls.sweep.worker.child", *preload])

    def start(self, trial: Trial, lease: Lease, request: TrialRequest) -> TrialProcess:
        """Train a trial in a new child."""
        pipe, theirs = self._context.Pipe()
        alive_theirs, alive = self._context.Pipe(duplex=False)
        process = self._context.Process(target=self._main, args=(request, theirs, alive_theirs))
        # A queue signals all processes of a job. The forkserver, which the first child starts, never hears;
        # its children inherit that, and what comes before they listen waits for them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            resource_tracker.ensure_running()  # on its own first: it changes the mask
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
        why = ": out of memory, or somebody killed it" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"
    return f"its process ended without a word (exit code {exit_code})"
