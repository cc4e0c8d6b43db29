"""Job, which is submitted to a queue, and task, as a queue reports it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Job:
    """Command to run, once or as an array of equal tasks.

    Attributes:
        name: Any text; for a queue, all characters except letters, digits, `.`, `_`, `+`, `-` are replaced.
        command: Argument vector, which reaches the program unchanged.
        folder: Absolute working directory of the command.
        log_dir: Absolute folder with one log file per task; a requeued task appends to its file.
        num_tasks: None for one plain job, n for an array of tasks 0 to n - 1.
        env: Extra environment of the command.
        token: Suffix that makes the name unique in the queue; drawn at submission if empty.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    log_dir: Path
    num_tasks: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    def with_token(self) -> Job:
        """Copy of the job with a token."""
        return self if self.token else replace(self, token=secrets.token_hex(4))


@dataclass(frozen=True)
class Task:
    """Task as its queue reports it; tasks that are gone are not listed.

    Attributes:
        job: Job id that `submit` returned.
        index: Index in an array, from 0; None for a plain job.
        name: `VIDCLS_JOB` in the environment of the task and of all processes that it starts.
        state: State of the task.
        reason: Reason of the state, in the words of the queue; may be empty.
        host: Host on which it runs; empty while it waits.
        cancel: Command with which the user ends this task alone.
    """

    job: str
    index: int | None
    name: str
    state: Literal["pending", "running", "ending"]
    reason: str
    host: str
    cancel: str
