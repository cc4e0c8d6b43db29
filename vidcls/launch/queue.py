"""What every queue can do; one implementation each for SLURM, LSF and this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vidcls.launch.job import Job, Task
from vidcls.launch.local import LocalQueue
from vidcls.launch.lsf import LsfQueue
from vidcls.launch.profile import LocalProfile, LsfProfile, Profile, SlurmProfile
from vidcls.launch.slurm import SlurmQueue


class Queue(Protocol):
    """A queue, as one profile uses it."""

    @property
    def profile(self) -> Profile:
        """What jobs ask for."""

    def script(self, job: Job) -> str:
        """The job as a script for bash. Pure.

        The command finds VIDCLS_JOB (the task's name), VIDCLS_JOB_START (seconds since 1970, by the clock of
        its own node) and, under a time limit, VIDCLS_JOB_TIME_S in its environment.

        Raises:
            UserError: For what no script can hold.
        """

    def rehearse(self, job: Job) -> str:
        """Ask whether a job would be taken; nothing is queued.

        Returns:
            What the queue says, for a person.

        Raises:
            VidclsError: In the queue's own words, if it would be refused.
        """

    def submit(self, job: Job) -> str:
        """Hand a job over and return at once.

        Returns:
            Its id, for the other methods, as the queue tells it.

        Raises:
            QueueSilentError: If it cannot be told whether the queue took it; `find` may tell later.
            VidclsError: In the queue's own words, if it was refused.
        """

    def find(self, name: str) -> list[str]:
        """The ids of the jobs of this name, see `job_name`, that the queue still knows.

        Raises:
            QueueSilentError: If the queue does not answer.
        """

    def task_names(self, job_id: str, num_tasks: int | None) -> list[str]:
        """`VIDCLS_JOB` of each task of a job."""

    def log_file(self, log_dir: Path, task_name: str) -> Path:
        """The log of a task of that name."""

    def next_steps(self, job_id: str) -> list[str]:
        """Commands for a person: to look at a job, and to end it."""

    def tasks(self, jobs: Sequence[str]) -> list[Task]:
        """The tasks of jobs that wait, run or end; those that are gone are not listed.

        Raises:
            QueueSilentError: If the queue does not answer; that is no empty list, nothing is known then.
        """

    def warn(self, jobs: Sequence[str]) -> None:
        """Send USR1 to running tasks: save, exit 75. Where the profile has `requeue` they then wait again."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """End waiting and running tasks at once; none of them is queued again."""

    def site(self) -> str:
        """The name of the cluster that the commands speak to: another one knows nothing of our jobs.

        Raises:
            QueueSilentError: If the queue does not answer.
        """

    def largest_array(self) -> int | None:
        """The most tasks of one array; None if there is no bound, or it is not known."""


def open_queue(profile: Profile) -> Queue:
    """The queue of a profile."""
    match profile:
        case SlurmProfile():
            return SlurmQueue(profile)
        case LsfProfile():
            return LsfQueue(profile)
        case LocalProfile():
            return LocalQueue(profile)
        case _:
            raise AssertionError(profile)
