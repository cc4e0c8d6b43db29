"""Parts of a job script that all queues share. They are pure functions of the job and its profile.

Every word that does not come from `setup` of the profile is quoted, so that no name or value is run as shell.
"""

from __future__ import annotations

import re

from vidcls.errors import UserError
from vidcls.launch.credentials import KEY_HINTS
from vidcls.launch.job import Job
from vidcls.launch.profile import Profile

_PLAIN = re.compile(r"[A-Za-z0-9_./:,+@%=-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def quote(word: str) -> str:
    """Quote a word so that bash reads it unchanged.

    Raises:
        UserError: If the word has a NUL byte, which no argument and no variable can hold.
    """
    if "\0" in word:
        raise UserError(f"{word!r}: a NUL byte cannot be passed to a program")
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'"


def quote_command(command: tuple[str, ...]) -> str:
    """Argument vector as one line of bash; its first word is never read as a keyword or an assignment."""
    program, *arguments = command
    first = quote(program)
    if "/" not in program or "=" in program:
        first = first if first.startswith("'") else f"'{program}'"
    return " ".join([first, *map(quote, arguments)])


def safe_name(name: str) -> str:
    """Name of a job, with all characters replaced that are special to a queue or a file pattern."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", name).strip("_.-+")[:64] or "vidcls"


def job_name(job: Job) -> str:
    """Name of a job in its queue; a token makes it unique."""
    return f"{safe_name(job.name)}-{job.token}" if job.token else safe_name(job.name)


def log_pattern(job: Job, stem: str) -> str:
    """Value of a queue's log file option, in double quotes; `stem` may hold `%` patterns of the queue.

    Raises:
        UserError: If the folder has a character that queues expand or cannot hold in this option.
    """
    folder = str(job.log_dir)
    if not job.log_dir.is_absolute() or re.search(r"[^ -~]|[\"'\\%#$`]", folder):
        raise UserError(
            f"{folder!r}: queues cannot write logs to this path",
            hint="use an absolute path of ASCII characters without quotes, `, %, #, $ and backslashes",
        )
    return f'"{folder}/{stem}.log"'


def preparation(job: Job, profile: Profile, *, name: str) -> str:
    """Lines of the script between the directives of the queue and the command.

    Args:
        job: Job to run.
        profile: Profile of the job.
        name: Name of the task, as a bash expression.

    Raises:
        UserError: For an invalid variable name, or a secret.
    """
    told = [f"export VIDCLS_JOB={name}", 'export VIDCLS_JOB_START="$(date +%s)"']
    if profile.time_s is not None:
        told.append(f"export VIDCLS_JOB_TIME_S={profile.time_s}")
    place = ["set -u", *_environment(job, profile), f"cd {quote(str(job.folder))} || exit 1"]
    return "\n".join([*told, *_set_up(profile), *place])


def _set_up(profile: Profile) -> list[str]:
    lines = list(profile.setup)
    if profile.venv_dir is not None:
        lines.append(f". {quote(str(profile.venv_dir / 'bin' / 'activate'))} || exit 1")
    return ["# The profile's own lines.", *lines] if lines else []


def _environment(job: Job, profile: Profile) -> list[str]:
    scratch = {"SCRATCH": profile.scratch} if profile.scratch else {}
    variables = scratch | profile.env | dict(job.env)
    for name in variables:
        if name in KEY_HINTS:
            raise UserError(f"{name} would be written into the script", hint=KEY_HINTS[name])
        if not _VARIABLE.fullmatch(name):
            raise UserError(f"{name!r} is not a valid name of a variable")
    return [f"export {name}={quote(value)}" for name, value in variables.items()]
