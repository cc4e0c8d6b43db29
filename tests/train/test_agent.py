"""Under `wandb agent`: its early stop is no failure, and a point that was trained before is not trained again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.errors import VidclsError


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")


@pytest.mark.usefixtures("agent")
def test_a_bare_term_is_an_early_stop_and_exits_0(experiment: Experiment) -> None:
    with pytest.raises(VidclsError) as caught:
        train_here(experiment.spec(), QuietDisplay(signal_at=(7, signal.SIGTERM)))
    assert caught.value.exit_code == 0
    assert experiment.run().checkpoint_file("last").is_file()


@pytest.mark.usefixtures("agent")
def test_a_queues_warning_still_asks_for_a_requeue(experiment: Experiment) -> None:
    with pytest.raises(VidclsError) as caught:
        train_here(experiment.spec(), QuietDisplay(signal_at=(7, signal.SIGUSR1)))
    assert caught.value.exit_code == 75


def test_a_finished_point_fills_the_agents_run_with_its_metrics(experiment: Experiment) -> None:
    run = train_here(experiment.spec())
    # A process of its own, as an agent starts one, with nothing of a client that an earlier test has used.
    clean = {name: value for name, value in os.environ.items() if "WANDB" not in name}
    environment = clean | {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "given-by-agent"}
    command = [sys.executable, "-m", "vidcls", "train", experiment.spec(tracking__mode="offline")]
    subprocess.run(command, env=environment, check=True)
    (record,) = (run.folder / "wandb").glob("offline-run-*-given-by-agent")
    tool = Path(sys.executable).with_name("wandb")
    (file,) = record.glob("*.wandb")
    read = subprocess.check_output([tool, "leet", "inspect", "--summary", "--json", file])
    summary = json.loads(read)["summary"]
    status = run.status()
    assert status is not None
    assert summary["best/val/top1"] == status.metrics["val/top1"]
