"""Jobs of a sweep: its workers as an array job, and the state of the tasks in their queues."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vidcls.json_files import DamagedError
from vidcls.launch.answers import QueueSilentError
from vidcls.launch.job import Job, Task
from vidcls.launch.local import num_gpus
from vidcls.launch.profile import QueuedProfile
from vidcls.launch.queue import AnyProfile
from vidcls.launch.submissions import SubmissionState
from vidcls.sweep.storage.folder import SweepFolder


def worker_job(folder: SweepFolder, profile: AnyProfile, *, name: str, num_workers: int) -> Job:
    """Array job with workers for an existing sweep."""
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
    """State of the tasks of a sweep, as reported by the queues.

    Attributes:
        tasks: Tasks that wait, run or end.
        over: Names of tasks that are gone, so their workers are dead. For a worker on another machine, only
            the queue can tell this at once.
        silent: Submissions whose queue does not answer: their tasks may be alive or gone.
        elsewhere: Submissions with living tasks that work on a folder of which this one is a copy.
        damaged: Error if the file of a submission is damaged; then no task is known.
    """

    tasks: tuple[Task, ...]
    over: frozenset[str]
    silent: tuple[SubmissionState, ...]
    elsewhere: tuple[SubmissionState, ...] = ()
    damaged: DamagedError | None = None

    @property
    def notes(self) -> list[str]:
        """Notes for the user: the jobs whose state is unknown, and why."""
        damaged = [] if self.damaged is None else [str(self.damaged)]
        silent = [
            f"{seen.label}: the queue does not answer, so its state is not known: {seen.silent}"
            for seen in self.silent
        ]
        return (
            damaged
            + silent
            + [
                f"{seen.label} works on {seen.elsewhere}; this folder is a copy of that one"
                for seen in self.elsewhere
            ]
        )

    def refuse_silence(self, *, undone: str) -> None:
        """Refuse an action that would be wrong if unknown tasks are alive.

        Args:
            undone: Text about what was not done, such as `nothing was submitted`.

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
            "; ".join([*self.notes, f"workers may be running, so {undone}"]),
            hint=f"try later, on a node with the queue; only if you are sure that these jobs have ended: "
            f"rm {files}",
        )


def queued_of(seen: list[SubmissionState]) -> SweepJobs:
    """Combine the states that the queues reported for all submissions of a sweep."""
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
    """Ask the queues about all jobs of a sweep."""
    try:
        return queued_of(folder.submissions().look())
    except DamagedError as error:
        return SweepJobs((), frozenset(), (), damaged=error)
