"""Small real sweeps over the small demo data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.training import Experiment, started_warm, train_here
from vidcls.launch.local import LocalProfile
from vidcls.launch.queue import AnyProfile
from vidcls.run.folder import Run
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.launch import freeze
from vidcls.sweep.plan import LaunchPlan, plan_launch
from vidcls.sweep.space.distributions import Categorical, Constant
from vidcls.sweep.space.space import Point, Space
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.storage.trials import Trial
from vidcls.sweep.worker.allocation import allocation_of
from vidcls.sweep.worker.messages import enter
from vidcls.sweep.worker.trial_process import ChildMain, TrialLauncher
from vidcls.sweep.worker.worker import SweepWorker, WorkerExit

GRID = {"optim.lr": {"values": [0.001, 0.003]}, "model.dropout": {"values": [0.0, 0.2]}}


@dataclass
class Search:
    """An experiment and the searches over it."""

    experiment: Experiment

    def file(
        self,
        parameters: Mapping[str, Any] = GRID,
        *,
        method: str = "grid",
        name: str = "search",
        settings: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> Path:
        """Write the experiment and a sweep file over it."""
        spec = self.experiment.spec(**(settings or {}))
        content = {
            "name": name,
            "method": method,
            "metric": {"name": "val/top1", "goal": "maximize"},
            "parameters": dict(parameters),
            "command": ["vidcls", "train", str(spec), "${args}"],
            **keys,
        }
        path = self.experiment.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def plan(
        self,
        file: Path,
        *,
        profile: AnyProfile | None = None,
        num_workers: int | None = 1,
        overrides: Sequence[str] = (),
        **options: Any,
    ) -> LaunchPlan:
        """A checked launch."""
        return plan_launch(
            load_sweep(file),
            overrides=tuple(overrides),
            options=SweepOptions(**options),
            profile=profile or LocalProfile(),
            num_workers=num_workers,
        )

    def frozen(self, file: Path, **options: Any) -> SweepFolder:
        """A sweep on which nobody works yet."""
        plan = self.plan(file, **options)
        freeze(plan)
        return plan.folder


def work(
    folder: SweepFolder, main: ChildMain = enter, *, when_idle: Callable[[], bool] = lambda: False
) -> WorkerExit:
    """Be a worker, in this process, until there is nothing to do. Its trials have torch imported already."""
    allocation = allocation_of(num_gpus=0, num_cpus=1, device="cpu", per_gpu=folder.options().per_gpu)
    with started_warm():
        launcher = TrialLauncher(main)
        return SweepWorker(folder, allocation, launcher=launcher, when_idle=when_idle).run()


def start_worker(folder: SweepFolder, **env: str) -> subprocess.Popen[bytes]:
    """A worker in a process of its own, which a test may kill."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "VIDCLS_JOB"))}
    command = [sys.executable, "-m", "vidcls", "sweep", "work", str(folder.path), "--cpus", "1"]
    with (folder.path / "worker.log").open("ab") as log:
        return subprocess.Popen([*command, "--device", "cpu"], env=kept | env, stdout=log, stderr=log)


def states(folder: SweepFolder) -> list[str]:
    """The state of every trial."""
    return [trial.state for trial in folder.trials().refresh()]


def ended(trial: Trial) -> Mapping[str, Any]:
    """How a trial ended."""
    assert trial.end is not None, trial
    return trial.end


def run_of(folder: SweepFolder, trial: Trial) -> Run:
    """The run of a trial that began one."""
    run = folder.run_of(trial)
    assert run is not None, trial
    return run


def results(folder: SweepFolder) -> dict[int, tuple[str, float | None, Mapping[str, float]]]:
    """State, value and metrics of every trial."""
    return {
        trial.number: (trial.state, trial.value, ended(trial).get("metrics", {}))
        for trial in folder.trials().refresh()
    }


def undisturbed(search: Search, trial: Trial, *, runs: str) -> Run:
    """The same trial, trained alone."""
    settings: dict[str, Any] = {key.replace(".", "__"): value for key, value in trial.point.items()}
    return train_here(search.experiment.spec(runs=runs, **{**settings, "seed": trial.seed}), threads=1)


def assert_of_space(point: Point, space: Space) -> None:
    """A point has a value of every parameter of its space, and nothing else."""
    assert point.keys() == space.parameters.keys()
    for name, distribution in space.parameters.items():
        value = point[name]
        if isinstance(distribution, Constant):
            assert value == distribution.constant
        elif isinstance(distribution, Categorical):
            assert value in distribution.values
        else:
            assert distribution.value(distribution.position(value)) == pytest.approx(value)
