"""`vidcls sweep` as a person and a script use it, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.sweeps import Search, states, work
from tests.support.training import Experiment
from tests.support.waiting import wait_for
from vidcls.cli import app
from vidcls.spec.load import load_spec
from vidcls.sweep.storage.folder import SweepFolder

pytestmark = [pytest.mark.long, pytest.mark.decoded]

VIDCLS = str(Path(sys.executable).with_name("vidcls"))


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, args)])


def said(*args: str | Path) -> dict[str, Any]:
    """What a command prints as JSON."""
    found: dict[str, Any] = json.loads(subprocess.check_output([VIDCLS, "sweep", *map(str, args), "--json"]))
    return found


@pytest.fixture
def search(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(experiment.folder)
    return Search(experiment)


def test_a_search_from_its_file_to_the_winning_experiment(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.003, 1e-9]}}, settings={"train__epochs": 2})
    launched = said("launch", file, "--cluster", "local", "--workers", "2", "--repeats", "2", "--keep", "1")
    folder = Path(launched["folder"])
    assert launched["workers"] == 2
    overview = wait_for(
        lambda: (now := said("status", folder))["state"] == "finished" and now, what="the end of the search"
    )
    assert overview["counts"] == {"finished": 4}
    assert overview["leak_state"] == "clean"
    assert overview["best"][0]["value"] >= overview["best"][1]["value"]
    assert overview["worker_hours"] > 0
    assert any("memory" in line for line in overview["advice"])
    table = run("status", folder)
    assert table.exit_code == 0
    assert "finished  4 of 4 trials" in table.stdout
    watched = run("status", folder, "--watch").stdout
    assert "\nthe best of 2 configurations" in watched, "on a line of its own"
    page = folder.parent / "page"
    made = CliRunner().invoke(app, ["report", str(folder), "--watch", "--out", str(page)])
    assert made.exit_code == 0, made.output
    assert f"4 trials: {page / 'index.html'}" in made.stderr

    assert run("best", folder).exit_code == 0
    (best,) = (search.experiment.folder / "experiments").iterdir()
    spec = load_spec(best).spec
    lrs = [trial.point["optim.lr"] for trial in SweepFolder.open(folder).trials().refresh()]
    assert spec.optim.lr in lrs
    assert (spec.name, spec.runs_dir) == ("search_best", "runs")
    assert "2 seed(s)" in best.read_text()
    assert run("best", folder).exit_code == 0, "the same again is fine"
    best.write_text("mine")
    again = run("best", folder)
    assert (again.exit_code, best.read_text()) == (2, "mine")
    assert run("best", folder, "--force").exit_code == 0
    assert load_spec(best).spec == spec
    assert "4/4 trials finished" in run("ls").stdout
    assert "hours one after the other" in run("check", file, "--repeats", "2").stdout
    assert "no trials are left" in run("resume", folder).stdout
    # A worker that stood by says goodbye a moment after the last trial has ended.
    wait_for(lambda: run("clean", folder, "--keep", "0").exit_code == 0, what="the workers to leave")
    assert not list(folder.rglob("*.pt"))
    assert run("clean", folder, "--all", "--yes").exit_code == 0
    assert not folder.exists()


def test_a_launch_given_again_goes_on_with_the_same_sweep(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.003, 0.001]}}, settings={"train__epochs": 1})
    first = said("launch", file, "--cluster", "local")
    wait_for(lambda: said("status", first["folder"])["state"] == "finished", what="the end")
    second = said("launch", file, "--cluster", "local")
    assert (first["new"], second["new"], first["folder"]) == (True, False, second["folder"])
    assert search.plan(file, seed=1).folder.path != Path(first["folder"]), "another search"
    assert states(SweepFolder.open(Path(first["folder"]))) == ["finished"] * 2


def test_editing_the_code_does_not_change_queued_work(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.003, 0.001]}})
    folder = search.frozen(file)
    assert (folder.code_dir / "vidcls" / "sweep" / "worker" / "worker.py").is_file()
    from vidcls.sweep.launch import job_of

    job = job_of(search.plan(file))
    assert job.env["PYTHONPATH"].split(":")[0] == str(folder.code_dir)


def test_a_dry_run_prints_the_script_and_writes_nothing(search: Search) -> None:
    profile = search.experiment.folder / "mine.yaml"
    profile.write_text("queue: slurm\ntime: '01:00:00'\npartition: gpu\ngpus: {count: 1}\nthrottle: 2\n")
    file = search.file(name="a name; rm -rf $HOME")
    done = run("launch", file, "--cluster", profile, "--workers", "3", "--dry-run")
    assert done.exit_code == 0
    assert "#SBATCH --array=0-2%2" in done.stdout
    assert "rm -rf" not in done.stdout.split("sweep work")[0]
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpu-hours", "2"], "requests no GPU"),
        (["--until", "2020-01-01T00:00"], "this time is in the past"),
        (["--until", "noon"], "not a time"),
        (["--engine", "optuna"], "serverless or wandb"),
        (["--cluster", "nowhere"], "no profile nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    search: Search, options: list[str], words: str
) -> None:
    profile = search.experiment.folder / "cpu.yaml"
    profile.write_text("queue: slurm\ntime: '01:00:00'\ngpus: {count: 0}\n")
    cluster = [] if "--cluster" in options else ["--cluster", profile]
    done = run("launch", search.file(), *cluster, *options)
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output
    assert not Path("runs").exists()


def test_an_override_of_what_is_searched_is_refused(search: Search) -> None:
    file = search.file({"optim.lr": {"values": [0.003, 0.001]}})
    done = run("launch", file, "--cluster", "local", "optim.lr=0.1")
    assert done.exit_code == 2
    said_words = " ".join(done.output.split())
    assert "has no effect, because optim.lr is a parameter of the sweep" in said_words
    assert f"{file.name}:" in said_words
    assert not Path("runs").exists()


def test_a_search_that_nothing_ends_is_refused(search: Search) -> None:
    file = search.file({"optim.lr": {"min": 0.001, "max": 0.01}}, method="random")
    done = run("launch", file, "--cluster", "local")
    assert done.exit_code == 2
    assert "this sweep would never end" in done.output
    assert run("launch", file, "--cluster", "local", "--max-hours", "1", "--dry-run").exit_code == 0


def test_exclusive_gpus_are_not_shared(search: Search) -> None:
    profile = search.experiment.folder / "lsf.yaml"
    lines = {"queue": "lsf", "time": "1:00:00", "gpus": {"count": 1}, "gpu_mode": "exclusive"}
    profile.write_text(yaml.safe_dump(lines))
    done = run("launch", search.file(), "--cluster", profile, "--per-gpu", "2", "--dry-run")
    assert done.exit_code == 2
    assert "exclusive" in done.output
    profile.write_text(yaml.safe_dump({**lines, "gpu_mode": "shared"}))
    done = run("launch", search.file(), "--cluster", profile, "--per-gpu", "2", "--dry-run")
    assert "mode=shared" in done.stdout


def test_what_cannot_fit_is_trimmed_and_said(search: Search) -> None:
    profile = search.experiment.folder / "gpu.yaml"
    profile.write_text("queue: slurm\ntime: '04:00:00'\ngpus: {count: 1}\n")
    file = search.file({"optim.lr": {"min": 0.001, "max": 0.01}}, method="random", run_cap=50)
    done = run("launch", file, "--cluster", profile, "--workers", "8", "--gpu-hours", "9", "--dry-run")
    assert "are enough for 2 workers" in done.stderr.replace("\n", " ")
    assert "--array=0-1" in done.stdout
    done = run("launch", file, "--cluster", profile, "--max-hours", "1", "--dry-run")
    assert "reduced from 04:00:00 to 60 minutes" in done.stderr
    done = run("launch", search.file(), "--cluster", profile, "--workers", "9", "--dry-run")
    assert "9 workers for 4 trials: only 4 workers are started" in done.stderr


def test_failed_trials_are_shown_with_their_reason_and_tried_again(search: Search) -> None:
    values = {"optim.lr": {"values": [1e18, 0.003]}, "optim.clip_norm": {"value": 1e30}}
    folder = search.frozen(search.file(values, settings={"train__epochs": 1}))
    work(folder)
    status = run("status", folder.path)
    assert status.exit_code == 3
    assert "the loss is" in status.stdout
    assert "log.txt" in status.stdout
    assert run("retry", folder.path, "--trial", "1").exit_code == 2
    again = run("retry", folder.path, "--cluster", "local", "--workers", "1")
    assert "trials that run again: 0" in again.stdout
    wait_for(lambda: said_state(folder) == "finished, some failed", what="the second failure")


def said_state(folder: SweepFolder) -> str:
    done = subprocess.run(
        [VIDCLS, "sweep", "status", str(folder.path), "--json"], stdout=subprocess.PIPE, check=False
    )
    state: str = json.loads(done.stdout)["state"]
    return state


def test_no_sweep_is_a_message(search: Search) -> None:
    done = run("status", "nowhere")
    assert done.exit_code == 2
    assert "not a sweep" in done.output
