"""Whatever dies under a sweep: each trial is finished once, with the result of an undisturbed run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import psutil
import pytest

from tests.support.chaos import Chaos
from tests.support.clusters import launched, profile_file
from tests.support.slurm import Slurm
from tests.support.sweeps import Search, ended, run_of, undisturbed
from tests.support.training import Experiment, assert_same
from tests.support.waiting import wait_for
from vidcls.sweep.storage.folder import SweepFolder

EPOCHS = 20
PARAMETERS = {
    "optim.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
    "model.dropout": {"values": [0.0, 0.2]},
}


@pytest.fixture
def search(experiment: Experiment) -> Search:
    experiment.settings["train__epochs"] = EPOCHS
    return Search(experiment)


def disturbed(search: Search, slurm: Slurm, *, seed: int, spare: int, workers: int) -> Chaos:
    """A sweep in the queue, with a lease of five seconds."""
    profile = profile_file(slurm.profile(memory="2GB", warn_s=20, time="30"), search.experiment.folder)
    file = search.file(PARAMETERS, method="random", run_cap=spare)
    options = ("--workers", workers, "--keep", 999, "--attempts", 50, "--lease", 5)
    return Chaos(slurm, launched(file, profile, *options), seed=seed, spare=spare)


def ends(folder: SweepFolder, number: int, num_leases: int) -> list[Mapping[str, Any]]:
    found = [folder.storage.read(f"trials/{number:05d}/end-{n:03d}.json") for n in range(1, num_leases + 1)]
    return [end for end in found if end is not None]


def check(search: Search, folder: SweepFolder) -> None:
    """Nothing is lost, nothing is there twice, and nothing came out differently."""
    trials = folder.trials().refresh()
    assert len(trials) == len(list((folder.path / "trials").iterdir()))
    for trial in trials:
        place = folder.path / "trials" / f"{trial.number:05d}"
        assert trial.state == "finished"
        kinds = [end["kind"] for end in ends(folder, trial.number, trial.token)]
        assert kinds.count("finished") == 1, kinds
        assert len(kinds) == trial.token == len(list(place.glob("lease-*"))) == len(list(place.glob("end-*")))
        alone = undisturbed(search, trial, runs=f"alone-{trial.number}")
        status = alone.status()
        assert status is not None
        end = ended(trial)
        assert (end["metrics"], end["best_epoch"]) == (status.metrics, status.best_epoch)
        assert_same(run_of(folder, trial), alone)
        # One lease at a time; what was trained twice is at most the epoch in which a holder died.
        times = [
            (place / f"{kind}-{n:03d}.json").stat().st_mtime_ns
            for n in range(1, trial.token + 1)
            for kind in ("lease", "end")
        ]
        assert all(a <= b for a, b in itertools.pairwise(times)), times
        num_lost = sum(kind in ("expired", "crashed") for kind in kinds)
        num_twice = folder.trial_log(trial.number).read_text().count("\nepoch ") - EPOCHS
        assert num_twice <= num_lost


def processes_of(folder: SweepFolder) -> list[psutil.Process]:
    """Workers, forkservers, trials, decoders: all have the copy of the code in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder.code_dir) in process.environ().get("PYTHONPATH", ""):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_each_kind_of_fault_costs_time_and_nothing_else(search: Search, slurm: Slurm) -> None:
    chaos = disturbed(search, slurm, seed=1, spare=2, workers=2)
    kinds = sorted(set(chaos.faults) - {"limit"})  # that takes a minute
    random.Random(1).shuffle(kinds)
    for kind in kinds:
        chaos.inflict(kind)
    chaos.finish()
    chaos.note("finished")
    wait_for(lambda: not processes_of(chaos.folder), what="all processes to end")
    chaos.note("nothing runs any more")
    check(search, chaos.folder)
    chaos.note("as if undisturbed")


@pytest.mark.slow
def test_a_hundred_faults(search: Search, slurm: Slurm) -> None:
    seed = 2026
    chaos = disturbed(search, slurm, seed=seed, spare=4, workers=3)
    order = random.Random(seed)
    for _ in range(100):
        chaos.inflict(order.choice(sorted(chaos.faults)))
    chaos.finish()
    chaos.note("finished")
    wait_for(lambda: not processes_of(chaos.folder), what="all processes to end")
    chaos.note("nothing runs any more")
    check(search, chaos.folder)
    chaos.note("as if undisturbed")
