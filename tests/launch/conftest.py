"""The three queues behind one door."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.lsf.fixture import Lsf
from tests.support.slurm import Slurm
from vidcls.launch.job import Job
from vidcls.launch.local import LocalProfile
from vidcls.launch.profile import Profile
from vidcls.launch.queue import Queue, open_queue

# Writes down each start. Warned: saves, exits 75. Told to end: says so, exits 1. Ends well when it starts again.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path

name = os.environ["VIDCLS_JOB"]

def leave(word, code):
    Path(f"{name}.{word}").touch()
    os._exit(code)

signal.signal(signal.SIGUSR1, lambda *_: leave("saved", 75))
signal.signal(signal.SIGUSR2, lambda *_: leave("saved", 75))
signal.signal(signal.SIGTERM, lambda *_: leave("ended", 1))
signal.signal(signal.SIGINT, lambda *_: leave("interrupted", 1))
print("hello from", name, flush=True)
again = Path(f"{name}.started").exists()
Path(f"{name}.started").touch()
if again:
    leave("finished", 0)
while True:  # pause() would miss a signal that comes just before it
    time.sleep(0.05)
"""


@dataclass
class Desk:
    """A queue of one kind, with a folder to work in."""

    kind: str
    folder: Path
    make_profile: Callable[..., Profile]

    def queue(self, **settings: object) -> Queue:
        return open_queue(self.make_profile(**settings))

    def job(self, num_tasks: int | None, program: str = PROGRAM, *arguments: str) -> Job:
        return Job(
            name="some tasks",
            command=(sys.executable, "-c", program, *arguments),
            folder=self.folder,
            log_dir=self.folder / "logs",
            num_tasks=num_tasks,
        )

    def marks(self, word: str) -> set[str]:
        return {path.stem for path in self.folder.glob(f"*.{word}")}


KINDS = ("slurm", "lsf", "local")


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Each of the three queues in turn."""
    folder = tmp_path / "work"
    folder.mkdir()
    if request.param == "local":
        yield Desk("local", folder, LocalProfile)
        return
    queue: Slurm | Lsf = request.getfixturevalue(request.param)
    yield Desk(request.param, folder, queue.profile)
