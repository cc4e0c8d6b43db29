"""Trials on disk: each has an append-only log of files that are written once.

    trials/<number:05d>/
        trial.json             point, seed and numbers of the trial
        lease-<n:03d>.json     a worker took the trial; n = 1, 2, ... is the fencing token
        end-<n:03d>.json       lease n ended, exactly once: by its worker, or as `expired` by another worker
        retry-<n:03d>.json     the user asked for a retry after failed lease n
        rung-<epoch:04d>.json  the value after an epoch at which early stopping decides

Files of a trial are written in a fixed order, so a reader asks for the next name and always holds the
beginning of the log. A late reader holds a shorter part, and the name that it would write next is already
taken. A worker that was suspended until another worker took its trial finds its `end` file taken, and so
knows that it is too late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from vidcls.json_files import DamagedError
from vidcls.sweep.storage.storage import Storage
from vidcls.sweep.storage.trial_log import FINAL, End, Lease, Log, Trial, TrialState

__all__ = ["FINAL", "End", "Lease", "Trial", "TrialState", "Trials"]

_RUNG = re.compile(r"rung-(\d+)\.json")
_KINDS = get_args(End)
_OURS = {"kind", "by", "rungs"}


class Trials:
    """Trials of one sweep; an object serves one process, which calls it from one thread.

    After an OSError from any method it is unknown whether the operation took effect, and the call may be
    repeated: `end` recognises its own earlier attempt, and a successful claim appears as a trial that runs
    under this worker's id.
    """

    def __init__(self, storage: Storage, *, max_strikes: int) -> None:
        self._storage = storage
        self._max_strikes = max_strikes
        self._logs: list[Log] = []
        self._views: list[Trial] = []
        self._shown: list[tuple[object, ...]] = []
        self._active: list[int] = []

    def refresh(self) -> list[Trial]:
        """Read all trials, ordered by number, without gaps.

        Final trials are not read again; each other trial costs one check for its next file.
        """
        while (log := self._begin(len(self._logs))) is not None:
            self._active.append(len(self._logs))
            self._logs.append(log)
            self._views.append(log.view(self._max_strikes))
            self._shown.append(log.size)
        self._active = [number for number in self._active if self._look(number)]
        return list(self._views)

    def add(
        self, number: int, *, configuration: int, repeat: int, point: Mapping[str, Any], seed: int
    ) -> bool:
        """Create trial `number`; False if another process has created it.

        Raises:
            ValueError: If the trial before it has not been seen: numbers have no gaps.
        """
        if number > len(self._logs):
            raise ValueError(f"trial {number} before trial {len(self._logs)}")
        if number < len(self._logs):
            return False
        head = {
            "number": number,
            "configuration": configuration,
            "repeat": repeat,
            "point": dict(point),
            "seed": seed,
        }
        # A folder left without this file by a crash does no harm: a trial exists once it has this file.
        return self._storage.create(f"{_folder(number)}/trial.json", head)

    def claim(
        self, trial: Trial, *, worker: str, until_epoch: int | None = None, epoch: int | None = None
    ) -> Lease | None:
        """Take a lease of a trial that waits or is paused; None if another worker was first.

        If the trial already runs under this worker's id, its lease is returned: an earlier claim took effect
        although the disk reported an error.

        Args:
            trial: Trial from `refresh`.
            worker: Id of the worker that takes it.
            until_epoch: Epoch at which to pause it; None trains it to its end.
            epoch: Epochs in its checkpoint, if the worker knows; None takes the reported epochs.

        Raises:
            ValueError: If the trial is neither waiting nor paused.
        """
        log = self._logs[trial.number]
        if log.damage is not None:
            return None
        if log.open is not None and log.open.worker == worker:
            return log.open
        if trial.token != log.token or log.open is not None:
            return None
        if trial.state not in ("waiting", "paused"):
            raise ValueError(f"trial {trial.number} is {trial.state}")
        epoch = log.epoch if epoch is None else epoch
        lease = Lease(trial.number, log.token + 1, worker, epoch, until_epoch)
        content = {"worker": worker, "epoch": epoch, "until_epoch": until_epoch}
        if not self._storage.create(_name("lease", lease), content):
            return None
        log.leases.append(lease)
        self._show(log)
        return lease

    def end(self, lease: Lease, kind: End, *, epoch: int | None = None, **content: Any) -> bool:
        """End a lease and publish the result; False if another worker had already ended it.

        Args:
            lease: Lease of this worker.
            kind: How the lease ended.
            epoch: Finished epochs; None takes the reported epochs.
            content: Further content: `value` is that of the trial, `message` the reason of a failure.

        Raises:
            ValueError: For a content key or a kind that is reserved for this log.
        """
        if kind not in _KINDS or kind == "expired" or _OURS & set(content):
            raise ValueError(f"not an end of a holder: {kind} {sorted(content)}")
        return self._end(lease, {**content, "kind": kind, "by": lease.worker}, epoch)

    def expire(self, trial: Trial, *, by: str, epoch: int | None = None) -> bool:
        """End the lease of a worker that is dead (`LivenessMonitor.is_dead`); False if it had already ended.

        Args:
            trial: Running trial.
            by: Id of the worker that found the other one dead.
            epoch: Epochs in its checkpoint, if known, since a death after progress is not a strike.

        Raises:
            ValueError: If the trial is not running.
        """
        if trial.lease is None:
            raise ValueError(f"trial {trial.number} is {trial.state}")
        return self._end(trial.lease, {"kind": "expired", "by": by}, epoch)

    def is_open(self, lease: Lease) -> bool:
        """Whether a lease is still open; a worker checks regularly that no other one has ended its lease."""
        log = self._logs[lease.number]
        return len(log.ends) < lease.token and not self._is_there(_name("end", lease))

    def rung(self, lease: Lease, epoch: int, value: float) -> None:
        """Publish a trial's value after an epoch; if an epoch is repeated, the first value stays.

        A worker that has lost its lease publishes nothing: another worker may train the trial by now.
        """
        log = self._logs[lease.number]
        if epoch in log.rungs or not self.is_open(lease):
            return
        name = f"{_folder(lease.number)}/rung-{epoch:04d}.json"
        content = {"value": value}
        found = content if self._storage.create(name, content) else self._read(log, name)
        if found is not None:
            log.rungs[epoch] = found["value"]
            self._show(log)

    def retry(self, trial: Trial) -> bool:
        """Allow a failed trial to be trained again, with strikes reset; False if this was already requested.

        Raises:
            ValueError: If the trial has not failed.
            DamagedError: If the files of the trial are damaged.
        """
        if trial.state != "failed":
            raise ValueError(f"trial {trial.number} is {trial.state}")
        if trial.damage is not None:
            raise DamagedError(trial.damage)
        return self._storage.create(f"{_folder(trial.number)}/retry-{trial.token:03d}.json", {})

    def _end(self, lease: Lease, content: Mapping[str, Any], epoch: int | None) -> bool:
        log = self._logs[lease.number]
        self._read_rungs(log)
        content = {
            **content,
            "epoch": max(log.epoch, epoch or 0),
            "rungs": {str(rung): value for rung, value in log.rungs.items()},
        }
        name = _name("end", lease)
        found = content if self._storage.create(name, content) else self._read(log, name)
        if found is not None and log.open == lease:
            log.add_end(found)
            self._show(log)
        # An earlier attempt of this worker that took effect despite a disk error counts as done.
        return found is not None and all(found[key] == content[key] for key in ("kind", "by"))

    def _look(self, number: int) -> bool:
        """Read the next files of a trial's log; False if the trial is final and no file can follow."""
        log = self._logs[number]
        log.damage = None
        try:
            if not log.head["point"] and (begun := self._begin(number)) is not None:
                log.head, log.damage = begun.head, begun.damage
            while log.damage is None and self._read_next(log):
                pass
        except DamagedError as error:
            log.damage = str(error)
        self._show(log)
        return self._views[number].state not in FINAL

    def _read_next(self, log: Log) -> bool:
        if log.open is not None:
            self._read_rungs(log)
            if (end := self._storage.read(_name("end", log.open))) is None:
                return False
            log.add_end(end)
            return True
        state = log.state(self._max_strikes)
        if state in FINAL:
            return False
        if state == "failed":
            if self._storage.read(f"{_folder(log.number)}/retry-{log.token:03d}.json") is None:
                return False
            log.retried.add(log.token)
            return True
        lease = self._storage.read(f"{_folder(log.number)}/lease-{log.token + 1:03d}.json")
        if lease is None:
            return False
        log.leases.append(Lease(log.number, log.token + 1, **lease))
        return True

    def _begin(self, number: int) -> Log | None:
        """Start the log of a trial from `trial.json`; if that file is damaged, only the number is known."""
        name = f"{_folder(number)}/trial.json"
        unknown = {"number": number, "configuration": number, "repeat": 0, "point": {}, "seed": 0}
        try:
            head = self._storage.read(name)
        except DamagedError as error:
            return Log(number, unknown, damage=str(error))
        if head is not None and head["number"] != number:
            return Log(number, unknown, damage=f"{name}: damaged: it is of trial {head['number']}")
        return None if head is None else Log(number, {key: head[key] for key in unknown})

    def _read(self, log: Log, name: str) -> dict[str, Any] | None:
        """Read a file that another process may have written; None also if it is damaged."""
        try:
            return self._storage.read(name)
        except DamagedError as error:
            log.damage = str(error)
            self._show(log)
            return None

    def _is_there(self, name: str) -> bool:
        try:
            return self._storage.read(name) is not None
        except DamagedError:
            return True

    def _read_rungs(self, log: Log) -> None:
        folder = _folder(log.number)
        for name in self._storage.names(folder):
            if (match := _RUNG.fullmatch(name)) and (epoch := int(match[1])) not in log.rungs:
                rung = self._storage.read(f"{folder}/{name}")
                if rung is not None:
                    log.rungs[epoch] = rung["value"]

    def _show(self, log: Log) -> None:
        if self._shown[log.number] != log.size:
            self._views[log.number] = log.view(self._max_strikes)
            self._shown[log.number] = log.size


def _folder(number: int) -> str:
    return f"trials/{number:05d}"


def _name(kind: Literal["lease", "end"], lease: Lease) -> str:
    return f"{_folder(lease.number)}/{kind}-{lease.token:03d}.json"
