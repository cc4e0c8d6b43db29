"""A command of this program goes to a queue instead of being run here."""

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
    from vidcls.launch.job import Job
    from vidcls.launch.profile import AnyProfile, Profile

Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="PROFILE", help="Queue it, as slurm/PROFILE.yaml or a file says."),
]
_KEY = "WANDB_API_KEY"


@dataclass(frozen=True)
class Queued:
    """A command for a queue; it runs in this working folder.

    Attributes:
        words: What follows `vidcls`.
        name: Of the job.
        log_dir: Where its log goes.
        cluster: Name or file of a profile.
    """

    words: Sequence[str]
    name: str
    log_dir: Path
    cluster: str


def as_words(options: Mapping[str, object]) -> list[str]:
    """Options as they are typed: flags that are set, and values."""
    given = [(option, value) for option, value in options.items() if value not in (None, False)]
    return [word for option, value in given for word in ([option] if value is True else [option, str(value)])]


def job_for(asked: Queued, profile: Profile) -> Job:
    """A command as a job; it runs in this working folder."""
    from vidcls.launch.job import Job

    command = (profile.python, "-m", "vidcls", *asked.words)
    return Job(name=asked.name, command=command, folder=Path.cwd(), log_dir=asked.log_dir.absolute())


def queue_command(
    asked: Queued,
    *,
    dry_run: bool,
    as_json: bool,
    check: Callable[[AnyProfile, Job], None] | None = None,
) -> None:
    """Queue a command, say what to type next, and return at once.

    Args:
        asked: The command.
        dry_run: Print the script instead.
        as_json: Print the job's id and log as JSON.
        check: Looks at the job before it goes to a queue, and raises if it would fail.

    Raises:
        UserError: If the profile is wrong, if what is asked for makes no sense in a queue, or from the check.
        VidclsError: If the queue refuses the job.
    """
    from vidcls.launch.profile import QueuedProfile
    from vidcls.launch.profiles import find_profile
    from vidcls.launch.queue import open_queue

    profile = find_profile(asked.cluster)
    if "--restart" in asked.words and getattr(profile, "requeue", False):
        raise UserError(
            "--restart would begin anew each time the job is queued again",
            hint="move the old run away, or set requeue: false in the profile",
        )
    queue = open_queue(profile)
    job = job_for(asked, profile)
    if dry_run:
        emit(queue.script(job))
        return
    # On this machine a mistake shows at once anyway.
    if check is not None and isinstance(profile, QueuedProfile):
        check(profile, job)
    warn_of_key(profile)
    job_id = queue.submit(job)
    (task,) = queue.task_names(job_id, None)
    log = queue.log_file(job.log_dir, task)
    if as_json:
        print_json({"job": job_id, "log": str(log)})
        return
    echo(f"queued: job {job_id}")
    for step in (*queue.next_steps(job_id), f"tail -F {log}"):
        echo(f"next: {step}")


def warn_of_key(profile: Profile) -> None:
    """Say so where jobs will not find the key: it is taken out of what a queue stores of this environment."""
    from vidcls.launch.profile import LocalProfile

    if isinstance(profile, LocalProfile) or _KEY not in os.environ or Path("~/.netrc").expanduser().is_file():
        return
    say(f"{_KEY} is not handed to jobs, because queues write it to disk; `wandb login` once and they find it")
