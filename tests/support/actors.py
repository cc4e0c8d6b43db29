"""Workers of a sweep that stop before every file operation, so that a test can interleave them.

Each is a thread with a program like the real worker's, on a disk of its own machine; one goes on at a time, and
the test says how late the disk is for it and whether the operation is its last.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

from tests.support.storage import Grant, KilledError, NetworkStorage, Server
from tests.support.waiting import PATIENCE_S
from vidcls.sweep.storage.trials import FINAL, Lease, Trial, Trials
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Worker

EPOCHS = 3
NEXT_RUNG = {1: 2, 2: None}
MAX_STRIKES = 2
MAX_TRIALS = 6
BEAT_S, LEASE_S = 15.0, 90.0


def value_of(number: int, epoch: int) -> float:
    """What training this trial to this epoch gives, undisturbed."""
    return number + epoch / 10


class World:
    """What is outside the workers: the server, checkpoints, and what workers believe they did."""

    def __init__(self) -> None:
        self.server = Server()
        self.truth = Trials(NetworkStorage(self.server), max_strikes=MAX_STRIKES)
        self.actors: list[Actor] = []
        self.checkpoints: Counter[int] = Counter()
        self.published: Counter[int] = Counter()
        self.added: dict[int, str] = {}

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever lives and is not suspended gives its signs of life meanwhile."""
        end = self.server.now_s + seconds
        while (beat := (self.server.now_s // BEAT_S + 1) * BEAT_S) <= end:
            self.server.now_s = beat
            for actor in self.actors:
                if actor.alive and not actor.suspended:
                    actor.worker.beat()
        self.server.now_s = end


class Actor(threading.Thread):
    """A worker, with a program like the real one's."""

    def __init__(self, world: World, *, seed: int, calm: bool = False) -> None:
        super().__init__(daemon=True)
        self.world, self.calm = world, calm
        self.random = random.Random(seed)
        self.troubles = ["no"] * 10
        if not calm:
            self.troubles += ["crashed", "crashed", "released", "refused"] * self.random.choice([0, 1, 5])
        origin = self.random.uniform(-1e6, 1e6)
        self.worker = Worker(NetworkStorage(world.server), num_gpus=1, clock=self._clock(origin))
        storage = NetworkStorage(world.server, self._gate)
        self.trials = Trials(storage, max_strikes=MAX_STRIKES)
        self.liveness = LivenessMonitor(storage, lease_s=LEASE_S, clock=self._clock(origin))
        self.alive, self.suspended, self.silenced, self.leaving = True, False, False, False
        self.error: BaseException | None = None
        self.grant = Grant()
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.start()
        assert self._stopped.acquire(timeout=PATIENCE_S)

    def step(self, grant: Grant) -> None:
        """Let it do one file operation, and go on to just before the next."""
        self.grant = grant
        self._go.release()
        assert self._stopped.acquire(timeout=PATIENCE_S)
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        if self.alive:
            self.step(Grant("killed before"))

    def run(self) -> None:
        try:
            self._gate()
            while not self.leaving:
                try:
                    self._take_and_train()
                except OSError:
                    continue
            self.worker.leave("enough")
        except KilledError:
            pass
        except BaseException as error:  # shown in the test's own thread
            self.error = error
        self.alive = False
        self._stopped.release()

    def _clock(self, origin: float) -> Any:
        return lambda: self.world.server.now_s + origin

    def _gate(self) -> Grant:
        self._stopped.release()
        self._go.acquire()
        if self.grant.fate == "killed before":
            raise KilledError
        return self.grant

    def _look_around(self) -> list[Trial]:
        trials = self.trials.refresh()
        check_view(trials, self.world.truth.refresh())
        for trial in trials:
            lease = trial.lease
            if lease and lease.worker != self.worker.id and self.liveness.is_dead(lease.worker):
                self.trials.expire(trial, by=self.worker.id, epoch=self.world.checkpoints[trial.number])
        return trials

    def _take_and_train(self) -> None:
        trials = self._look_around()
        for trial in self.random.sample(trials, len(trials)):
            if lease := self._claim(trial):
                self._train(lease)
                return
        if len(trials) < MAX_TRIALS and not self.calm:
            self._add(len(trials))
        self._gate()

    def _add(self, number: int) -> None:
        tag = f"{self.worker.id} {self.random.random()}"
        if self.trials.add(number, configuration=number, repeat=0, point={"tag": tag}, seed=number):
            assert number not in self.world.added
            self.world.added[number] = tag

    def _claim(self, trial: Trial) -> Lease | None:
        epoch = self.world.checkpoints[trial.number]
        if trial.lease is not None and trial.lease.worker == self.worker.id:
            until = trial.until_epoch
        elif trial.state == "waiting":
            until = trial.until_epoch if trial.token else 1
        elif trial.state == "paused" and (self.calm or self.random.random() < 0.5):
            assert trial.until_epoch is not None
            until = NEXT_RUNG[trial.until_epoch]
        else:
            return None
        return self.trials.claim(trial, worker=self.worker.id, until_epoch=until, epoch=epoch)

    def _train(self, lease: Lease) -> None:
        number, epoch = lease.number, self.world.checkpoints[lease.number]
        while epoch < (lease.until_epoch or EPOCHS):
            self._gate()
            trouble = self.random.choice(self.troubles)
            if trouble != "no":
                self._end(lease, trouble, epoch=epoch)
                return
            epoch += 1
            self.trials.rung(lease, epoch, value_of(number, epoch))
            self.world.checkpoints[number] = max(self.world.checkpoints[number], epoch)
            if self.random.random() < 0.3 and not self.trials.is_open(lease):
                return
            if self.random.random() < 0.5:
                self._look_around()
        kind = "finished" if lease.until_epoch is None else "paused"
        if kind == "paused" and not self.calm and self.random.random() < 0.2:
            kind = "stopped"
        self._end(lease, kind, epoch=epoch, value=value_of(number, epoch))

    def _end(self, lease: Lease, kind: Any, **content: Any) -> None:
        while True:
            try:
                counts = self.trials.end(lease, kind, **content)
                break
            except OSError:
                continue
        found = self.world.server.read(f"trials/{lease.number:05d}/end-{lease.token:03d}.json")
        assert found is not None
        assert counts == (found["by"] == self.worker.id and found["kind"] == kind)
        if counts and kind in FINAL:
            self.world.published[lease.number] += 1


def check_view(trials: list[Trial], truth: list[Trial]) -> None:
    """What a late machine believes is a beginning of the truth."""
    assert [trial.number for trial in trials] == list(range(len(trials)))
    for seen, true in zip(trials, truth, strict=False):
        assert seen.point == true.point
        assert seen.token <= true.token
        assert dict(seen.rungs) == {epoch: value_of(seen.number, epoch) for epoch in seen.rungs}
        if seen.token == true.token and seen.lease is None:
            assert true.lease is None
        if seen.state in FINAL:
            assert (seen.state, seen.value, seen.token) == (true.state, true.value, true.token)
