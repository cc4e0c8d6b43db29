"""One trial as its files tell it: leases, how each ended, and the state that follows. Touches no file.

A log is read from its beginning in one order, so that any part of it that a process has seen was once the
whole truth, and two processes that have seen the same part think the same of it.
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
    """The right of one worker to train a trial, until it ends it or is found dead.

    Attributes:
        number: Number of the trial.
        token: 1 for a trial's first lease, and so on.
        worker: Id of the holder.
        epoch: Epochs that the trial had finished when it was taken.
        until_epoch: Where to pause it (a rung); None trains it to its end.
    """

    number: int
    token: int
    worker: str
    epoch: int
    until_epoch: int | None


@dataclass(frozen=True)
class Trial:
    """One point of a sweep, as far as this process has seen.

    Attributes:
        number: Number, from 0, without gaps.
        configuration: Number of the point; repeats share it.
        repeat: Which repeat of it.
        point: Value of each key that the sweep sets.
        seed: Seed of the training.
        state: `failed` waits for a person's `retry`; `finished` and `stopped` are for good.
        token: Fencing token of the newest lease, 0 before the first.
        lease: The open one.
        until_epoch: Where the newest lease was to pause, for the next one after a release or a death.
        end: How the newest ended lease ended: `kind`, `by`, and what `Trials.end` was given.
        strikes: Crashes and deaths in a row without a finished epoch between them.
        value: The last that an end told.
        epoch: Finished epochs, as far as told.
        rungs: Value by epoch.
        damage: What is wrong with its files, None for nothing. Until they are mended nobody trains it, and
            what else is told of it may be an earlier truth.
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
    """The beginning of a trial's log that this process has seen; it only grows.

    Attributes:
        number: Number of the trial.
        head: What is to be trained.
        leases: Leases, in order of token.
        ends: Ends of the same leases; the last may be missing.
        retried: Tokens of failed leases after which a person asked for another try.
        rungs: Value by epoch.
        damage: What is wrong with the rest of it.
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
        """The lease that has not ended."""
        return self.leases[-1] if len(self.ends) < len(self.leases) else None

    @property
    def size(self) -> tuple[object, ...]:
        """Differs once anything was added, or damaged or mended."""
        return len(self.leases), len(self.ends), len(self.retried), len(self.rungs), self.damage, self.head

    def add_end(self, end: Mapping[str, Any]) -> None:
        """Add the end of the open lease, with the rungs that its writer knew."""
        self.ends.append(end)
        self.rungs.update({int(epoch): value for epoch, value in end["rungs"].items()})

    @property
    def epoch(self) -> int:
        """Finished epochs, as far as told."""
        told = [lease.epoch for lease in self.leases] + [end["epoch"] for end in self.ends]
        return max([*told, *self.rungs], default=0)

    @property
    def strikes(self) -> int:
        """Crashes and deaths in a row without progress.

        Progress is an epoch above all that were ever told: who repeats lost epochs and dies got no further.
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
        """What the log amounts to; all who have read as far agree on it."""
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
            case _:  # refused: a mistake of the user's is not tried again by itself
                return "failed"

    def view(self, max_strikes: int) -> Trial:
        """The trial as others see it."""
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
