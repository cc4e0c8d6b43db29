"""Submits a command of this program to a queue instead of running it here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import echo, emit, print_json, say
from vidcls.errors import UserError

if TYPE_CHECKING:
    from vidcls.launch.frozen import FrozenExperiment
    from vidcls.launch.job import Job
    from vidcls.launch.profile import Profile
    from vidcls.launch.queue import AnyProfile
    from vidcls.user_code.code import UserCode

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="PROFILE",
        help="Queue it as a job; PROFILE is the name of slurm/PROFILE.yaml, or a file.",
    ),
]


class AlreadyQueuedError(UserError):
    """A job for the same experiment is already queued; nothing was submitted."""


@dataclass(frozen=True)
class QueuedCommand:
    """Command for a queue; it runs in the current working folder.

    Attributes:
        words: Arguments after `vidcls`.
        name: Name of the job.
        log_dir: Folder of its log.
        cluster: Name or file of a profile.
        code_in: Folder for the copy of the package that the job runs; None runs the installed package.
        experiment: Experiment to train; it is stored, and queued only once.
        codes: Code of users that the job runs, copied with the package.
    """

    words: Sequence[str]
    name: str
    log_dir: Path
    cluster: str
    code_in: Path | None = None
    experiment: FrozenExperiment | None = None
    codes: Sequence[UserCode] = ()


def as_words(options: Mapping[str, object]) -> list[str]:
    """Options in command line form: flags that are set, and values."""
    given = [(option, value) for option, value in options.items() if value not in (None, False)]
    return [word for option, value in given for word in ([option] if value is True else [option, str(value)])]


def job_for(asked: QueuedCommand, profile: Profile, *, code: Path | None = None) -> Job:
    """Make the job of a command.

    Args:
        asked: Command to run.
        profile: Profile of the job.
        code: Copy of the package that it runs; None takes the path where the copy would be.
    """
    from vidcls.launch.frozen import package_path
    from vidcls.launch.job import Job

    env: dict[str, str] = {}
    python = [profile.python]
    if asked.code_in is not None:
        path = [
            str((code or package_path(asked.code_in, asked.codes)).absolute()),
            os.environ.get("PYTHONPATH", ""),
        ]
        env = {"PYTHONPATH": os.pathsep.join(filter(None, path))}
        python.append("-P")  # otherwise a checkout in the working folder would be imported
    return Job(
        name=asked.name,
        command=(*python, "-m", "vidcls", *asked.words),
        folder=Path.cwd(),
        log_dir=asked.log_dir.absolute(),
        env=env,
    )


def queue_command(
    asked: QueuedCommand,
    *,
    dry_run: bool,
    as_json: bool,
    check: Callable[[AnyProfile, Job], None] | None = None,
) -> None:
    """Queue a command, print the next commands, and return at once.

    Args:
        asked: Command to queue.
        dry_run: Print the script instead.
        as_json: Print the job's id and log as JSON.
        check: Checks the job before it is submitted, and raises if it would fail.

    Raises:
        UserError: If the profile has mistakes, if the command is useless in a queue or already queued, or
            from the check.
        VidclsError: If the queue refuses the job, or does not answer.
    """
    from vidcls.launch.frozen import frozen_package
    from vidcls.launch.profile import QueuedProfile
    from vidcls.launch.profiles import find_profile
    from vidcls.launch.queue import open_queue

    profile = find_profile(asked.cluster)
    if "--restart" in asked.words and getattr(profile, "requeue", False):
        raise UserError(
            "--restart would start from the beginning each time the job is queued again",
            hint="move the old run away, or set requeue: false in the profile",
        )
    queue = open_queue(profile)
    if dry_run:
        emit(queue.script(job_for(asked, profile)))
        return
    # On the local machine, a mistake is visible at once, so no check is needed.
    if check is not None and isinstance(profile, QueuedProfile):
        check(profile, job_for(asked, profile))
    warn_of_keys(profile)
    code = frozen_package(asked.code_in, asked.codes) if asked.code_in is not None else None
    job = job_for(asked, profile, code=code)
    job_id = _submit_once(asked.experiment, job, profile) if asked.experiment else queue.submit(job)
    (task,) = queue.task_names(job_id, None)
    log = queue.log_file(job.log_dir, task)
    frozen = {"experiment": str(asked.experiment.file)} if asked.experiment else {}
    frozen |= {"code": str(code)} if code else {}
    if as_json:
        print_json({"job": job_id, "log": str(log), **frozen})
        return
    echo(f"queued: job {job_id}")
    for what, where in frozen.items():
        echo(f"frozen: {what} {where}")
    for step in (*queue.next_steps(job_id), f"tail -F {log}"):
        echo(f"next: {step}")


def _submit_once(experiment: FrozenExperiment, job: Job, profile: AnyProfile) -> str:
    """Submit the job of an experiment, unless a job for it exists.

    Raises:
        AlreadyQueuedError: If a job for it exists.
        QueueSilentError: If it is unknown whether one exists.
    """
    from vidcls.launch.answers import QueueSilentError

    submissions = experiment.submissions
    with submissions.claim(what=str(experiment.folder), say=say):
        for seen in submissions.look_and_settle():
            if seen.silent is not None:
                raise QueueSilentError(
                    f"{seen.label} may be training this run, but the queue does not answer, so nothing was "
                    f"submitted: {seen.silent}",
                    hint="try later, on a node with the queue; only if you are sure that this job has "
                    f"ended: rm {seen.submission.file}",
                )
            if seen.tasks and seen.job:
                (task, *_) = seen.tasks
                look, end = seen.submission.queue.next_steps(seen.job)
                raise AlreadyQueuedError(
                    f"already queued as {seen.label} ({f'{task.state} {task.reason}'.strip()}); nothing was"
                    " submitted",
                    hint=f"{look}   shows the job\n  {end}   ends the job",
                )
        experiment.write()
        return submissions.submit(job, profile)


def warn_of_keys(profile: Profile) -> None:
    """Warn if jobs will not find a key, since keys are removed from the environment that a queue stores."""
    from vidcls.launch.credentials import KEY_HINTS
    from vidcls.launch.local import LocalProfile

    if isinstance(profile, LocalProfile):
        return
    for name, hint in KEY_HINTS.items():
        is_kept = name == "WANDB_API_KEY" and Path("~/.netrc").expanduser().is_file()
        if name in os.environ and not is_kept:
            say(f"{name} is not passed to jobs, because queues write it to disk; {hint}")
