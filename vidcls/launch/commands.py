"""Runs the commands of a queue: with a time limit, without secrets and without the user's own preferences."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vidcls.launch.answers import NoCommandError, QueueSilentError
from vidcls.launch.credentials import KEY_HINTS

_TIMEOUT_S = 60.0
_OF_A_JOB = ("SLURM_", "LSB_", "VIDCLS_JOB")
"""Prefixes of the variables of a surrounding job."""
_HABITS = ("SQUEUE_", "SBATCH_", "SCANCEL_", "SINFO_")
"""Prefixes of user preferences (filters, formats), which could hide jobs or override lines of a script."""
_KEPT = {
    "SLURM_CONF",
    "SLURM_CLUSTERS",
    "SBATCH_ACCOUNT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_RESERVATION",
}


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
    return {
        name: value
        for name, value in os.environ.items()
        if name not in KEY_HINTS and (name in _KEPT or not name.startswith((*_OF_A_JOB, *_HABITS)))
    }
