"""Holder of a lock or a lease: a process of one boot of one machine, and whether it is still alive."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from vidcls.batch_systems import BATCH_SYSTEMS


@dataclass(frozen=True)
class Holder:
    """Holder of a lock or a lease.

    Attributes:
        host: Name of the machine, for messages only: two containers may share it.
        space: Scope in which process ids are unique; see `process_space`.
        pid: Process id in that scope.
        process_start: Start of the process in system ticks; it differs between processes with the same id.
        job: Job of the batch queue, if any.
        token: Random token of this holding.
    """

    host: str
    space: str
    pid: int
    process_start: float
    job: str | None
    token: str

    @classmethod
    def me(cls) -> Holder:
        """Holder for this process."""
        names = [system.job_variable for system in BATCH_SYSTEMS.values()]
        job = next((os.environ[name] for name in names if name in os.environ), None)
        start = process_start(os.getpid())
        assert start is not None
        return cls(socket.gethostname(), process_space(), os.getpid(), start, job, uuid.uuid4().hex)

    @property
    def is_here(self) -> bool:
        """Whether its process id is valid in the scope of this process."""
        return self.space == process_space()

    def here_and_dead(self) -> bool:
        """Whether this holder ran on this machine and is gone; elsewhere only its heartbeat shows that."""
        return self.is_here and process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


def process_start(pid: int) -> float | None:
    """Start of a process in ticks since boot; None if there is no such process."""
    try:
        # Ticks since boot: unlike a time of day, they do not change when the clock is set.
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        try:
            return psutil.Process(pid).create_time()
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            return None


def process_space() -> str:
    """Id of the scope in which process ids are unique: one boot of one machine, one container on it.

    Two containers, or two cloned machines, may share a host name, and would see each other's processes as
    gone.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux, so no containers either
        return socket.gethostname()


def how_to_end(holder: Holder | None) -> str:
    """Command to end a holder; a job is ended through its queue, which would otherwise restart it."""
    if holder is None or (holder.job is None and not holder.is_here):
        return "wait for it, or stop it on its machine"
    if holder.job is None:
        return f"wait for it, or stop it: kill {holder.pid}"
    cancels = [system.cancel for system in BATCH_SYSTEMS.values()]
    commands = [f"{command} {holder.job}" for command in cancels]
    here = [command for command in commands if shutil.which(command.split()[0])]
    return f"wait for it, or stop it: {' or '.join(here or commands)}"
