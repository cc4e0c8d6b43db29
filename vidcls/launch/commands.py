"""Runs the commands of a queue: with a time limit, without secrets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vidcls.errors import VidclsError
from vidcls.launch.values import SECRET

_TIMEOUT_S = 60.0


def run(
    *command: str, script: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the queue to its end, whatever its exit code.

    Args:
        command: The argument vector.
        script: Its standard input.
        cwd: Its working directory.

    Raises:
        VidclsError: If there is no such command, or it does not answer.
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
    except FileNotFoundError as error:
        if error.filename != command[0]:
            raise
        raise VidclsError(
            f"{command[0]}: no such command here", hint="log in to a node that has the queue"
        ) from None
    except subprocess.TimeoutExpired:
        raise VidclsError(
            f"{command[0]} did not answer for {_TIMEOUT_S:.0f} s", hint="the queue is busy or down; try later"
        ) from None


def environment() -> dict[str, str]:
    """This environment as a queue may copy it: without the key and the marks of a surrounding job."""
    own = {"SLURM_CONF"}
    return {
        name: value
        for name, value in os.environ.items()
        if name != SECRET
        and (name in own or not name.startswith(("SLURM_", "LSB_")))
        and not name.startswith("VIDCLS_JOB")
    }


def words(answer: subprocess.CompletedProcess[str]) -> str:
    """What a command said, in one line."""
    return " ".join((answer.stderr or answer.stdout).split()) or f"exit code {answer.returncode}"
