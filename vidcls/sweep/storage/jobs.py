"""The jobs of a sweep: its workers as an array, and what the queues say of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vidcls.json_files import DamagedError
from vidcls.launch.answers import QueueSilentError
from vidcls.launch.job import Job, Task
from vidcls.launch.local import num_gpus
from vidcls.launch.profile import AnyProfile, QueuedProfile
from vidcls.launch.submissions import SubmissionState
from vidcls.sweep.storage.folder import SweepFolder


def worker_job(folder: SweepFolder, profile: AnyProfile, *, name: str, num_workers: int) -> Job:
    """An array of workers on a sweep that exists."""
    command = [profile.python, "-m", "vidcls", "sweep", "work", str(folder.path)]
    if isinstance(profile, QueuedProfile):
        cpus, gpus = profile.cpus, profile.num_gpus
    else:
        cpus, gpus = max(1, len(os.sched_getaffinity(0)) // num_workers), min(1, num_gpus())
    command += ["--cpus", str(cpus), "--gpus", str(gpus)]
    path = [str(folder.code_dir), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Job(
        name=name,
        command=tuple(command),
        folder=folder.path,
        log_dir=folder.log_dir,
        num_tasks=num_workers,
        env={"PYTHONPATH": os.pathsep.join(path)},
    )


@dataclass(frozen=True)
class SweepJobs:
    """What the queues say of a sweep.

    Attributes:
        tasks: Those that wait, run or end.
        over: Names of those that are gone. A worker of one is dead; of a worker on another machine nothing
            else tells that at once.
        silent: Submissions whose queue does not answer: their tasks may live or be gone.
        elsewhere: Submissions whose tasks live, and work on a folder that this one is a copy of.
        damaged: Set where the file of a submission is damaged; nothing is known of any then.
    """

    tasks: tuple[Task, ...]
    over: frozenset[str]
    silent: tuple[SubmissionState, ...]
    elsewhere: tuple[SubmissionState, ...] = ()
    damaged: DamagedError | None = None

    @property
    def notes(self) -> list[str]:
        """What a person should know: of which jobs nothing is known, and why."""
        damaged = [] if self.damaged is None else [str(self.damaged)]
        silent = [
            f"{seen.label}: the queue does not answer, so nothing is known of it: {seen.silent}"
            for seen in self.silent
        ]
        return (
            damaged
            + silent
            + [f"{seen.label} works on {seen.elsewhere}, which this is a copy of" for seen in self.elsewhere]
        )

    def refuse_silence(self, *, undone: str) -> None:
        """Refuse what is wrong where tasks live of which nothing is known.

        Args:
            undone: What was not done, such as `nothing was submitted`.

        Raises:
            QueueSilentError: If a queue does not answer.
            DamagedError: If the file of a submission is damaged.
        """
        if self.damaged is not None:
            raise self.damaged
        if not self.silent:
            return
        files = " ".join(str(seen.submission.file) for seen in self.silent)
        raise QueueSilentError(
            "; ".join([*self.notes, f"its workers may be there, so {undone}"]),
            hint=f"try later, on a node that has the queue; only if those jobs are gone for good: rm {files}",
        )


def queued_of(seen: list[SubmissionState]) -> SweepJobs:
    """What the queues said of all submissions of a sweep, together."""
    tasks = [task for one in seen for task in one.tasks]
    names = {
        name
        for one in seen
        if one.silent is None and one.job is not None
        for name in one.submission.queue.task_names(one.job, one.submission.num_tasks)
    }
    over = frozenset(names - {task.name for task in tasks})
    silent = tuple(one for one in seen if one.silent is not None)
    return SweepJobs(tuple(tasks), over, silent, tuple(one for one in seen if one.elsewhere is not None))


def ask_queues(folder: SweepFolder) -> SweepJobs:
    """Ask the queues of all jobs of a sweep."""
    try:
        return queued_of(folder.submissions().look())
    except DamagedError as error:
        return SweepJobs((), frozenset(), (), damaged=error)
