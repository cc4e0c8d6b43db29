"""A signal that comes before anything can be saved ends a command with one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import sys
from vidcls.process.signals import CommandSignals
with CommandSignals():
    import imported
print("went on")
"""
PLAIN = "import os\nos.kill(os.getpid(), {number})\n"
SWALLOWED = """
import os
try:
    os.kill(os.getpid(), {number})
except BaseException:
    raise ImportError("no such library here")
"""
TWICE = """
import os
try:
    os.kill(os.getpid(), {number})
except BaseException:
    os.kill(os.getpid(), {number})
"""
CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
    signal.SIGUSR1: 75,
    signal.SIGUSR2: 75,
}


def command(tmp_path: Path, module: str, number: int) -> subprocess.CompletedProcess[str]:
    (tmp_path / "imported.py").write_text(module.format(number=int(number)))
    return subprocess.run(
        [sys.executable, "-c", COMMAND], cwd=tmp_path, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("module", [PLAIN, SWALLOWED])
def test_a_signal_during_an_import_is_one_line_and_an_exit_code(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    done = command(tmp_path, module, number)
    assert done.returncode == CODES[number]
    assert done.stderr == f"{number.name}: ended at once; what was saved before is kept\n"
    assert done.stdout == ""


def test_a_second_signal_is_not_answered_any_more(tmp_path: Path) -> None:
    done = command(tmp_path, TWICE, signal.SIGINT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_what_nohup_wants_ignored_stays_so(tmp_path: Path) -> None:
    (tmp_path / "imported.py").write_text(PLAIN.format(number=int(signal.SIGHUP)))
    done = subprocess.run(
        ["nohup", sys.executable, "-c", COMMAND], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "went on\n"
