"""What the commands of a queue print, told apart from what others print around it.

A site's banner, the colour codes of a wrapper script, a warning, a carriage return: none of it is the
queue's. A line counts only where it has the form that was asked for, and an answer only where the queue
itself shows that it is one. Everything else is no answer, and then nothing is known of the queue's jobs.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence

from vidcls.errors import VidclsError

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_WAITS_S = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2)
"""A queue may show a new job a moment after it took it: LSF answers from a copy that is seconds old."""


class QueueSilentError(VidclsError):
    """The queue does not answer, or not in words that are understood: its jobs may live or be gone."""


class NoCommandError(QueueSilentError):
    """The queue's command is not there, so it was not run."""


def lines(text: str) -> list[str]:
    """Lines without escape sequences, carriage returns and the space around them; empty ones left out."""
    found = (line.strip() for line in re.split(r"[\r\n]+", _ESCAPE.sub("", text)))
    return [line for line in found if line]


def words(answer: subprocess.CompletedProcess[str]) -> str:
    """What a command said, in one line: its errors first."""
    said = " ".join([*lines(answer.stderr), *lines(answer.stdout)])
    return " ".join(said.split()) or f"nothing, exit code {answer.returncode}"


def not_understood(command: str, answer: subprocess.CompletedProcess[str]) -> QueueSilentError:
    """The error of an answer that is none."""
    return QueueSilentError(
        f"{command} does not answer: {words(answer)}", hint="the queue is busy or down; try later"
    )


def ask_patiently(find: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Ask for a job again and again for some seconds, until the queue shows it."""
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
    """Submit, and learn the job's id from the queue itself.

    The words of a submission are not believed: a banner holds numbers too, a wrapper fails after the queue
    took the job, and one that was killed by its time limit may have been heard. So the queue is asked for the
    job by its name, which no other job has.

    Args:
        command: What submits; named in messages.
        hand_over: Runs it.
        find: Asks the queue for the ids of the jobs with this name.
        taken: What a submission says when the queue took the job.
        look: What a person types to see whether the job is there.
        limits: What a person types to see what the queue takes.

    Returns:
        The id.

    Raises:
        NoCommandError: If there is no such command; nothing was submitted.
        QueueSilentError: If it cannot be told whether the job is in the queue.
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
    unclear = f"whether the job is in the queue cannot be told: {command} said: {said}"
    hint = f"{look}   shows it, if it is there"
    try:
        found = ask_patiently(find) if seems_taken else find()
    except QueueSilentError as error:
        raise QueueSilentError(f"{unclear}; {error.message}", hint=hint) from error
    if len(found) == 1:
        return found[0]
    if found:
        raise QueueSilentError(f"one submission became the jobs {', '.join(found)}: {said}", hint=hint)
    if refused and not seems_taken:
        hint = f"`{limits}` lists what the queue takes; --dry-run shows the script"
        raise VidclsError(f"{command} refused the job: {said}", hint=hint)
    raise QueueSilentError(f"{unclear}; no job of that name is shown", hint=hint)
