"""Workers of a sweep: record, heartbeat and exit of each worker, and whether it is alive.

    workers/<id>.json       record of the worker; written before anything else
    workers/<id>.beat.json  heartbeat, replaced every BEAT_S seconds, with the seconds spent
    workers/<id>.gone.json  written when the worker exits; it holds no lease any more

A worker is dead once its heartbeat has not changed for the length of a lease on the observer's own monotonic
clock. The clocks of two machines are never compared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from vidcls.json_files import DamagedError
from vidcls.locking.heartbeat import beating
from vidcls.locking.holder import Holder
from vidcls.locking.lock import BEAT_S, LEASE_S
from vidcls.sweep.storage.storage import Storage

_FOLDER = "workers"


@dataclass(frozen=True)
class Report:
    """Latest report of a worker about itself.

    Attributes:
        id: Id of the worker.
        host: Name of its machine.
        pid: Process id on that machine.
        job: Task in the batch queue; None outside of a queue.
        num_gpus: Number of GPUs that it uses exclusively.
        seconds: Seconds since its start, at its last heartbeat.
        state: State as reported by the worker.
        trials: Finished epochs of each trial that it trains, by trial number.
        gone: Reason of its exit; None if it has not exited.
    """

    id: str
    host: str
    pid: int
    job: str | None
    num_gpus: int
    seconds: float
    state: str
    trials: Mapping[int, int]
    gone: str | None


@dataclass(frozen=True)
class Totals:
    """Time spent by all workers together; a dead worker counts up to its last heartbeat.

    Attributes:
        worker_s: Worker seconds.
        gpu_s: GPU seconds.
    """

    worker_s: float
    gpu_s: float


class Worker:
    """Registers this process as a worker.

    Attributes:
        id: Unique id of the worker; it is never used again.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        num_gpus: int,
        job: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write the record and the first heartbeat.

        Args:
            storage: Storage of the sweep.
            num_gpus: Number of GPUs that this worker uses exclusively.
            job: Task in the batch queue, with the array index; None detects it for plain jobs.
            clock: Clock, in seconds, that measures the time since the start.
        """
        holder = Holder.me()
        self.id = f"{holder.host}-{holder.pid}-{holder.token[:8]}"
        self._storage = storage
        self._clock = clock
        self._begun = clock()
        self._told: dict[str, Any] = {"state": "starting", "trials": {}}
        self._beats = 0
        self._turn = threading.Lock()
        record = {**asdict(holder), "job": job or holder.job, "num_gpus": num_gpus}
        storage.create(_record(self.id), record)
        self.beat()

    def tell(self, state: str, trials: Mapping[int, int]) -> None:
        """Set the content of the next heartbeat: the state, and the finished epochs of each trial."""
        self._told = {"state": state, "trials": {str(number): epoch for number, epoch in trials.items()}}

    def beat(self) -> None:
        """Write a heartbeat now."""
        with self._turn:
            self._beats += 1
            seconds = self._clock() - self._begun
            self._storage.replace(_beat(self.id), {"beats": self._beats, "seconds": seconds, **self._told})

    def beating(self, every_s: float = BEAT_S) -> AbstractContextManager[None]:
        """Write heartbeats from a thread for the length of a `with` block."""
        return beating(self.beat, every_s=every_s, name="vidcls-beat")

    def leave(self, reason: str) -> None:
        """Record the exit of this worker; it must have ended all its leases before."""
        content = {**self._told, "reason": reason, "seconds": self._clock() - self._begun}
        self._storage.create(_gone(self.id), content)


class LivenessMonitor:
    """Decides for one observer which workers are dead."""

    def __init__(
        self, storage: Storage, *, lease_s: float = LEASE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start to monitor.

        Args:
            storage: Storage of the sweep.
            lease_s: Seconds without a heartbeat after which a worker is dead; longer than the heartbeat
                interval and than the time for which a network disk may show an old file.
            clock: Monotonic clock, in seconds.
        """
        self._storage = storage
        self.lease_s = lease_s
        self._clock = clock
        self._gone: set[str] = set()
        self._holders: dict[str, Holder] = {}
        self._seen: dict[str, tuple[object, float]] = {}

    def is_dead(self, worker: str) -> bool:
        """Whether a worker has exited, its process on this machine has ended, or its heartbeat stopped.

        For a worker on another machine, the first call starts the waiting time of one lease.
        """
        if worker in self._gone or self._has_left(worker):
            self._gone.add(worker)
            return True
        holder = self._holder(worker)
        if holder is not None and holder.here_and_dead():
            return True
        # The age uses the time before the heartbeat is read, a new heartbeat gets the time after the read:
        # an observer that is suspended in between does not count its own suspension as the worker's.
        now = self._clock()
        beat = _intact(self._storage, _beat(worker))
        if worker not in self._seen or self._seen[worker][0] != beat:
            self._seen[worker] = beat, self._clock()
            return False
        return now - self._seen[worker][1] > self.lease_s

    def _has_left(self, worker: str) -> bool:
        try:
            return self._storage.read(_gone(worker)) is not None
        except DamagedError:  # the file exists
            return True

    def _holder(self, worker: str) -> Holder | None:
        """Process of a worker; None as long as its record cannot be read."""
        if worker not in self._holders and (record := _intact(self._storage, _record(worker))) is not None:
            self._holders[worker] = Holder(**{name: record[name] for name in Holder.__dataclass_fields__})
        return self._holders.get(worker)


class Workers:
    """All workers of a sweep, past and present.

    Attributes:
        damaged: Errors of worker files that cannot be read, by file.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._records: dict[str, Mapping[str, Any]] = {}
        self._beats: dict[str, Mapping[str, Any]] = {}
        self._gone: dict[str, Mapping[str, Any]] = {}
        self.damaged: dict[str, DamagedError] = {}

    def refresh(self) -> list[Report]:
        """Latest report of each worker, ordered by id; a worker once seen stays, whatever a listing shows."""
        for name in self._storage.names(_FOLDER):
            worker = name.removesuffix(".json")
            if worker.endswith((".beat", ".gone")) or worker in self._records:
                continue
            record = _intact(self._storage, _record(worker), damaged=self.damaged)
            if record is not None:
                self._records[worker] = record
        for worker in self._records.keys() - self._gone.keys():
            self._read_life(worker)
        return [self._report(worker) for worker in sorted(self._records)]

    def epoch_of(self, worker: str, trial: int) -> int | None:
        """Finished epochs of a trial at the last heartbeat of a worker; None if not reported."""
        beat = _intact(self._storage, _beat(worker))
        epoch = beat["trials"].get(str(trial)) if beat else None
        return epoch if isinstance(epoch, int) else None

    def totals(self) -> Totals:
        """Time spent until now; it never decreases between calls."""
        reports = self.refresh()
        return Totals(
            worker_s=sum(report.seconds for report in reports),
            gpu_s=sum(report.seconds * report.num_gpus for report in reports),
        )

    def _read_life(self, worker: str) -> None:
        gone = _intact(self._storage, _gone(worker), damaged=self.damaged)
        if gone is not None:
            self._gone[worker] = gone
            return
        beat = _intact(self._storage, _beat(worker), damaged=self.damaged)
        if beat is not None and beat["seconds"] >= self._beats.get(worker, beat)["seconds"]:
            self._beats[worker] = beat

    def _report(self, worker: str) -> Report:
        record = self._records[worker]
        gone = self._gone.get(worker)
        told = gone or self._beats.get(worker, {})
        return Report(
            id=worker,
            host=record["host"],
            pid=record["pid"],
            job=record["job"],
            num_gpus=record["num_gpus"],
            seconds=told.get("seconds", 0.0),
            state="gone" if gone else told.get("state", "starting"),
            trials={} if gone else {int(n): epoch for n, epoch in told.get("trials", {}).items()},
            gone=gone["reason"] if gone else None,
        )


def _record(worker: str) -> str:
    return f"{_FOLDER}/{worker}.json"


def _beat(worker: str) -> str:
    return f"{_FOLDER}/{worker}.beat.json"


def _gone(worker: str) -> str:
    return f"{_FOLDER}/{worker}.gone.json"


def _intact(
    storage: Storage, name: str, *, damaged: dict[str, DamagedError] | None = None
) -> dict[str, Any] | None:
    """Read a file of a worker; None also if it is damaged, which is recorded but stops no other worker."""
    try:
        content = storage.read(name)
    except DamagedError as error:
        if damaged is not None:
            damaged[name] = error
        return None
    if damaged is not None:
        damaged.pop(name, None)
    return content
