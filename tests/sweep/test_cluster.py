"""Sweeps through queues, by the installed command: a real SLURM, and the stand-in for LSF."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.clusters import launched, profile_file, said, vidcls, wait_until_finished
from tests.support.lsf.fixture import Lsf
from tests.support.slurm import Slurm
from tests.support.sweeps import Search, ended, run_of, undisturbed
from tests.support.training import Experiment, assert_same
from tests.support.waiting import wait_for
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.jobs import ask_queues
from vidcls.sweep.storage.trials import Trial
from vidcls.sweep.storage.worker_heartbeat import Workers

pytestmark = pytest.mark.decoded

LR = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}
SEARCHES: dict[str, Mapping[str, Any]] = {
    "grid": {"parameters": {"optim.lr": {"values": [0.001, 0.003]}, "seed": {"values": [0, 1]}}},
    "random": {"parameters": {"optim.lr": LR}, "run_cap": 3},
    "bayes": {"parameters": {"optim.lr": LR}, "run_cap": 3},
}


@pytest.fixture
def search(experiment: Experiment) -> Search:
    return Search(experiment)


def assert_undisturbed(search: Search, folder: SweepFolder, trials: Sequence[Trial], name: str) -> None:
    """Each trial came to what training it alone does, weights and all."""
    for trial in trials:
        assert trial.state == "finished"
        alone = undisturbed(search, trial, runs=f"alone-{name}-{trial.number}")
        status = alone.status()
        assert status is not None
        assert ended(trial)["metrics"] == status.metrics
        assert_same(run_of(folder, trial), alone)


def num_epochs(folder: Path) -> int:
    """How many were trained below a folder."""
    return sum(path.read_text().count('"val/top1"') for path in folder.rglob("metrics.jsonl"))


def test_sweeps_are_arrays_of_a_real_slurm(search: Search, slurm: Slurm) -> None:
    search.experiment.settings["train__epochs"] = 1
    profile = profile_file(slurm.profile(memory="2GB", throttle=1), search.experiment.folder)
    folders = {}
    for method, keys in SEARCHES.items():
        file = search.file(method=method, name=method, **keys)
        folders[method] = launched(file, profile, "--workers", 2, "--keep", 9)
    (job,) = [submission.job for submission in folders["grid"].submissions().all()]
    assert job is not None
    assert "ArrayTaskThrottle=1" in slurm.control("show", "job", job)
    for method, folder in folders.items():
        status = wait_until_finished(folder)
        assert status["counts"] == {"finished": 4 if method == "grid" else 3}
        trials = folder.trials().refresh()
        assert [trial.token for trial in trials] == [1] * sum(status["counts"].values())
        assert_undisturbed(search, folder, trials, method)
    seen = Workers(folders["grid"].storage).refresh()
    assert {report.job for report in seen} <= {f"{job}_0", f"{job}_1"}
    again = vidcls("sweep", "resume", folders["grid"].path)
    assert again.returncode == 0, again.stderr


def test_a_sweep_outlives_the_time_limits_of_lsf(search: Search, lsf: Lsf) -> None:
    """A task is warned once its trial has begun, saves, and makes room for the other."""
    profile = profile_file(lsf.profile(warn_s=540, throttle=1), search.experiment.folder)
    search.experiment.settings["train__epochs"] = 40
    file = search.file({"optim.lr": {"values": [0.001, 0.003]}}, name="long")
    folder = launched(file, profile, "--workers", 2, "--keep", 9, "--attempts", 9, "--lease", 5)
    wait_for(lambda: num_epochs(search.experiment.folder) >= 2, what="two epochs")
    lsf.let_time_pass()
    wait_until_finished(folder)
    trials = folder.trials().refresh()
    assert any(trial.token > 1 for trial in trials)
    kinds = [
        folder.storage.read(f"trials/{t.number:05d}/end-{n:03d}.json")
        for t in trials
        for n in range(1, t.token)
    ]
    assert {end["kind"] for end in kinds if end} == {"released"}
    assert_undisturbed(search, folder, trials[1:], "lsf")
    wait_for(lambda: not ask_queues(folder).tasks, what="workers to leave")
    assert said("sweep", "status", folder.path)["workers"] == []


def test_a_task_that_its_queue_has_lost_is_named_with_the_way_out(search: Search, slurm: Slurm) -> None:
    search.experiment.settings["train__epochs"] = 30
    profile = profile_file(slurm.profile(memory="2GB"), search.experiment.folder)
    folder = launched(search.file({"seed": {"values": [0]}}), profile, "--workers", 1, "--lease", 5)
    (submission,) = folder.submissions().all()
    workers = Workers(folder.storage)
    wait_for(lambda: any(report.trials for report in workers.refresh()), what="a worker to train")
    worker = psutil.Process(workers.refresh()[0].pid)
    # With the process in between gone, SLURM believes for long that the task runs.
    step = next(parent for parent in worker.parents() if parent.name() == "slurmstepd")
    for process in (step, *step.children(recursive=True)):
        process.kill()

    def notes() -> str:
        return " ".join(said("sweep", "status", folder.path)["notes"])

    name = f"{submission.job}_0"
    note = wait_for(lambda: "no worker reports" in notes() and notes(), what="the loss to be told")
    assert f"{name} runs, as its queue says, but no worker reports from there" in str(note)
    assert f"scancel {name}; then: vidcls sweep resume {folder.path}" in str(note)
    assert vidcls("sweep", "resume", folder.path).stdout.startswith("enough workers")
    subprocess.run(["scancel", name], check=True)
    wait_for(lambda: not ask_queues(folder).tasks, what="the task to be gone")
    assert vidcls("sweep", "resume", folder.path).stdout.startswith("job ")
    wait_until_finished(folder)
    (trial,) = folder.trials().refresh()
    assert_undisturbed(search, folder, [trial], "lost")
