"""Worker processes that decode: one file per task, with a time limit; a dead worker fails only its video.

Workers come from a forkserver that has imported the decoders but opened no file. So nothing is decoded before
a fork, and torch is never loaded in it.
"""

from __future__ import annotations

import collections
import contextlib
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from multiprocessing import forkserver, popen_forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, Literal, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from vidcls.data.decoding.decode import quiet_worker
from vidcls.data.decoding.errors import DecodeError
from vidcls.process.signals import HEARD, heed
from vidcls.process.sockets import use_short_socket_paths

P = ParamSpec("P")
T = TypeVar("T")

StageProgress = Callable[[str, int, int], None]
"""Callback with (stage, done, total), such as ("decode", 12, 400). It may raise to stop the work."""

FailureKind = Literal["unreadable", "no_video", "corrupt", "timeout", "crash", "other"]
"""`unreadable`, `no_video` and `corrupt` are faults of the file, see `DecodeError`; `timeout` and `crash`
happened to its worker; `other` is outside of the file, such as the disk or a permission."""

_HEED_S = 0.5
"""Interval at which a process that waits for a video checks for signals."""


@dataclass(frozen=True)
class Failure:
    """Failure to decode a video.

    Attributes:
        reason: Description for the user.
        lasting: Whether the file is at fault, so that a retry is useless.
        kind: Kind of failure, see `FailureKind`.
    """

    reason: str
    lasting: bool
    kind: FailureKind = "other"


class Decoders:
    """Pool of decoding processes, started with the first task.

    Args:
        workers: Number of processes.
        timeout_s: Time limit of one task; a worker that exceeds it is killed and replaced.
    """

    def __init__(self, *, workers: int, timeout_s: float) -> None:
        self.workers = workers
        self._timeout_s = timeout_s
        self._pool: Any = None
        self._is_closed = False
        self._lock = threading.Lock()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a task; `outcome` waits for it."""
        with self._lock:
            assert not self._is_closed, "the pool was closed while somebody still reads"
            if self._pool is None:
                self._pool = ProcessPool(self.workers, initializer=quiet_worker, context=worker_context())
        future: Future[T] = self._pool.schedule(function, args, kwargs, self._timeout_s)
        return future

    def outcome(self, future: Future[T]) -> T | Failure:
        """Wait for the result of a task, or its failure; signals are handled during the wait."""
        while not future.done():
            wait([future], timeout=_HEED_S)
            heed()
        try:
            return future.result()
        except DecodeError as error:
            return Failure(error.reason, lasting=True, kind=error.kind)
        except FutureTimeoutError:
            reason = f"took longer than data.timeout_s: {self._timeout_s:g} s"
            return Failure(reason, lasting=False, kind="timeout")
        except ProcessExpired as error:
            reason = f"the decoder crashed on this file (exit code {error.exitcode})"
            return Failure(reason, lasting=False, kind="crash")
        except Exception as error:
            return Failure(f"{type(error).__name__}: {error}", lasting=False)

    def in_order(
        self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]], *, ahead: int
    ) -> Iterator[T | Failure]:
        """Yield the outcome of each call, in order; at most `ahead` results are held in memory."""
        pending: collections.deque[Future[T]] = collections.deque()
        try:
            for call in calls:
                pending.append(self.submit(function, *call))
                if len(pending) >= ahead:
                    outcome = self.outcome(pending.popleft())
                    yield outcome
            while pending:
                outcome = self.outcome(pending.popleft())
                yield outcome
        finally:
            abandon(pending)

    def close(self) -> None:
        """End the processes. Running tasks are lost."""
        with self._lock:
            self._is_closed = True
            if self._pool is not None:
                self._pool.stop()
                self._pool.join()
                self._pool = None


def start_early() -> None:
    """Start the process from which workers come; it loads the decoders while this process loads torch."""
    worker_context()


def worker_context() -> ForkServerContext:
    """Context of worker processes: they get no signals of a queue, and do not import the caller's script."""
    context = _Context()
    _start_forkserver(context)
    return context


def abandon(futures: Iterable[Future[Any]]) -> None:
    """Cancel the tasks that have not started; the others end by themselves."""
    for future in futures:
        if not future.running():
            future.cancel()


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        # A child would import the caller's script again, and with it torch; a script without the usual
        # `__main__` guard would even run again. Workers need nothing from the script.
        with _launching:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                super()._launch(process_obj)  # type: ignore[misc]
            finally:
                sys.modules["__main__"] = main

    def terminate(self) -> None:
        # Workers ignore SIGTERM, see `_start_forkserver`.
        self.kill()


_launching = threading.Lock()


class _Decoder(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802  (multiprocessing's name)
        return _Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Decoder


def _start_forkserver(context: ForkServerContext) -> None:
    """Start the forkserver with the signals blocked that a queue sends to all processes of a job.

    The signals are meant for the parent: it saves, and may need another batch for that.
    """
    use_short_socket_paths()
    context.set_forkserver_preload(["vidcls.data.decoding.quiet_start", "vidcls.data.checks.inspect"])
    resource_tracker.ensure_running()  # started before, because it changes the signal mask
    with contextlib.ExitStack() as undo:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        forkserver.ensure_running()
