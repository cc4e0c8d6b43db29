"""One process a run: a lock that a dead holder cannot keep.

The file names host, pid, process start and queue job. On the same host a holder is alive if its process is.
A holder on another host is alive while it touches the file; it counts as dead once the file did not change
for a lease on the observer's own monotonic clock, because wall clocks of two machines are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from vidcls.errors import VidclsError

BEAT_S = 15.0
LEASE_S = 90.0
_POLL_S = 1.0
_JOB_VARIABLES = ("SLURM_JOB_ID", "LSB_JOBID")


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    host: str
    pid: int
    process_start: float
    job: str | None

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        job = next((os.environ[name] for name in _JOB_VARIABLES if name in os.environ), None)
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time(), job)

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """The holder named in a lock file, None without one or where it was cut off."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def here_and_dead(self) -> bool:
        """Whether this holder ran on this host and is gone."""
        if self.host != socket.gethostname():
            return False
        try:
            return psutil.Process(self.pid).create_time() != self.process_start
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


@contextlib.contextmanager
def hold(path: Path, *, say: Callable[[str], None], wait: bool = False) -> Iterator[None]:
    """Hold the lock for the length of a `with` block.

    Args:
        path: The lock file.
        say: Told when a holder is waited for.
        wait: Wait for a live holder on this host to end, too.

    Raises:
        VidclsError: If a live process holds it and is not waited for.
    """
    while not _create(path):
        holder = Holder.read(path)
        if holder is not None and holder.here_and_dead():
            _remove(path, holder)
        elif wait and holder is not None:
            say(f"{path.parent}: {holder} is training this run; waiting for it")
            while Holder.read(path) == holder and not holder.here_and_dead():
                time.sleep(_POLL_S)
        elif holder is not None and holder.host == socket.gethostname():
            raise VidclsError(
                f"{path.parent}: {holder} is training this run",
                hint=f"wait for it, or stop it: kill {holder.pid}",
            )
        else:
            say(f"{path.parent}: held by {holder}; waiting up to {LEASE_S:.0f} s for a sign of life")
            _outwait(path, holder)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), name="vidcls-lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock, as far as can be told without waiting."""
    holder = Holder.read(path)
    return holder is not None and not holder.here_and_dead()


def _create(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".lock.{uuid.uuid4().hex}")
    mine.write_text(json.dumps(asdict(Holder.me())))
    try:
        # A link is exclusive on network file systems too, and the file is whole from the first moment.
        os.link(mine, path)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _remove(path: Path, holder: Holder) -> None:
    """Take a dead holder's lock away; of several processes that try, one rename succeeds."""
    aside = path.with_name(f".lock.{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if Holder.read(aside) != holder:
            # Somebody was quicker and holds it by now: give it back.
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _outwait(path: Path, holder: Holder | None) -> None:
    def look() -> int | None:
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    first, start = look(), time.monotonic()
    while time.monotonic() - start < LEASE_S:
        if first is None:
            return
        if look() != first:
            raise VidclsError(
                f"{path.parent}: {holder} is training this run", hint="wait for it, or stop it there"
            )
        time.sleep(_POLL_S)
    _remove(path, holder) if holder else path.unlink(missing_ok=True)


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
