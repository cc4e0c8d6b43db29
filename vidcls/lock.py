"""One process a run: a lock that a dead holder cannot keep.

The file names host, pid, process start and queue job. On the same host a holder is alive if its process is.
A holder on another host is alive while it touches the file; it counts as dead once the file did not change
for a lease on the observer's own monotonic clock, because wall clocks of two machines are never compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
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
    """Who holds a lock.

    Attributes:
        host: Name of the machine.
        pid: Of the process.
        process_start: When it started, in the system's own ticks; two processes with one number differ in it.
        job: Of the batch queue, if any.
        token: Of this one holding.
    """

    host: str
    pid: int
    process_start: float
    job: str | None
    token: str

    @classmethod
    def me(cls) -> Holder:
        """This process, now."""
        job = next((os.environ[name] for name in _JOB_VARIABLES if name in os.environ), None)
        start = process_start(os.getpid())
        assert start is not None
        return cls(socket.gethostname(), os.getpid(), start, job, uuid.uuid4().hex)

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """The holder named in a lock file, None without one or where it was cut off."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    @property
    def is_here(self) -> bool:
        """Whether this holder runs, or ran, on this host."""
        return self.host == socket.gethostname()

    def here_and_dead(self) -> bool:
        """Whether this holder ran on this host and is gone."""
        return self.is_here and process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


def process_start(pid: int) -> float | None:
    """When a process started, None if there is none."""
    try:
        # Ticks since boot: unlike a time of day they stay the same when the clock is set.
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        try:
            return psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return None


@contextlib.contextmanager
def hold(
    path: Path,
    *,
    say: Callable[[str], None],
    wait: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[threading.Event]:
    """Hold the lock for the length of a `with` block, which gets an event that is set if it was lost.

    Args:
        path: The lock file.
        say: Told when a holder is waited for.
        wait: Wait for a live holder to end, too.
        check: Called while waiting; may raise.

    Raises:
        VidclsError: If a live process holds it and is not waited for.
    """
    me = Holder.me()
    while not _create(path, me):
        holder = Holder.read(path)
        if holder is not None and holder.here_and_dead():
            _remove(path, holder)
        elif holder is not None and holder.is_here:
            if not wait:
                raise VidclsError(f"{path.parent}: {holder} is training this run", hint=how_to_end(holder))
            say(f"{path.parent}: {holder} is training this run; waiting for it")
            _outwait(path, holder, wait=wait, check=check)
        else:
            say(f"{path.parent}: held by {holder}; waiting {LEASE_S:.0f} s for a sign of life")
            _outwait(path, holder, wait=wait, check=check)
    stop, lost = threading.Event(), threading.Event()
    beat = threading.Thread(target=_beat, args=(path, me, stop, lost), name="vidcls-lock", daemon=True)
    beat.start()
    try:
        yield lost
    finally:
        stop.set()
        beat.join()
        _remove(path, me)


def how_to_end(holder: Holder | None) -> str:
    """What a person types to end a holder; a job is ended by its queue, which would start it again."""
    if holder is None or (holder.job is None and not holder.is_here):
        return "wait for it, or stop it there"
    if holder.job is None:
        return f"wait for it, or stop it: kill {holder.pid}"
    commands = [f"{command} {holder.job}" for command in ("scancel", "bkill")]
    here = [command for command in commands if shutil.which(command.split()[0])]
    return f"wait for it, or stop it: {' or '.join(here or commands)}"


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock, as far as can be told without waiting."""
    holder = Holder.read(path)
    return holder is not None and not holder.here_and_dead()


def _create(path: Path, me: Holder) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".lock.{me.token}")
    mine.write_text(json.dumps(asdict(me)))
    try:
        # A link is exclusive on network file systems too, and the file is whole from the first moment.
        os.link(mine, path)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _remove(path: Path, holder: Holder | None) -> None:
    """Take a holder's lock away if it still is that holder's; of several processes one looks at a time."""
    with path.with_name(".lock.guard").open("w") as guard:
        with contextlib.suppress(OSError):  # some network file systems have no locks of their own
            fcntl.flock(guard, fcntl.LOCK_EX)
        if Holder.read(path) == holder:
            path.unlink(missing_ok=True)


def _outwait(path: Path, holder: Holder | None, *, wait: bool, check: Callable[[], None]) -> None:
    """Wait until a holder lets go, is dead, or gave no sign of life for a lease; then take its lock away."""

    def look() -> int | None:
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    seen, since = look(), time.monotonic()
    while seen is not None and time.monotonic() - since < LEASE_S:
        if holder is not None and holder.here_and_dead():
            break
        check()
        time.sleep(min(_POLL_S, LEASE_S))
        if (now := look()) != seen:
            if not wait and now is not None:
                raise VidclsError(f"{path.parent}: {holder} is training this run", hint=how_to_end(holder))
            seen, since = now, time.monotonic()
    if seen is not None:
        _remove(path, holder)


def _beat(path: Path, me: Holder, stop: threading.Event, lost: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        if Holder.read(path) != me:
            lost.set()
            return
        with contextlib.suppress(OSError):
            os.utime(path)
