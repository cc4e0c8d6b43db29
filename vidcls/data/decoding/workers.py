"""Worker processes that decode: one file a task, with a time limit; a worker that dies names its video.

Workers come from a forkserver that has imported the decoders and opened nothing: nothing is decoded on either
side of a fork, and torch is never loaded there.
"""

from __future__ import annotations

import collections
import contextlib
import os
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
from vidcls.signals import HEARD, heed
from vidcls.sockets import use_short_socket_paths

P = ParamSpec("P")
T = TypeVar("T")

StageProgress = Callable[[str, int, int], None]
"""Called with (stage, done, total), such as ("decode", 12, 400). It may raise to stop the work."""

FailureKind = Literal["unreadable", "no_video", "corrupt", "timeout", "crash", "other"]
"""`unreadable`, `no_video` and `corrupt` lie in the file, see `DecodeError`; `timeout` and `crash` are what
it did to a worker; `other` is around the file: a disk, a permission."""

_HEED_S = 0.5
"""How often who waits for a video looks whether a signal came."""


@dataclass(frozen=True)
class Failure:
    """Why a video could not be decoded.

    Attributes:
        reason: What went wrong, for a person.
        lasting: Whether it lies in the file, so that trying again is of no use.
        kind: See `FailureKind`.
    """

    reason: str
    lasting: bool
    kind: FailureKind = "other"


def usable_cores() -> int:
    """Cores this process may run on; a queue often allows fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Decoders:
    """A pool of decoding processes, started when the first task comes.

    Args:
        workers: Number of processes.
        timeout_s: Time limit of one task; a worker that passes it is killed and replaced.
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
                context = _Context()
                _start_forkserver(context)
                self._pool = ProcessPool(self.workers, initializer=quiet_worker, context=context)
        future: Future[T] = self._pool.schedule(function, args, kwargs, self._timeout_s)
        return future

    def outcome(self, future: Future[T]) -> T | Failure:
        """The result of a task, or why there is none; a signal that ends the work is heard while it runs."""
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
            reason = f"the decoder died of it (exit code {error.exitcode})"
            return Failure(reason, lasting=False, kind="crash")
        except Exception as error:
            return Failure(f"{type(error).__name__}: {error}", lasting=False)

    def in_order(
        self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]], *, ahead: int
    ) -> Iterator[T | Failure]:
        """The outcome of each call, in order; at most `ahead` results are held in memory."""
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
        """End the processes. Tasks that are still running are lost."""
        with self._lock:
            self._is_closed = True
            if self._pool is not None:
                self._pool.stop()
                self._pool.join()
                self._pool = None


def abandon(futures: Iterable[Future[Any]]) -> None:
    """Drop the tasks that have not begun; the others end by themselves."""
    for future in futures:
        if not future.running():
            future.cancel()


class _Popen(popen_forkserver.Popen):
    def _launch(self, process_obj: Any) -> None:
        # A child would import the caller's script again, and with it torch; without the usual guard around
        # its main part the script would even run again. Workers need nothing from it.
        with _launching:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                super()._launch(process_obj)  # type: ignore[misc]
            finally:
                sys.modules["__main__"] = main

    def terminate(self) -> None:
        # Workers do not hear SIGTERM, see `_start_forkserver`.
        self.kill()


_launching = threading.Lock()


class _Decoder(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802  (multiprocessing's name)
        return _Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Decoder


def _start_forkserver(context: ForkServerContext) -> None:
    """Start the process that workers are forked from, deaf to what a queue sends to all processes of a job.

    The signals are for the parent: it saves, and may need one more batch for that.
    """
    use_short_socket_paths()
    context.set_forkserver_preload(["vidcls.data.checks.inspect"])
    resource_tracker.ensure_running()  # on its own first: it changes the signal mask
    with contextlib.ExitStack() as undo:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        forkserver.ensure_running()
