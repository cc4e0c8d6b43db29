"""What every queue must do: a real SLURM, a stand-in LSF, and this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.launch.conftest import KINDS, Desk
from tests.support.lsf.fixture import Lsf
from tests.support.slurm import Slurm
from tests.support.waiting import wait_for
from vidcls.batch_systems import BATCH_SYSTEMS
from vidcls.errors import UserError, VidclsError
from vidcls.launch.queue import QUEUE_KINDS, AnyProfile, open_queue

_DUMP = (
    "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], open(sys.argv[1], 'w'))"
)


def test_no_queue_is_left_out() -> None:
    sections = [section.model_fields["queue"] for section in get_args(AnyProfile)]
    assert sorted(KINDS) == sorted(get_args(field.annotation)[0] for field in sections)
    assert set(BATCH_SYSTEMS) == set(KINDS) - {"local"}
    assert set(KINDS) == set(QUEUE_KINDS)


def test_tasks_run_are_listed_warned_and_gone(desk: Desk) -> None:
    queue, job = desk.queue(), desk.job(3)
    job_id = queue.submit(job)
    names = queue.task_names(job_id, 3)
    wait_for(lambda: desk.marks("started") == set(names), what="what the tasks say of themselves")
    tasks = queue.tasks([job_id])
    assert [(task.job, task.index, task.name, task.state) for task in tasks] == [
        (job_id, index, name, "running") for index, name in enumerate(names)
    ]
    assert all(task.host for task in tasks)
    queue.warn([job_id])
    wait_for(lambda: desk.marks("saved") == set(names), what="what the tasks say of themselves")
    # SLURM and LSF queue them again; then they end by themselves.
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    assert desk.marks("finished") == (set() if desk.kind == "local" else set(names))
    num_starts = 1 if desk.kind == "local" else 2
    for name in names:
        assert queue.log_file(job.log_dir, name).read_text().count(f"hello from {name}\n") == num_starts


def test_cancelled_tasks_are_told_and_do_not_come_back(desk: Desk) -> None:
    settings = {} if desk.kind == "local" else {"throttle": 1}
    queue = desk.queue(**settings)
    job_id = queue.submit(desk.job(2))
    at_once = 2 if desk.kind == "local" else 1
    wait_for(lambda: len(desk.marks("started")) == at_once, what="what the tasks say of themselves")
    states = sorted(task.state for task in queue.tasks([job_id]))
    assert states == (["running", "running"] if desk.kind == "local" else ["pending", "running"])
    queue.cancel([job_id])
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    assert len(desk.marks("ended") | desk.marks("interrupted")) == at_once
    assert len(desk.marks("started")) == at_once
    queue.cancel([job_id])
    queue.warn([job_id])


def test_a_plain_job_gets_its_words_and_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    folder = desk.folder / 'it\'s a "$(touch no)" folder'
    folder.mkdir()
    words = ("-n", "a b", "$HOME", "`touch no`", "line\nline", "'", '"', "*", "", "%j", "#", "é")
    env = {"VALUE": 'it\'s\n$(touch no) `x` \\ "%"', "CUDA_LAUNCH_BLOCKING": "1"}
    job = desk.job(None, _DUMP, str(desk.folder / "said.json"), *words)
    queue = desk.queue()
    job_id = queue.submit(replace(job, folder=folder, env=env))
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    arguments, environment, place = json.loads((desk.folder / "said.json").read_text())
    assert tuple(arguments[1:]) == words
    assert {name: environment[name] for name in env} == env
    assert Path(place) == folder
    assert [environment["VIDCLS_JOB"]] == queue.task_names(job_id, None)
    assert int(environment["VIDCLS_JOB_START"]) > 0
    assert environment.get("VIDCLS_JOB_TIME_S") == {"slurm": "600", "lsf": "36000", "local": None}[desk.kind]
    assert list(folder.iterdir()) == []


def test_jobs_that_are_gone_or_unknown_are_not_listed(desk: Desk) -> None:
    queue = desk.queue()
    unknown = {"slurm": "4000000", "lsf": "4000", "local": "elsewhere:12@34"}[desk.kind]
    job_id = queue.submit(desk.job(None, "pass"))
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    listed = queue.tasks([unknown, job_id])
    assert [(task.state, task.host) for task in listed] == (
        [("running", "elsewhere")] if desk.kind == "local" else []
    )
    assert queue.tasks([]) == []


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
def test_a_refusal_is_told_in_the_words_of_the_queue(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    stand: Slurm | Lsf = request.getfixturevalue(kind)
    key = "partition" if kind == "slurm" else "queue_name"
    desk = Desk(kind, tmp_path, stand.profile)
    words = {
        "slurm": "sbatch refused the job: .*invalid partition",
        "lsf": "bsub refused the job: .*No such queue",
    }
    with pytest.raises(VidclsError, match=words[kind]) as caught:
        desk.queue(**{key: "nowhere"}).submit(desk.job(2))
    assert "--dry-run shows the script" in str(caught.value)


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
def test_the_key_is_written_nowhere(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    key = "5ec4e7" * 6
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("OTHER", marker := "0the4" * 6)
    stand: Slurm | Lsf = request.getfixturevalue(kind)
    desk = Desk(kind, tmp_path, stand.profile)
    queue = desk.queue()
    job_id = queue.submit(desk.job(None))
    wait_for(lambda: desk.marks("started") != set(), what="what the tasks say of themselves")
    written = b"".join(path.read_bytes() for path in stand.state.rglob("*") if path.is_file())
    assert marker.encode() in written  # the environment is stored, so this test sees what it looks for
    assert key.encode() not in written
    queue.cancel([job_id])
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")


@pytest.mark.parametrize("place", ["the command", "the environment", "setup"])
def test_a_script_that_holds_a_key_is_not_handed_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Under whatever name it came there."""
    monkeypatch.setenv("HF_TOKEN", key := "hf_" + "5ec4e7" * 5)
    job = desk.job(None, "pass", *([key] if place == "the command" else []))
    job = replace(job, env={"OTHER": key} if place == "the environment" else {})
    queue = desk.queue(**({"setup": (f"login_with {key}",)} if place == "setup" else {}))
    with pytest.raises(UserError, match="the value of HF_TOKEN would be written") as caught:
        queue.submit(job)
    assert key not in str(caught.value)
    assert not list(desk.folder.rglob("*.sh"))


def test_slurm_says_how_large_an_array_may_be(slurm: Slurm, tmp_path: Path) -> None:
    queue = open_queue(slurm.profile())
    largest = queue.largest_array()
    assert largest == 1001
    job = Desk("slurm", tmp_path, slurm.profile).job(largest, "pass")
    queue.cancel([queue.submit(job)])
    with pytest.raises(VidclsError, match="Invalid job array specification"):
        queue.submit(replace(job, num_tasks=largest + 1))


def test_slurm_hands_out_gpus(slurm: Slurm, tmp_path: Path) -> None:
    desk = Desk("slurm", tmp_path, slurm.profile)
    queue = desk.queue(gpus={"count": 2})
    job_id = queue.submit(desk.job(None, _DUMP, str(tmp_path / "said.json")))
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    assert json.loads((tmp_path / "said.json").read_text())[1]["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.slow
def test_slurm_warns_ahead_of_the_limit_and_queues_again(slurm: Slurm, tmp_path: Path) -> None:
    """Minutes, because SLURM looks at its limits twice a minute."""
    desk = Desk("slurm", tmp_path, slurm.profile)
    queue = desk.queue(time="2", warn_s=60)
    job_id = queue.submit(desk.job(None))
    wait_for(lambda: desk.marks("finished") == {job_id}, what="what the tasks say of themselves")
    assert desk.marks("saved") == {job_id}


def test_lsf_warns_ahead_of_the_limit_and_queues_again(lsf: Lsf, tmp_path: Path) -> None:
    desk = Desk("lsf", tmp_path, lsf.profile)
    queue = desk.queue(time="600", warn_s=60)
    job_id = queue.submit(desk.job(None))
    wait_for(lambda: desk.marks("started") == {job_id}, what="a start")
    lsf.let_time_pass()
    wait_for(lambda: desk.marks("finished") == {job_id}, what="what the tasks say of themselves")
    assert desk.marks("saved") == {job_id}


def test_lsf_counts_memory_per_core(lsf: Lsf, tmp_path: Path) -> None:
    greedy = "block = bytearray(150 * 2**20); open('fits', 'w').close()"
    desk = Desk("lsf", tmp_path, lsf.profile)
    queue = desk.queue(cpus=3, memory="400MB")
    job_id = queue.submit(desk.job(None, greedy))
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")
    assert (tmp_path / "fits").exists()
    hungry = "block = bytearray(600 * 2**20); import signal; signal.pause()"
    job_id = queue.submit(desk.job(None, hungry))
    wait_for(lambda: queue.tasks([job_id]) == [], what="the tasks to be gone")


def test_a_rehearsal_says_whether_a_job_would_be_taken_and_queues_nothing(desk: Desk) -> None:
    queue, job = desk.queue(), desk.job(2)
    said = queue.rehearse(job)
    assert {"slurm": "to start at", "lsf": "c02516 is Open", "local": "this machine"}[desk.kind] in said
    assert not job.log_dir.exists()
    if desk.kind == "local":
        return
    wrong = {"slurm": {"partition": "nowhere"}, "lsf": {"queue_name": "nowhere"}}[desk.kind]
    with pytest.raises(VidclsError, match=r"(?i)nowhere|partition"):
        desk.queue(**wrong).rehearse(job)


def test_a_rehearsal_finds_what_the_queue_cannot_give(slurm: Slurm, lsf: Lsf, tmp_path: Path) -> None:
    job = Desk("slurm", tmp_path, slurm.profile).job(None)
    with pytest.raises(VidclsError, match="would refuse the job"):
        open_queue(slurm.profile(memory="900000GB")).rehearse(job)
    (lsf.state / "c02516.closed").touch()
    with pytest.raises(VidclsError, match="takes no jobs"):
        open_queue(lsf.profile()).rehearse(job)
