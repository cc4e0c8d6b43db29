"""One command in a queue: `--cluster`, and `vidcls hpc`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.slurm import Slurm
from tests.support.training import Experiment
from tests.support.waiting import wait_for
from vidcls.cli import app
from vidcls.launch.profiles import load_profile
from vidcls.launch.queue import open_queue
from vidcls.spec.load import load_spec


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("queue: slurm\ntime: 10\ncpus: 1\nmemory: 2GB\ngpus: {count: 0}\n")
    return path


def test_a_training_and_its_evaluation_go_through_the_queue(
    experiment: Experiment, profile: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(experiment.folder)
    queue = open_queue(load_profile(profile))

    def wait(result: Result) -> Path:
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        wait_for(lambda: queue.tasks([said["job"]]) == [], what="the job to end")
        return Path(said["log"])

    spec = experiment.spec(train__epochs=1)
    train = ("train", spec, "seed=3", "--device", "cpu", "--cluster", profile)
    slurm.hold_back(jobs_wait=True)
    queued = run(*train, "--json")
    assert queued.exit_code == 0, queued.output
    said = json.loads(queued.stdout)
    again = run(*train, "--no-check")
    assert again.exit_code == 2
    assert f"already queued as job {said['job']} (pending" in again.stderr
    assert f"scancel {said['job']}   ends the job" in again.stderr
    assert slurm.jobs() == [said["job"]]
    # What is edited now, and a package that lies in the working folder, changes nothing of what was queued.
    experiment.spec(train__epochs=2)
    trap = experiment.folder / "vidcls" / "__init__.py"
    trap.parent.mkdir()
    trap.write_text("raise SystemExit('the code of the working folder')")
    slurm.hold_back(jobs_wait=False)
    log = wait(queued)
    trained = experiment.run()
    assert trained.spec() == load_spec(Path(said["experiment"])).spec
    assert trained.spec().train.epochs == 1
    assert f"--fingerprint {trained.folder.name.partition('-')[0]}" in slurm_script(slurm, said["job"])
    status = trained.status()
    assert status is not None, log.read_text()
    assert (status.state, trained.folder.name.endswith("-s3")) == ("finished", True)
    assert "best val top-1" in log.read_text()
    stored = run("evaluate", trained.folder, "--cluster", profile)
    assert "all results are stored already, nothing is queued" in stored.stdout
    asked = ("evaluate", trained.folder, "--anew", "--device", "cpu", "--cluster", profile, "--json")
    log = wait(run(*asked))
    assert "precision" in log.read_text()
    assert log.parent.name == "logs"


def slurm_script(slurm: Slurm, job: str) -> str:
    return slurm.control("write", "batch_script", job, "-")


def test_a_job_does_not_train_on_other_data_than_was_submitted(experiment: Experiment) -> None:
    result = run("train", experiment.spec(), "--fingerprint", "0123456789ab")
    assert result.exit_code == 2
    assert "the data changed since this job was queued: the fingerprint was 0123456789ab" in result.stderr
    assert not (experiment.folder / "runs").exists()


def test_a_run_is_not_queued_again_while_its_queue_does_not_answer(
    experiment: Experiment, profile: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.hold_back(jobs_wait=True)
    train = ("train", experiment.spec(), "--cluster", profile, "--no-check")
    assert run(*train).exit_code == 0
    (job,) = slurm.jobs()
    monkeypatch.setenv("SLURM_CONF", str(slurm.unreachable(experiment.folder)))
    silent = run(*train)
    assert silent.exit_code == 1
    assert f"job {job} may be training this run, but the queue does not answer" in silent.stderr
    assert "0001.json" in silent.stderr


def test_dry_run_prints_the_script_and_queues_nothing(experiment: Experiment, profile: Path) -> None:
    spec = experiment.spec()
    result = run("train", spec, "--optim.lr=1e-3", "--accept-code", "--cluster", profile, "--dry-run")
    assert result.stdout.startswith("#!/bin/bash\n#SBATCH --job-name=small\n")
    assert re.search(r"-P -m vidcls train \S+/queued/small/\w+-s0/\w+\.yaml --accept-code &", result.stdout)
    assert re.search(r"export PYTHONPATH=\S+/queued/code-\w+", result.stdout)
    assert not (experiment.folder / "runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "SPEC", "--cluster", "nowhere"], "no profile nowhere"),
        (["train", "SPEC", "optim.lrr=1", "--cluster", "PROFILE"], "did you mean optim.lr?"),
        (
            ["train", "SPEC", "--restart", "--cluster", "PROFILE"],
            "--restart would start from the beginning each time",
        ),
        (["evaluate", "nowhere", "--cluster", "PROFILE"], "vidcls runs ls"),
        (["evaluate", "nowhere", "--dry-run"], "add --cluster PROFILE"),
    ],
)
def test_mistakes_are_told_before_anything_is_queued(
    experiment: Experiment, profile: Path, args: list[str], message: str
) -> None:
    real = {"SPEC": str(experiment.spec()), "PROFILE": str(profile)}
    result = run(*[real.get(arg, arg) for arg in args])
    assert result.exit_code == 2
    assert message in result.stderr


def test_hpc_builds_the_environment_where_the_profile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a `python3` that writes down what it is asked for: the real thing takes gigabytes."""
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text(
        f'#!/bin/bash\necho "$@" >>{tmp_path}/asked\n'
        'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; : >"$3/bin/activate"; fi\n'
    )
    (programs / "python3").chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    profile = tmp_path / "here.yaml"
    profile.write_text(f"queue: local\nscratch: {tmp_path}/big\nsetup: ['PATH={programs}:$PATH']\n")
    dry = run("hpc", profile, "--dry-run")
    assert "python3 -m venv" in dry.stdout
    assert not (tmp_path / "asked").exists()
    result = run("hpc", profile)
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "asked").read_text().splitlines()
    assert lines[1] == f"-m venv {tmp_path}/big/venv"
    assert lines[2].endswith(f"--upgrade --constraint {tmp_path}/constraints.txt {tmp_path}")
    wait_for(lambda: "-m vidcls doctor" in (tmp_path / "asked").read_text(), what="doctor")
    profile.write_text("queue: local\n")
    assert "set scratch or venv" in run("hpc", profile).stderr
