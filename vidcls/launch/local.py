"""This machine as a queue: detached processes that survive the shell that started them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from vidcls.errors import UserError, VidclsError
from vidcls.files import write_text
from vidcls.launch.commands import run
from vidcls.launch.credentials import refuse_values
from vidcls.launch.job import Job, Task
from vidcls.launch.profile import Profile
from vidcls.launch.script import job_name, preparation, quote, quote_command, safe_name
from vidcls.locking.holder import process_start

_NAME = '"$(uname -n)_$$"'
_TOKEN = "VIDCLS_JOB_NAME"  # noqa: S105 (the name of a variable)


@dataclass(frozen=True)
class _LaunchedProcess:
    host: str
    pid: int
    start: float

    @classmethod
    def parse(cls, job_id: str) -> list[_LaunchedProcess]:
        host, _, processes = job_id.rpartition(":")
        try:
            pairs = [text.split("@") for text in processes.split("+")]
            return [cls(host, int(pid), float(start)) for pid, start in pairs]
        except ValueError:
            raise UserError(f"{job_id!r} is not a job of a machine without a queue") from None

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        with contextlib.suppress(ChildProcessError):  # only the submitting process is its parent
            os.waitpid(self.pid, os.WNOHANG)
        try:
            return (
                process_start(self.pid) == self.start
                and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False


class LocalProfile(Profile):
    """Profile for processes on this machine."""

    queue: Literal["local"] = "local"


@dataclass(frozen=True)
class LocalQueue:
    """Jobs on this machine. No task waits: all tasks start at once."""

    profile: LocalProfile

    @staticmethod
    def is_here() -> bool:
        """True: every machine can start processes."""
        return True

    def script(self, job: Job) -> str:
        """Script of a task; all tasks run the same script."""
        logs = quote(str(job.log_dir))
        parts = [
            f"#!/bin/bash\n# {safe_name(job.name)}: one task on this machine",
            f"mkdir -p {logs} && cd {logs} && exec >>{_NAME}.log 2>&1 </dev/null || exit 1",
            preparation(job, self.profile, name=_NAME),
            f"exec -- {quote_command(job.command)}",
        ]
        return "\n\n".join(parts) + "\n"

    def rehearse(self, job: Job) -> str:
        """Return that the job is accepted: this queue refuses nothing."""
        self.script(job)
        return "this machine"

    def submit(self, job: Job) -> str:
        """Start the tasks, each in its own session; return their host, process ids and start ticks."""
        job = job.with_token()
        path = job.log_dir / f"{safe_name(job.name)}.sh"
        refuse_values(script := self.script(job))
        write_text(path, script)
        environment = _environment() | {_TOKEN: job_name(job)}
        gpus = _gpus() if job.num_tasks is not None else []
        started = []
        for index in range(1 if job.num_tasks is None else job.num_tasks):
            share = {"CUDA_VISIBLE_DEVICES": ",".join(_share(gpus, index, job.num_tasks))} if gpus else {}
            pid = os.posix_spawnp(
                "bash",
                ["bash", str(path)],
                environment | share,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE,),  # Python ignores SIGPIPE, and children would inherit that
            )
            started.append(f"{pid}@{process_start(pid) or 0:.0f}")
        return f"{socket.gethostname()}:{'+'.join(started)}"

    def find(self, name: str) -> list[str]:
        """Find the living job of that name, if its submission ended before it returned the process ids."""
        started = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                # Only the task itself, not the processes that it started.
                if os.getsid(process.pid) == process.pid and process.environ().get(_TOKEN) == name:
                    started.append(f"{process.pid}@{process_start(process.pid) or 0:.0f}")
        return [f"{socket.gethostname()}:{'+'.join(started)}"] if started else []

    def task_names(self, job_id: str, num_tasks: int | None) -> list[str]:  # noqa: ARG002 (the id says it)
        """Value of `VIDCLS_JOB` in each task."""
        return [f"{process.host}_{process.pid}" for process in _LaunchedProcess.parse(job_id)]

    def log_file(self, log_dir: Path, task_name: str) -> Path:
        """Path of the log of a task."""
        return log_dir / f"{task_name}.log"

    def next_steps(self, job_id: str) -> list[str]:
        """Commands to inspect a job and to end it."""
        pids = [str(process.pid) for process in _LaunchedProcess.parse(job_id)]
        return [f"ps -p {','.join(pids)}", f"kill {' '.join(pids)}"]

    def tasks(self, jobs: Sequence[str]) -> list[Task]:
        """Running tasks; tasks on another host cannot be seen and are assumed to run."""
        found = []
        for job in jobs:
            processes = _LaunchedProcess.parse(job)
            for index, process in enumerate(processes):
                if process.is_here and not process.is_alive():
                    continue
                number = index if len(processes) > 1 else None
                reason = "" if process.is_here else f"on {process.host}, which cannot be reached from here"
                name = f"{process.host}_{process.pid}"
                found.append(Task(job, number, name, "running", reason, process.host, f"kill {process.pid}"))
        return found

    def warn(self, jobs: Sequence[str]) -> None:
        """Ask tasks on this host to save and exit with code 75."""
        _signal(jobs, signal.SIGUSR1)

    def cancel(self, jobs: Sequence[str]) -> None:
        """End tasks on this host."""
        _signal(jobs, signal.SIGTERM)

    def site(self) -> str:
        """Name of this machine."""
        return socket.gethostname()

    def largest_array(self) -> int | None:
        """None: the size of an array is not limited."""
        return None


def _signal(jobs: Sequence[str], number: signal.Signals) -> None:
    processes = [process for job in jobs for process in _LaunchedProcess.parse(job)]
    for process in processes:
        if process.is_here and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
    elsewhere = sorted({process.host for process in processes if not process.is_here})
    if elsewhere:
        raise VidclsError(
            f"processes of {', '.join(elsewhere)} cannot be reached from here", hint="log in there"
        )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("VIDCLS_JOB")}


def num_gpus() -> int:
    """Number of GPUs of this machine that this process may use."""
    return len(_gpus())


def _gpus() -> list[str]:
    """GPUs that this process may use, by their names for CUDA_VISIBLE_DEVICES."""
    if (allowed := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in allowed.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []
    answer = run("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
    return answer.stdout.split() if answer.returncode == 0 else []


def _share(gpus: list[str], index: int, num_tasks: int | None) -> list[str]:
    assert num_tasks is not None
    return gpus[index::num_tasks] or [gpus[index % len(gpus)]]
