from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.storage import NetworkStorage, Server
from tests.support.waiting import PATIENCE_S
from vidcls.sweep.storage.storage import DiskStorage
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Totals, Worker, Workers


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def move(storage: DiskStorage, worker: str) -> None:
    """Make a worker's record that of another machine with the same name."""
    path = storage.root / f"workers/{worker}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "space": "another boot"}))


def _work_and_die(root: Path, ids: Any) -> None:
    ids.put(Worker(DiskStorage(root), num_gpus=2).id)


@pytest.fixture
def dead(tmp_path: Path) -> str:
    """Id of a worker whose process is gone."""
    context = multiprocessing.get_context("fork")
    ids = context.Queue()
    process = context.Process(target=_work_and_die, args=(tmp_path, ids))
    process.start()
    worker: str = ids.get(timeout=PATIENCE_S)
    process.join()
    return worker


def test_a_worker_is_dead_after_a_lease_without_a_beat(tmp_path: Path) -> None:
    storage, clock = DiskStorage(tmp_path), Clock(-1e6)
    worker = Worker(storage, num_gpus=0)
    liveness = LivenessMonitor(storage, lease_s=90.0, clock=clock)
    assert not liveness.is_dead(worker.id)
    clock.now_s += 89.0
    assert not liveness.is_dead(worker.id)
    worker.beat()
    clock.now_s += 89.0
    assert not liveness.is_dead(worker.id)
    clock.now_s += 89.0
    assert not liveness.is_dead(worker.id)
    clock.now_s += 2.0
    assert liveness.is_dead(worker.id)
    worker.beat()
    assert not liveness.is_dead(worker.id)


def test_a_worker_that_never_gave_a_sign_is_dead_after_a_lease(tmp_path: Path) -> None:
    clock = Clock()
    liveness = LivenessMonitor(DiskStorage(tmp_path), lease_s=90.0, clock=clock)
    assert not liveness.is_dead("killed before its record")
    clock.now_s += 91.0
    assert liveness.is_dead("killed before its record")


def test_a_goodbye_is_believed_at_once_and_for_ever(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    worker = Worker(storage, num_gpus=0)
    liveness = LivenessMonitor(storage)
    assert not liveness.is_dead(worker.id)
    worker.leave("no time left")
    assert liveness.is_dead(worker.id)
    worker.beat()
    assert liveness.is_dead(worker.id)


def test_a_process_gone_from_here_is_dead_at_once(tmp_path: Path, dead: str) -> None:
    assert LivenessMonitor(DiskStorage(tmp_path)).is_dead(dead)


def test_a_process_of_another_container_or_boot_gets_its_lease(tmp_path: Path, dead: str) -> None:
    storage, clock = DiskStorage(tmp_path), Clock()
    move(storage, dead)
    liveness = LivenessMonitor(storage, lease_s=90.0, clock=clock)
    assert not liveness.is_dead(dead)
    clock.now_s = 91.0
    assert liveness.is_dead(dead)


class SleepyStorage(NetworkStorage):
    """Its machine is suspended right before, or right after, it reads a beat."""

    def __init__(self, server: Server, clock: Clock) -> None:
        super().__init__(server)
        self.clock, self.before_s, self.after_s = clock, 0.0, 0.0

    def read(self, name: str) -> dict[str, Any] | None:
        is_beat = name.endswith(".beat.json")
        self.clock.now_s += self.before_s * is_beat
        content = super().read(name)
        self.clock.now_s += self.after_s * is_beat
        return content


def test_an_observer_that_slept_before_its_first_look_knows_nothing_yet() -> None:
    server, clock = Server(), Clock()
    worker = Worker(NetworkStorage(server), num_gpus=0)
    storage = SleepyStorage(server, clock)
    liveness = LivenessMonitor(storage, lease_s=90.0, clock=clock)
    storage.before_s = 1000.0
    assert not liveness.is_dead(worker.id)
    storage.before_s = 0.0
    clock.now_s += 1.0
    assert not liveness.is_dead(worker.id)


def test_an_observer_that_slept_after_a_look_takes_it_for_old() -> None:
    server, clock = Server(), Clock()
    worker = Worker(NetworkStorage(server), num_gpus=0)
    storage = SleepyStorage(server, clock)
    liveness = LivenessMonitor(storage, lease_s=90.0, clock=clock)
    assert not liveness.is_dead(worker.id)
    clock.now_s += 1.0
    storage.after_s = 1000.0
    assert not liveness.is_dead(worker.id)


def test_beats_come_by_themselves_and_survive_a_disk_that_is_away(tmp_path: Path) -> None:
    class Flaky(DiskStorage):
        tries = 0
        reached = threading.Event()

        def replace(self, name: str, content: Any) -> None:
            self.tries += 1
            if self.tries in (3, 4):
                raise OSError("away")
            super().replace(name, content)
            if self.tries > 5:
                self.reached.set()

    storage = Flaky(tmp_path)
    worker = Worker(storage, num_gpus=0)
    worker.tell("training", {3: 1, 5: 0})
    with worker.beating(every_s=0.01):
        assert storage.reached.wait(timeout=PATIENCE_S)
    tries = storage.tries
    (report,) = Workers(storage).refresh()
    assert (report.state, report.trials, report.gone) == ("training", {3: 1, 5: 0}, None)
    assert Workers(storage).epoch_of(worker.id, 3) == 1
    assert Workers(storage).epoch_of(worker.id, 4) is None
    assert storage.tries == tries


def test_what_was_spent_counts_the_dead_up_to_their_last_beat(tmp_path: Path, dead: str) -> None:
    storage, clock = DiskStorage(tmp_path), Clock(1000.0)
    first, second = (Worker(storage, num_gpus=num_gpus, clock=clock) for num_gpus in (1, 4))
    clock.now_s += 60.0
    first.beat()
    second.beat()
    clock.now_s += 40.0  # the first dies here, unseen; the second says goodbye
    second.leave("time is up")
    workers = Workers(storage)
    totals = workers.totals()
    born_dead = next(report.seconds for report in workers.refresh() if report.id == dead)
    assert born_dead < 60.0
    assert totals == Totals(160.0 + born_dead, 460.0 + 2 * born_dead)
    assert Workers(storage).totals() == totals
    gone = {report.id: report.gone for report in workers.refresh()}
    assert gone == {first.id: None, second.id: "time is up", dead: None}


def test_totals_never_shrink_on_a_late_disk() -> None:
    server, clock = Server(), Clock()
    Worker(NetworkStorage(server), num_gpus=1, clock=clock)

    class Forgetful(NetworkStorage):
        late = False

        def names(self, folder: str) -> list[str]:
            return [] if self.late else super().names(folder)

    storage = Forgetful(server)
    workers = Workers(storage)
    before = workers.totals()
    storage.late = True
    assert workers.totals() == before


def test_a_worker_knows_its_place_in_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    storage = DiskStorage(tmp_path)
    plain, member = Worker(storage, num_gpus=0), Worker(storage, num_gpus=0, job="77_4")
    jobs = {report.id: report.job for report in Workers(storage).refresh()}
    assert jobs == {plain.id: "123", member.id: "77_4"}
