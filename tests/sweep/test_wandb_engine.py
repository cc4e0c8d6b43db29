"""Real `wandb sweep` and `wandb agent` run the installed `vidcls train` against a server that stands in."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.support.training import Experiment
from tests.support.waiting import PATIENCE_S
from tests.support.wandb_server import client_environment
from tests.support.wandb_state import WandbServer
from vidcls.errors import UserError, VidclsError
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.sweep.wandb import agent_command, create_sweep

pytestmark = pytest.mark.decoded

HASTY_AGENT = """
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
from vidcls.tracking.patient_client import wait_for_sessions
wait_for_sessions()
Agent.POLL_INTERVAL = 0.5
cli()
"""
"""The client's own command, which looks after its training more often than every five seconds."""
VIDCLS = str(Path(sys.executable).with_name("vidcls"))
LONG = 2000
"""Epochs that no test waits for."""


@pytest.fixture
def environment(wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environment = client_environment(wandb_server, tmp_path)
    for name in ("WANDB_SERVICE", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # the client makes a folder where it is
    return environment


def sweep_file(experiment: Experiment, parameters: dict[str, Any], **settings: Any) -> Path:
    spec = experiment.spec(tracking__mode="auto", tracking__previews=1)
    content = {
        "name": "lr",
        "project": "motion",
        "method": "grid",
        "metric": {"name": "val/top1", "goal": "maximize"},
        "parameters": {name: {"values": values} for name, values in parameters.items()},
        "command": ["${env}", "vidcls", "train", str(spec), "${args}"],
        **settings,
    }
    path = experiment.folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@contextlib.contextmanager
def job_of(sweep: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A job of the queue that works on a sweep; a test that fails does not wait for its end."""
    with subprocess.Popen(agent_command(sweep), env=environment) as job:
        try:
            yield job
        finally:
            if job.poll() is None:
                for process in psutil.Process(job.pid).children(recursive=True):
                    process.kill()
                job.kill()


def run_of(experiment: Experiment, epochs: int) -> Run:
    (run,) = [r for r in find_runs(experiment.folder / "runs") if r.spec().train.epochs == epochs]
    return run


def state(run: Run) -> str:
    status = run.status()
    assert status is not None
    return status.state


def test_a_preempted_a_stopped_a_finished_and_a_repeated_point(
    experiment: Experiment, wandb_server: WandbServer, environment: dict[str, str]
) -> None:
    name = create_sweep(sweep_file(experiment, {"train.epochs": [LONG, 2]}))
    assert name == "team/motion/sweep0"
    sweep = wandb_server.sweeps["sweep0"]
    assert sweep.config["method"] == "grid"
    # A search may well ask for a point twice.
    sweep.points = iter([{"train.epochs": epochs} for epochs in (LONG, 2, 2)])

    with job_of(name, environment) as job:
        wandb_server.wait(lambda: any(run.rows for run in wandb_server.runs.values()))
        job.send_signal(signal.SIGUSR1)
        assert job.wait(PATIENCE_S) == 75
    (first,) = wandb_server.runs.values()
    assert first.state == "preempted"
    assert (state(run_of(experiment, LONG)), len(sweep.handed_out)) == ("interrupted", 1)

    # It is handed out again, goes on, and is stopped by the server.
    enough = len(first.rows) + 2
    wandb_server.stop_when = lambda run: run is first and len(run.rows) > enough
    command = [sys.executable, "-c", HASTY_AGENT, "agent", name]
    subprocess.run(command, env=environment, cwd=experiment.folder, check=True, timeout=PATIENCE_S)
    assert [kind for kind, _, _ in sweep.handed_out] == ["run", "resume", "run", "run"]
    same, finished, repeated = wandb_server.runs.values()
    assert (same, first.state, first.exit_code) == (first, "finished", 0)
    assert [row["_step"] for row in first.rows] == list(range(len(first.rows)))
    assert state(run_of(experiment, LONG)) == "stopped"
    assert run_of(experiment, LONG).provenance()["resumes"]

    assert (finished.state, finished.group, finished.sweep) == ("finished", "small", "sweep0")
    assert len(finished.values("val/top1")) == 2
    assert "val/previews" in finished.summary
    assert state(run_of(experiment, 2)) == "finished"

    # Its metrics are replayed, nothing is trained.
    assert len(find_runs(experiment.folder / "runs")) == 2
    assert repeated.state == "finished"
    assert repeated.values("val/top1") == finished.values("val/top1")
    assert repeated.summary["best/val/top1"] == finished.summary["best/val/top1"]
    assert wandb_server.unknown == set()


def test_a_warning_before_training_began_gives_the_trial_back(
    experiment: Experiment, wandb_server: WandbServer, environment: dict[str, str]
) -> None:
    name = create_sweep(sweep_file(experiment, {"train.epochs": [LONG]}))
    with job_of(name, environment) as job:
        while not any("--train.epochs" in word for word in words_below(job)):
            assert job.poll() is None
            time.sleep(0.01)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(PATIENCE_S) == 75
    (shown,) = wandb_server.runs.values()
    assert (shown.state, shown.rows) == ("preempted", [])
    assert wandb_server.sweeps["sweep0"].preempted == [shown.id]


def words_below(job: subprocess.Popen[bytes]) -> list[str]:
    """What the processes below a job were started with."""
    words = []
    for process in psutil.Process(job.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words += process.cmdline()
    return words


FUNCTION = """
import sys
from pathlib import Path
import wandb
from wandb.agents import pyagent
from vidcls.errors import VidclsError
from vidcls.spec.load import load_spec
from vidcls.sweep.wandb import point_overrides
from vidcls.training.run_training import Options, train
from tests.support.training import QuietDisplay

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2

def trial():
    train(load_spec(Path(sys.argv[2]), point_overrides()), options=Options(), display=QuietDisplay())

wandb.agent(sys.argv[1], function=trial, count=2)
"""


def test_an_agent_that_runs_a_function(
    experiment: Experiment, wandb_server: WandbServer, environment: dict[str, str]
) -> None:
    file = sweep_file(experiment, {"train.epochs": [LONG, 2]})
    sweep = create_sweep(file)
    wandb_server.stop_when = lambda run: len(run.rows) > 2 and run.config_value("train.epochs") == LONG
    command = [sys.executable, "-c", FUNCTION, sweep, str(experiment.folder / "runs.yaml")]
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(command, env=environment, cwd=experiment.folder, check=True, timeout=PATIENCE_S)
    stopped, finished = wandb_server.runs.values()
    assert (stopped.state, state(run_of(experiment, LONG))) == ("finished", "stopped")
    assert (finished.state, state(run_of(experiment, 2))) == ("finished", "finished")
    assert len(finished.values("val/top1")) == 2


def test_a_refused_sweep_is_told_in_the_clients_words(
    experiment: Experiment, wandb_server: WandbServer, environment: dict[str, str]
) -> None:
    wandb_server.fault = lambda operation: 403 if operation == "UpsertSweep" else None
    with pytest.raises(VidclsError, match="did not create a sweep"):
        create_sweep(sweep_file(experiment, {"train.epochs": [2]}))
    with pytest.raises(UserError, match="ENTITY/PROJECT/ID"):
        agent_command("$(reboot)")


def test_a_launch_submits_agents_and_a_mirrored_sweep_is_one_group(
    experiment: Experiment, wandb_server: WandbServer, environment: dict[str, str]
) -> None:
    file = sweep_file(experiment, {"train.epochs": [1, 2]})
    launch = [VIDCLS, "sweep", "launch", str(file), "--cluster", "local"]
    refused = subprocess.run([*launch, "--engine", "wandb", "--asha"], env=environment, capture_output=True)
    assert refused.returncode == 2
    assert b"--asha: has no effect with --engine wandb" in refused.stderr
    said = subprocess.check_output([*launch, "--engine", "wandb"], env=environment, text=True)
    assert "team/motion/sweep0: 1 agents" in said
    ended = lambda: [run.state for run in wandb_server.runs.values()] == ["finished", "finished"]  # noqa: E731
    wandb_server.wait(ended)
    assert sorted(len(run.values("val/top1")) for run in wandb_server.runs.values()) == [1, 2]

    # The same file without their search: a run a trial, in the group of the sweep.
    before = set(wandb_server.runs)
    subprocess.run(launch, env=environment, check=True)
    wandb_server.wait(
        lambda: [r.state for id_, r in wandb_server.runs.items() if id_ not in before] == ["finished"] * 2
    )
    mirrored = [run for id_, run in wandb_server.runs.items() if id_ not in before]
    assert {run.group for run in mirrored} == {"lr"}
