"""`vidcls race` as a person types it: real trainings, workers that are killed, data that cannot race."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.clusters import profile_file, said, vidcls
from tests.support.slurm import Slurm
from tests.support.training import Experiment
from tests.support.waiting import wait_for
from vidcls.cli import app
from vidcls.data.demo import Amount, make_demo_of
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.worker_heartbeat import Workers

pytestmark = [pytest.mark.long, pytest.mark.decoded]


def race(*args: object) -> Result:
    return CliRunner().invoke(app, ["race", *map(str, args)])


def two(experiment: Experiment) -> list[Path]:
    """One that learns, and one that does not."""
    return [experiment.spec(runs="able", train__epochs=1), experiment.spec(runs="lazy", optim__lr=1e-9)]


def over(folder: str) -> Any:
    """What is said of a race that is over; None before."""
    found = said("race", folder)
    assert found["state"] in ("running", "over"), found
    return found if found["is_over"] else None


def test_a_race_survives_its_workers_and_shows_its_verdict(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(experiment.folder)
    command = ("race", *two(experiment), "train.epochs=1", "--max-seeds", 2, "--cluster", "local")
    begun = said(*command, "--workers", 2, "--lease", 5)
    assert begun["verdict"] == "no verdict yet: the first look is after 2 seeds each"
    folder = SweepFolder(Path(begun["folder"]))
    workers = Workers(folder.storage)
    busy = wait_for(
        lambda: [report for report in workers.refresh() if report.trials], what="a worker to train"
    )
    os.kill(busy[0].pid, signal.SIGKILL)
    again = said(*command, "--workers", 2)
    assert again["folder"] == begun["folder"], "the same race"
    found = wait_for(lambda: over(begun["folder"]), what="the race to end")
    assert found["counts"] == {"finished": 4}
    assert found["job"] is None
    (look,) = found["looks"]
    assert (look["num_videos"], look["checkpoint"], look["leak_state"]) == (20, "last", "clean")
    for contender in found["contenders"]:
        assert contender["num_trained"] == 2
        assert contender["low"] <= contender["top1"] <= contender["high"]
    shown = race(begun["folder"], "--wait")
    assert shown.exit_code == 0
    assert found["verdict"] in shown.stdout
    assert "over: 4 trainings (4 finished)" in shown.stdout


def test_a_race_runs_through_a_real_slurm(experiment: Experiment, slurm: Slurm) -> None:
    profile = profile_file(slurm.profile(memory="2GB"), experiment.folder)
    command = ("race", *two(experiment), "train.epochs=1", "--max-seeds", 2, "--cluster", profile)
    script = vidcls(*command, "--dry-run")
    assert "#SBATCH --array=0-3" in script.stdout, script.stderr
    found = said(*command, "--workers", 2)
    assert found["job"] is not None
    found = wait_for(lambda: over(found["folder"]), what="the race to end")
    assert found["counts"] == {"finished": 4}
    seen = Workers(SweepFolder(Path(found["folder"])).storage).refresh()
    assert all(report.job for report in seen), "each worker was a task"
    assert said(*command, "--no-check")["job"] is None, "nothing is left to start"


@pytest.mark.slow
def test_a_race_is_paused_and_resumed_like_a_sweep(experiment: Experiment) -> None:
    files = two(experiment)
    # More epochs than can be trained before the race is cancelled.
    command = ("race", *files, "train.epochs=5000", "--max-seeds", 2, "--cluster", "local")
    begun = said(*command)
    folder = begun["folder"]
    workers = Workers(SweepFolder(Path(folder)).storage)
    wait_for(lambda: any(report.trials for report in workers.refresh()), what="a worker to train")
    assert vidcls("sweep", "pause", folder).returncode == 0
    paused = said("race", folder)
    assert (paused["state"], paused["num_workers"]) == ("paused", 0)
    assert f"vidcls sweep resume {folder}" in " ".join(paused["notes"])
    assert said(*command)["state"] in ("running", "stalled")
    assert vidcls("sweep", "cancel", folder).returncode == 0
    assert said("race", folder)["state"] == "cancelled"


def test_experiments_on_other_videos_do_not_race(experiment: Experiment, tmp_path: Path) -> None:
    make_demo_of(Amount(train=1, val=1, test=0, clips=1), tmp_path / "other", seed=1)
    files = two(experiment)
    content = yaml.safe_load(files[1].read_text())
    content["data"]["root"] = str(tmp_path / "other")
    files[1].write_text(yaml.safe_dump(content))
    refused = race(*files, "--cluster", "local")
    assert refused.exit_code == 2
    assert "lazy reads other data than able" in refused.output
    content["data"]["root"] = str(tmp_path / "nowhere")
    files[1].write_text(yaml.safe_dump(content))
    refused = race(*files, "--cluster", "local")
    assert (refused.exit_code, "nowhere" in refused.output) == (2, True)
    assert not list(tmp_path.rglob("options.json")), "nothing was launched"


def test_a_folder_that_is_no_race_is_refused(tmp_path: Path) -> None:
    refused = race(tmp_path)
    assert (refused.exit_code, "not a sweep" in refused.output) == (2, True)
    missing = race("nowhere.yaml", "neither.yaml", "--json")
    assert missing.exit_code == 2
    assert "nowhere.yaml" in missing.output
    assert "neither.yaml" in missing.output, json.dumps(missing.output)
