"""Log of one trial: its leases, how each ended, and the resulting state. This module accesses no file.

A log is read from its beginning in one order. So any part of it that a process has seen was once the whole
log, and two processes that have seen the same part derive the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["waiting", "running", "paused", "finished", "stopped", "failed"]
End = Literal["finished", "stopped", "paused", "released", "crashed", "refused", "expired"]
FINAL: tuple[TrialState, ...] = ("finished", "stopped")


@dataclass(frozen=True)
class Lease:
    """Right of one worker to train a trial, until the worker ends the lease or is found dead.

    Attributes:
        number: Number of the trial.
        token: Fencing token; 1 for the first lease of a trial, and so on.
        worker: Id of the worker that holds the lease.
        epoch: Epochs that the trial had finished when the lease was taken.
        until_epoch: Epoch at which to pause the trial (a rung); None trains it to its end.
    """

    number: int
    token: int
    worker: str
    epoch: int
    until_epoch: int | None


@dataclass(frozen=True)
class Trial:
    """Trial of a sweep, as far as this process has read its files.

    Attributes:
        number: Number of the trial, from 0, without gaps.
        configuration: Number of the configuration; its repeats share it.
        repeat: Index of the repeat of the configuration.
        point: Value of each key that the sweep sets.
        seed: Seed of the training.
        state: State; `failed` waits for a `retry` of the user; `finished` and `stopped` are final.
        token: Fencing token of the newest lease, 0 before the first.
        lease: Open lease; None if there is none.
        until_epoch: Epoch at which the newest lease was to pause; kept for the next lease after a release or
            a death of the worker.
        end: How the newest ended lease ended: `kind`, `by`, and the content given to `Trials.end`.
        strikes: Consecutive crashes and worker deaths without a finished epoch between them.
        value: Value reported by the newest end that has one.
        epoch: Finished epochs, as far as reported.
        rungs: Value by epoch.
        damage: Error in the files of the trial; None if they are intact. Until the files are repaired no
            worker trains the trial, and the other attributes may be out of date.
    """

    number: int
    configuration: int
    repeat: int
    point: Mapping[str, Any]
    seed: int
    state: TrialState
    token: int
    lease: Lease | None
    until_epoch: int | None
    end: Mapping[str, Any] | None
    strikes: int
    value: float | None
    epoch: int
    rungs: Mapping[int, float]
    damage: str | None = None


@dataclass
class Log:
    """Part of a trial's log that this process has read, from the beginning; it only grows.

    Attributes:
        number: Number of the trial.
        head: Content of `trial.json`: point, seed and numbers of the trial.
        leases: Leases, ordered by token.
        ends: Ends of the same leases; the last may be missing.
        retried: Tokens of failed leases after which the user asked for a retry.
        rungs: Value by epoch.
        damage: Error in the rest of the log.
    """

    number: int
    head: Mapping[str, Any]
    leases: list[Lease] = field(default_factory=list)
    ends: list[Mapping[str, Any]] = field(default_factory=list)
    retried: set[int] = field(default_factory=set)
    rungs: dict[int, float] = field(default_factory=dict)
    damage: str | None = None

    @property
    def token(self) -> int:
        """Fencing token of the newest lease, 0 before the first."""
        return len(self.leases)

    @property
    def open(self) -> Lease | None:
        """Lease that has not ended; None if there is none."""
        return self.leases[-1] if len(self.ends) < len(self.leases) else None

    @property
    def size(self) -> tuple[object, ...]:
        """Value that changes when something was added, damaged or repaired."""
        return len(self.leases), len(self.ends), len(self.retried), len(self.rungs), self.damage, self.head

    def add_end(self, end: Mapping[str, Any]) -> None:
        """Add the end of the open lease, with the rungs that the writing worker knew."""
        self.ends.append(end)
        self.rungs.update({int(epoch): value for epoch, value in end["rungs"].items()})

    @property
    def epoch(self) -> int:
        """Finished epochs, as far as reported."""
        told = [lease.epoch for lease in self.leases] + [end["epoch"] for end in self.ends]
        return max([*told, *self.rungs], default=0)

    @property
    def strikes(self) -> int:
        """Consecutive crashes and worker deaths without progress.

        Progress is an epoch above all reported before; repeating lost epochs is no progress.
        """
        strikes = highest = 0
        for index, (lease, end) in enumerate(zip(self.leases, self.ends, strict=False)):
            then = self.leases[index + 1].epoch if index + 1 < len(self.leases) else 0
            highest, reached = max(highest, lease.epoch), max(end["epoch"], then)
            if lease.token in self.retried or reached > highest:
                strikes = 0
            elif end["kind"] in ("crashed", "expired"):
                strikes += 1
            highest = max(highest, reached)
        return strikes

    def state(self, max_strikes: int) -> TrialState:
        """State of the trial; all processes that have read the same part of the log agree on it."""
        if self.damage is not None:
            return "failed"
        if self.open is not None:
            return "running"
        kind = self.ends[-1]["kind"] if self.ends else "released"
        match kind:
            case "finished" | "stopped" | "paused":
                state: TrialState = kind
                return state
            case "released":
                return "waiting"
            case _ if self.token in self.retried:
                return "waiting"
            case "crashed" | "expired":
                return "failed" if self.strikes >= max_strikes else "waiting"
            case _:  # refused: a mistake of the user is not retried automatically
                return "failed"

    def view(self, max_strikes: int) -> Trial:
        """Trial as seen by callers."""
        values = [end["value"] for end in self.ends if end.get("value") is not None]
        end = self.ends[-1] if self.ends else None
        if self.damage is not None:
            end = {**(end or {}), "message": self.damage}
        return Trial(
            **self.head,
            state=self.state(max_strikes),
            token=self.token,
            lease=None if self.damage is not None else self.open,
            until_epoch=self.leases[-1].until_epoch if self.leases else None,
            end=end,
            strikes=self.strikes,
            value=values[-1] if values else None,
            epoch=self.epoch,
            rungs=dict(self.rungs),
            damage=self.damage,
        )
