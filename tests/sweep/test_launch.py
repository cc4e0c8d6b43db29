"""Launches at one moment, launchers that die, and queues that do not answer: no worker is doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from tests.support.clusters import launched, profile_file, vidcls
from tests.support.site import wrapped
from tests.support.slurm import Slurm
from tests.support.sweeps import Search
from tests.support.training import Experiment
from vidcls.cli import app
from vidcls.launch.frozen import package_path
from vidcls.sweep.storage.folder import SweepFolder

pytestmark = pytest.mark.decoded

VIDCLS = str(Path(sys.executable).with_name("vidcls"))


@pytest.fixture
def search(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(experiment.folder)
    return Search(experiment)


@pytest.fixture
def profile(search: Search, slurm: Slurm) -> Path:
    """Jobs wait in the queue: a test looks at who submits, not at what is trained."""
    slurm.hold_back(jobs_wait=True)
    return profile_file(slurm.profile(), search.experiment.folder)


def run(*words: object) -> Result:
    """`vidcls sweep` in this process: a new one takes seconds to begin."""
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


def test_of_six_launches_at_one_moment_exactly_one_submits(
    search: Search, profile: Path, slurm: Slurm
) -> None:
    words = ["sweep", "launch", str(search.file()), "--cluster", str(profile), "--no-check", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    launches = [subprocess.Popen([VIDCLS, *words], **pipes) for _ in range(6)]
    said = [(launch.wait(), *launch.communicate()) for launch in launches]
    done = [json.loads(out) for code, out, _ in said if code == 0]
    assert [one["job"] for one in done if one["job"]] == slurm.jobs()
    assert len(slurm.jobs()) == 1
    assert sum(one["new"] for one in done) <= 1
    for code, _, err in said:
        assert code == 0 or ("is submitting " in err and "give the same command again" in err)
    (folder,) = {Path(one["folder"]) for one in done}
    assert package_path(folder, package=folder / "code" / "vidcls") == package_path(folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    again = run(*words[1:-1])
    assert (
        "was launched already: 4 trials; its workers are running or queued, and nothing was submitted"
        in again.stdout
    )


@pytest.mark.parametrize("dies", ["before", "after"])
def test_what_a_launcher_that_died_submitted_is_found(
    search: Search, profile: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    file, kept = search.file(), os.environ["PATH"]
    shell = {"before": "kill -9 $PPID", "after": '"$real" "$@"; kill -9 $PPID'}[dies]
    wrapped("sbatch", shell, search.experiment.folder / "bin", monkeypatch)
    launch = ("launch", file, "--cluster", profile, "--no-check")
    assert vidcls("sweep", *launch).returncode == -9
    monkeypatch.setenv("PATH", kept)
    there = slurm.jobs()
    assert len(there) == (dies == "after")
    assert run(*launch).exit_code == 0
    assert len(slurm.jobs()) == 1
    assert slurm.jobs() == there or dies == "before"
    (folder,) = (search.experiment.folder / "runs" / "sweeps").iterdir()
    assert [one.job for one in SweepFolder(folder).submissions().all()] == slurm.jobs()


def test_a_queue_that_does_not_answer_is_not_an_empty_one(
    search: Search, profile: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = launched(search.file(run_cap=2), profile, "--workers", 2).path
    (job,) = slurm.jobs()
    assert "running" in run("status", folder).stdout.splitlines()[0]
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm.unreachable(search.experiment.folder)))
        status = run("status", folder)
        assert (status.exit_code, status.stderr) == (0, "")
        assert "search: unknown" in status.stdout
        assert f"job {job}: the queue does not answer, so its state is not known: squeue" in status.stdout
        assert "resume" not in status.stdout
        for words in (("resume",), ("clean", "--all", "--yes"), ("launch",)):
            where = (
                (search.file(run_cap=2), "--cluster", profile, "--no-check")
                if words == ("launch",)
                else (folder,)
            )
            refused = run(*words, *where)
            assert refused.exit_code == 1, words
            assert "workers may be running, so nothing was" in refused.stderr
        assert "its waiting tasks will stop as soon as they start" in run("cancel", folder).stderr
    # A login node of another cluster that shares the disk answers, and never heard of the job.
    other = search.experiment.folder / "other.conf"
    with monkeypatch.context() as patch:
        wrapped("squeue", 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1', other, patch)
        wrapped("scontrol", '"$real" "$@" | sed "/^ClusterName/s/single/other/"', other, patch)
        assert f"job {job}: the queue does not answer" in (status := run("status", folder).stdout)
        assert "it was submitted on single, but this machine belongs to other" in status
    assert slurm.jobs() == [job]
    assert run("resume", folder).stdout.startswith("enough workers are running or queued")
    more = json.loads(run("extend", 1, folder, "--json").stdout)
    assert more == {"folder": str(folder), "notes": [], "job": None}
    assert run("clean", folder).exit_code == 2, "tasks wait that need the checkpoints"
    subprocess.run(["scancel", job], check=True)
    assert "no worker is running: vidcls sweep resume" in run("status", folder).stdout
    assert run("clean", folder, "--all", "--yes").exit_code == 0


def test_checkpoints_must_fit_on_the_disk(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = ("launch", search.file(run_cap=2), "--keep", 999, "--dry-run")
    free = {"bytes": 100_000_000}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free["bytes"]))
    assert run(*launch).exit_code == 0  # at most two runs there are, whatever --keep allows
    free["bytes"] = 1000
    refused = run(*launch)
    assert (refused.exit_code, "the best 2 runs take about" in refused.stderr) == (1, True), refused.stderr
