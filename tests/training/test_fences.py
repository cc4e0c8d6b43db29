"""A real training that is suspended at any of its writes, while another takes its run over and finishes it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.support.suspended import content_of, stand_still_before
from tests.support.training import Child, Experiment, assert_same, train_child, train_here
from tests.support.waiting import wait_for
from vidcls.errors import LockLostError
from vidcls.locking import lock
from vidcls.run.find import find_runs

pytestmark = pytest.mark.long

LOST = 7


def _train_until(spec: Path, number: int) -> None:
    stand_still_before(number)
    try:
        train_here(spec)
    except LockLostError:
        raise SystemExit(LOST) from None


def stands_still(pid: int | None) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def check(experiment: Experiment, number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Suspend a training before one of its writes, and finish it elsewhere; False where it had ended before."""
    spec = experiment.spec(runs=f"taken{number}", train__checkpoint_every_s=0.01, train__keep_last=True)
    child = Child(target=_train_until, args=(spec, number))
    child.start()
    assert child.pid is not None
    wait_for(lambda: child.exitcode is not None or stands_still(child.pid), what="it to stand still")
    if child.exitcode is not None:
        return False
    for file in (experiment.folder / f"taken{number}").rglob("lock"):  # its machine is another one
        file.write_text(json.dumps({**json.loads(file.read_text()), "space": "another machine"}))
    with monkeypatch.context() as patch:
        patch.setattr(lock, "LEASE_S", 0.0)
        train_here(spec)
    (run,) = find_runs(experiment.folder / f"taken{number}")
    before = content_of(run.folder)
    os.kill(child.pid, signal.SIGCONT)
    child.join()
    assert child.exitcode in (0, LOST)
    assert content_of(run.folder) == before
    assert_same(experiment.run("alone"), run)
    return True


@pytest.mark.parametrize("number", [44, 90])
def test_a_training_that_was_suspended_writes_nothing_after_another_took_it_over(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert train_child(experiment.spec(runs="alone", train__checkpoint_every_s=0.01)) == 0
    assert check(experiment, number, monkeypatch)


@pytest.mark.slow
def test_a_training_may_be_suspended_at_each_of_its_writes(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_child(experiment.spec(runs="alone", train__checkpoint_every_s=0.01)) == 0
    number = 0
    while check(experiment, number, monkeypatch):
        number += 11
    assert number > 100
