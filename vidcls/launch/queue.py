"""Interface of a queue; there is one implementation each for SLURM, LSF and this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, assert_never

from vidcls.launch.job import Job, Task
from vidcls.launch.local import LocalProfile, LocalQueue
from vidcls.launch.lsf import LsfProfile, LsfQueue
from vidcls.launch.profile import Profile
from vidcls.launch.slurm import SlurmProfile, SlurmQueue

# Add a further queue here, in `QUEUE_KINDS` and in `open_queue`.
AnyProfile = SlurmProfile | LsfProfile | LocalProfile


class Queue(Protocol):
    """Queue with the settings of one profile."""

    @property
    def profile(self) -> Profile:
        """Profile with the resources of a job."""

    @staticmethod
    def is_here() -> bool:
        """Whether this machine can submit jobs to this kind of queue.

        Raises:
            VidclsError: If it can, but the queue does not answer.
        """

    def script(self, job: Job) -> str:
        """Render the job as a bash script. This is a pure function.

        The command finds VIDCLS_JOB (name of the task), VIDCLS_JOB_START (seconds since 1970, by the clock of
        its own node) and, under a time limit, VIDCLS_JOB_TIME_S in its environment.

        Raises:
            UserError: If the job contains text that a script cannot hold.
        """

    def rehearse(self, job: Job) -> str:
        """Ask whether a job would be accepted; nothing is queued.

        Returns:
            Answer of the queue, for the user.

        Raises:
            VidclsError: If the job would be refused, with the message of the queue.
        """

    def submit(self, job: Job) -> str:
        """Submit a job and return at once.

        Returns:
            Job id from the queue, for the other methods.

        Raises:
            QueueSilentError: If it is unknown whether the queue took the job; `find` may tell later.
            VidclsError: If the job was refused, with the message of the queue.
        """

    def find(self, name: str) -> list[str]:
        """Ids of the jobs of this name (see `job_name`) that the queue still knows.

        Raises:
            QueueSilentError: If the queue does not answer.
        """

    def task_names(self, job_id: str, num_tasks: int | None) -> list[str]:
        """Value of `VIDCLS_JOB` in each task of a job."""

    def log_file(self, log_dir: Path, task_name: str) -> Path:
        """Path of the log of the task of that name."""

    def next_steps(self, job_id: str) -> list[str]:
        """Commands for the user to inspect a job and to end it."""

    def tasks(self, jobs: Sequence[str]) -> list[Task]:
        """Tasks of the jobs that wait, run or end; tasks that are gone are not listed.

        Raises:
            QueueSilentError: If the queue does not answer, so that the state is unknown.
        """

    def warn(self, jobs: Sequence[str]) -> None:
        """Send USR1 to running tasks: they save, exit 75, and are requeued if the profile has `requeue`."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """End waiting and running tasks at once; none of them is requeued."""

    def site(self) -> str:
        """Name of the cluster that the commands reach; another cluster does not know our jobs.

        Raises:
            QueueSilentError: If the queue does not answer.
        """

    def largest_array(self) -> int | None:
        """Maximum number of tasks of one array; None if it is unlimited or unknown."""


def open_queue(profile: AnyProfile) -> Queue:
    """Open the queue of a profile."""
    match profile:
        case SlurmProfile():
            return SlurmQueue(profile)
        case LsfProfile():
            return LsfQueue(profile)
        case LocalProfile():
            return LocalQueue(profile)
        case _:
            assert_never(profile)


# A machine is searched for them in this order.
QUEUE_KINDS: dict[str, type[Queue]] = {"slurm": SlurmQueue, "lsf": LsfQueue, "local": LocalQueue}


def queue_here() -> str:
    """Kind of the queue of this machine: `slurm`, `lsf`, or `local` for the machine itself.

    Raises:
        VidclsError: If there is a queue, but it does not answer.
    """
    return next(kind for kind, queue in QUEUE_KINDS.items() if queue.is_here())
