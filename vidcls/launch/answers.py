"""Separates the output of a queue's commands from other text printed around it.

A site banner, the colour codes of a wrapper script, warnings and carriage returns do not come from the queue.
A line counts only if it has the requested form, and an answer only if the queue itself shows that it is one.
Anything else is no answer, and then the state of the queue's jobs is unknown.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence

from vidcls.errors import VidclsError

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_WAITS_S = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds to wait between questions about a new job: LSF answers from a copy that is seconds old."""


class QueueSilentError(VidclsError):
    """The queue does not answer, or its answer is not understood: its jobs may be alive or gone."""


class NoCommandError(QueueSilentError):
    """The queue's command does not exist, so it was not run."""


def lines(text: str) -> list[str]:
    """Lines without escape sequences, carriage returns and surrounding space; empty lines are left out."""
    found = (line.strip() for line in re.split(r"[\r\n]+", _ESCAPE.sub("", text)))
    return [line for line in found if line]


def words(answer: subprocess.CompletedProcess[str]) -> str:
    """Output of a command in one line, with its errors first."""
    said = " ".join([*lines(answer.stderr), *lines(answer.stdout)])
    return " ".join(said.split()) or f"nothing, exit code {answer.returncode}"


def not_understood(command: str, answer: subprocess.CompletedProcess[str]) -> QueueSilentError:
    """Error for an answer that is not understood."""
    return QueueSilentError(
        f"{command} does not answer: {words(answer)}", hint="the queue is busy or down; try later"
    )


def ask_patiently(find: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Ask for a job repeatedly for some seconds, until the queue shows it."""
    found: Sequence[str] = ()
    for wait_s in _WAITS_S:
        time.sleep(wait_s)
        if found := find():
            break
    return found


def arrival(
    command: str,
    hand_over: Callable[[], subprocess.CompletedProcess[str]],
    find: Callable[[], Sequence[str]],
    *,
    taken: re.Pattern[str],
    look: str,
    limits: str,
) -> str:
    """Submit a job, and get its id from the queue itself.

    The output of the submission is not trusted: a banner contains numbers too, a wrapper may fail after the
    queue has taken the job, and a command killed by its time limit may have succeeded. So the queue is asked
    for the job by its name, which is unique.

    Args:
        command: Command that submits, for messages.
        hand_over: Runs the command.
        find: Asks the queue for the ids of the jobs with this name.
        taken: Pattern of the output after the queue has taken the job.
        look: Command with which the user can check whether the job is in the queue.
        limits: Command with which the user can see the limits of the queue.

    Returns:
        Id of the job.

    Raises:
        NoCommandError: If the command does not exist; nothing was submitted.
        QueueSilentError: If it is unknown whether the job is in the queue.
        VidclsError: If the queue refused the job.
    """
    try:
        answer = hand_over()
    except NoCommandError:
        raise
    except QueueSilentError as error:
        said, seems_taken, refused = error.message, True, False
    else:
        said, refused = words(answer), answer.returncode != 0
        seems_taken = not refused or any(taken.fullmatch(line) for line in lines(answer.stdout))
    unclear = f"it is not known whether the job is in the queue: {command} answered: {said}"
    hint = f"{look}   shows the job, if it is in the queue"
    try:
        found = ask_patiently(find) if seems_taken else find()
    except QueueSilentError as error:
        raise QueueSilentError(f"{unclear}; {error.message}", hint=hint) from error
    if len(found) == 1:
        return found[0]
    if found:
        raise QueueSilentError(f"one submission created several jobs: {', '.join(found)}: {said}", hint=hint)
    if refused and not seems_taken:
        hint = f"`{limits}` lists the limits of the queue; --dry-run shows the script"
        raise VidclsError(f"{command} refused the job: {said}", hint=hint)
    raise QueueSilentError(f"{unclear}; no job of this name is shown", hint=hint)
