"""Faults that no queue inflicts: a disk that refuses, a trial that hangs."""

from __future__ import annotations

import resource
import signal
import time

import pytest

from tests.support.chaos import trial_processes
from tests.support.sweeps import Search, ended, start_worker, states, work
from tests.support.training import Experiment
from tests.support.waiting import wait_for
from vidcls.errors import ExitCode
from vidcls.run.find import find_runs
from vidcls.sweep.storage.folder import SweepFolder

pytestmark = [pytest.mark.long, pytest.mark.decoded]


@pytest.fixture
def search(experiment: Experiment) -> Search:
    return Search(experiment)


def trains(folder: SweepFolder) -> bool:
    log = folder.trial_log(0)
    return log.exists() and "epoch 1/" in log.read_text()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_result_that_the_disk_refused_is_published_later(search: Search, is_killed: bool) -> None:
    """By its worker once the disk takes it, or by another one if that died before it could."""
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003]}, "seed": {"values": [0]}}))
    worker = start_worker(folder)
    wait_for(lambda: trains(folder), what="an epoch")
    # From here on the worker, not its trial, can write no byte.
    before = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    (run,) = wait_for(lambda: find_runs(folder.runs_dir), what="a run")
    wait_for(lambda: run.state == "finished" and not trial_processes(worker.pid), what="the result")
    assert states(folder) == ["running"]
    if is_killed:
        worker.kill()
        worker.wait()
        assert work(folder).exit_code == ExitCode.DONE
    else:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, before)
        assert worker.wait() == ExitCode.DONE
    (trial,) = folder.trials().refresh()
    status = run.status()
    assert status is not None
    assert (trial.state, trial.token, ended(trial)["metrics"]) == ("finished", 1 + is_killed, status.metrics)


def test_a_full_disk_stops_the_worker_and_blames_no_trial(search: Search) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003]}, "seed": {"values": [0]}}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    worker = start_worker(folder)
    # Small files fit, checkpoints do not; its trial inherits that.
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (16_384, limits[1]))
    assert worker.wait() == ExitCode.FAILED
    (trial,) = folder.trials().refresh()
    assert (trial.state, ended(trial)["kind"], trial.strikes) == ("waiting", "released", 0)
    assert "full" in ended(trial)["message"]
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"]


def test_a_trial_that_hangs_does_not_keep_its_worker_from_coming_back(search: Search) -> None:
    folder = search.frozen(search.file({"optim.lr": {"values": [0.003]}, "seed": {"values": [0]}}))
    worker = start_worker(folder, VIDCLS_JOB_START=str(int(time.time())), VIDCLS_JOB_TIME_S="15")
    wait_for(lambda: trains(folder), what="an epoch")
    (child,) = trial_processes(worker.pid)
    child.send_signal(signal.SIGSTOP)
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait() == ExitCode.REQUEUE
    (trial,) = folder.trials().refresh()
    assert (trial.state, ended(trial)["kind"]) == ("waiting", "crashed")
    assert "did not save" in ended(trial)["message"]
    assert work(folder).exit_code == ExitCode.DONE
    assert states(folder) == ["finished"]
