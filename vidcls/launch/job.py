"""What is handed to a queue, and what a queue says about it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Job:
    """A command to run, once or as an array of like tasks.

    Attributes:
        name: Any text; a queue gets it with everything but letters, digits, `.`, `_`, `+`, `-` replaced.
        command: The argument vector; reaches the program unchanged.
        folder: Absolute working directory of the command.
        log_dir: Absolute folder with one log file a task, appended to when a task is queued again.
        num_tasks: None is one plain job, n an array of tasks 0 to n - 1.
        env: Extra environment of the command.
        token: Added to the name, so that the queue knows one job only by it; drawn at submission if empty.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    log_dir: Path
    num_tasks: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    def with_token(self) -> Job:
        """The job with a token."""
        return self if self.token else replace(self, token=secrets.token_hex(4))


@dataclass(frozen=True)
class Task:
    """A task as its queue sees it; tasks that are gone are not listed.

    Attributes:
        job: The id that `submit` returned.
        index: Index in an array, from 0; None for a plain job.
        name: `VIDCLS_JOB` in the environment of that task, and of all that it starts.
        state: What it does.
        reason: Why, in the queue's words; may be empty.
        host: Where it runs; empty while it waits.
    """

    job: str
    index: int | None
    name: str
    state: Literal["pending", "running", "ending"]
    reason: str
    host: str
