"""Puts the stand-in's commands on PATH, and ends what they left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from vidcls.launch.lsf import LsfProfile

_COMMANDS = ("bsub", "bjobs", "bkill", "bqueues", "lsid")
_MODULE = "tests.support.lsf.commands"


class Lsf:
    """The stand-in. Its limits strike when a test says so, not when a slow machine has spent them.

    Attributes:
        state: A folder a job.
    """

    def __init__(self, state: Path) -> None:
        self.state = state

    def profile(self, **settings: object) -> LsfProfile:
        """A small profile for it."""
        usual = {"queue": "lsf", "queue_name": "c02516", "time": "600", "cpus": 1, "gpus": {"count": 0}}
        return LsfProfile.model_validate(usual | settings)

    def let_time_pass(self) -> None:
        """Until every running element is warned of its limit."""
        for path in self.state.glob("*/element-*.json"):
            if json.loads(path.read_text())["state"] == "RUN":
                path.with_name(f"jump-{path.stem.split('-')[1]}").touch()


@contextmanager
def lsf_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lsf]:
    """The stand-in for the length of a `with` block."""
    programs, state = folder / "bin", folder / "lsf"
    programs.mkdir()
    state.mkdir()
    checkout = Path(__file__).parents[3]
    for name in _COMMANDS:
        code = f"import runpy, sys; sys.path.insert(0, {str(checkout)!r}); runpy.run_module({_MODULE!r}, run_name='__main__')"
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", code, name])} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LSF_STAND_IN", str(state))
    yield Lsf(state)
    for pid_file in state.glob("*/runner.pid"):
        _end(int(pid_file.read_text()))


def _end(runner: int) -> None:
    """A runner and what it started, if it still is one."""
    try:
        process = psutil.Process(runner)
        if "tests.support.lsf.runner" not in process.cmdline():
            return
        for child in [process, *process.children(recursive=True)]:
            child.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        pass
