"""This machine as a queue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.conftest import PROGRAM, Desk
from tests.support.waiting import wait_for
from vidcls.errors import UserError, VidclsError
from vidcls.launch.local import LocalProfile, LocalQueue

_SUBMIT = """
import sys
from pathlib import Path
from vidcls.launch.job import Job
from vidcls.launch.local import LocalQueue
from vidcls.launch.local import LocalProfile

folder = Path(sys.argv[1])
job = Job("x", (sys.executable, "-c", sys.argv[2]), folder, folder / "logs", 2)
print(LocalQueue(LocalProfile()).submit(job))
"""


def test_tasks_survive_the_process_that_started_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SUBMIT, str(tmp_path), PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        job_id = shell.communicate()[0].strip()
    queue = LocalQueue(LocalProfile())
    wait_for(lambda: len(list(tmp_path.glob("*.started"))) == 2, what="two tasks")
    assert [(task.index, task.state) for task in queue.tasks([job_id])] == [(0, "running"), (1, "running")]
    queue.warn([job_id])
    wait_for(lambda: queue.tasks([job_id]) == [], what="the job to end")
    assert len(list(tmp_path.glob("*.saved"))) == 2


@pytest.mark.parametrize(
    ("num_tasks", "shares"), [(2, ["3,7", "5"]), (4, ["3", "5", "7", "3"]), (None, ["3,5,7"])]
)
def test_tasks_share_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_tasks: int | None, shares: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    desk = Desk("local", tmp_path, LocalProfile)
    queue = desk.queue()
    job = desk.job(num_tasks, "import os; print('gpus', os.environ['CUDA_VISIBLE_DEVICES'])")
    job_id = queue.submit(job)
    wait_for(lambda: queue.tasks([job_id]) == [], what="the job to end")
    logs = [queue.log_file(job.log_dir, name) for name in queue.task_names(job_id, num_tasks)]
    assert [log.read_text() for log in logs] == [f"gpus {share}\n" for share in shares]


def test_another_host_cannot_be_reached() -> None:
    queue = LocalQueue(LocalProfile())
    (task,) = queue.tasks(["far-away:12@34"])
    assert (task.name, task.reason) == ("far-away_12", "on far-away, which cannot be reached from here")
    for ask in (queue.warn, queue.cancel):
        with pytest.raises(VidclsError, match="far-away cannot be reached from here"):
            ask(["far-away:12@34"])
    with pytest.raises(UserError, match="not a job of a machine without a queue"):
        queue.tasks(["123"])


def test_a_number_that_another_process_got_is_not_the_task(tmp_path: Path) -> None:
    desk = Desk("local", tmp_path, LocalProfile)
    queue = desk.queue()
    job_id = queue.submit(desk.job(None))
    host, _, process = job_id.partition(":")
    pid, _, start = process.partition("@")
    assert queue.tasks([f"{host}:{pid}@{int(start) - 1}"]) == []
    queue.cancel([f"{host}:{pid}@{int(start) - 1}"])
    assert len(queue.tasks([job_id])) == 1
    queue.cancel([job_id])
    wait_for(lambda: queue.tasks([job_id]) == [], what="the job to end")
