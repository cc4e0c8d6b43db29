"""Signals while something is prepared or scored: heard at once, with a defined exit code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidcls.cli import app
from vidcls.data.decoding.workers import Decoders
from vidcls.errors import ExitCode
from vidcls.process.signals import Signals, StoppedError, heed


@contextmanager
def pending(number: signal.Signals) -> Iterator[None]:
    """A signal that came before the program listened; it is heard as soon as the program does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    signal.pthread_kill(threading.get_ident(), number)  # another thread might not block it
    try:
        yield
    finally:
        signal.sigtimedwait([number], 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_signal_is_heard_while_one_video_takes_long() -> None:
    decoders = Decoders(workers=1, timeout_s=600)
    try:
        with Signals() as signals:
            future = decoders.submit(time.sleep, 600)
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(StoppedError, match="TERM: stopped"):
                decoders.outcome(future)
            assert signals.exit_code == ExitCode.FAILED
    finally:
        decoders.close()


def test_only_what_is_prepared_is_stopped_in_the_middle() -> None:
    heed()
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        other = threading.Thread(target=heed)
        other.start()
        other.join()
        signals.is_preparing = False
        heed()
        signals.is_preparing = True
        with pytest.raises(StoppedError) as caught:
            heed()
    assert caught.value.exit_code == ExitCode.REQUEUE
    heed()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.FAILED), (signal.SIGINT, ExitCode.FAILED), (signal.SIGUSR1, ExitCode.REQUEUE)],
)
@pytest.mark.parametrize("words", [("data", "check"), ("data", "scan"), ("data", "audit", "--by", "content")])
def test_a_command_that_looks_at_videos_ends_with_a_message(
    words: tuple[str, ...], number: signal.Signals, code: ExitCode, demo: Path, tmp_path: Path
) -> None:
    stores = () if "scan" in words else ("--store-dir", str(tmp_path / "store"))
    with pending(number):
        done = CliRunner().invoke(app, [*words, str(demo), *stores])
    assert done.exit_code == code, done.output
    assert f"{number.name}: stopped; finished work is kept" in done.stderr
    assert "Traceback" not in done.output
