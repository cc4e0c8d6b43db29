"""A worker that is being started while the command ends says nothing."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, time
from multiprocessing import forkserver
from vidcls.data.decoding.workers import worker_context
worker_context()
child, told = forkserver._forkserver.connect_to_new_process([])
os.close(told)
os.read(child, 8)  # its number: it has been started
while os.read(child, 8):  # until it ended
    pass
"""


def test_a_worker_that_nobody_tells_what_to_do_ends_without_a_word() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert (done.stdout, done.stderr) == ("", "")
