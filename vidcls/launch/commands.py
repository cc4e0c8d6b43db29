"""Runs the commands of a queue: with a time limit, without secrets and without the user's own preferences."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vidcls.batch_systems import BATCH_SYSTEMS
from vidcls.launch.answers import NoCommandError, QueueSilentError
from vidcls.launch.credentials import KEY_HINTS

_TIMEOUT_S = 60.0
_OWN_PREFIX = "VIDCLS_JOB"
"""Prefix of the variables that a job script of ours sets."""


def run(
    *command: str, script: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the queue to its end, whatever its exit code.

    Args:
        command: Argument vector.
        script: Standard input of the command.
        cwd: Working directory of the command.

    Raises:
        NoCommandError: If the command does not exist.
        QueueSilentError: If the command does not end in time.
    """
    try:
        return subprocess.run(
            command,
            input="" if script is None else script,
            cwd=cwd,
            env=environment(),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=_TIMEOUT_S,
        )
    except OSError as error:
        if error.filename != command[0]:
            raise
        reason = (
            "this command is not installed here" if isinstance(error, FileNotFoundError) else error.strerror
        )
        raise NoCommandError(f"{command[0]}: {reason}", hint="log in to a node with the queue") from None
    except subprocess.TimeoutExpired:
        raise QueueSilentError(
            f"{command[0]} did not answer for {_TIMEOUT_S:.0f} s", hint="the queue is busy or down; try later"
        ) from None


def environment() -> dict[str, str]:
    """Environment that a queue may copy: without keys and without the variables of a surrounding job."""
    systems = BATCH_SYSTEMS.values()
    dropped = (_OWN_PREFIX, *(prefix for system in systems for prefix in system.job_prefixes))
    dropped += tuple(prefix for system in systems for prefix in system.preference_prefixes)
    kept = frozenset().union(*(system.kept for system in systems))
    return {
        name: value
        for name, value in os.environ.items()
        if name not in KEY_HINTS and (name in kept or not name.startswith(dropped))
    }
