"""A worker: one process of one allocation that trains trial after trial, each in a child of its own.

It loads no torch and computes nothing, so a crash or an out-of-memory kill takes one trial, never the worker.
It may die at any moment itself: its children end with it, its leases expire, and others go on from the
checkpoints.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from vidcls.errors import ExitCode
from vidcls.signals import Signals
from vidcls.sweep.budget import Budget
from vidcls.sweep.folder import SweepFolder
from vidcls.sweep.keep import Keeper
from vidcls.sweep.messages import Epoch, Order, Outcome
from vidcls.sweep.referee import Referee, best, metric_values
from vidcls.sweep.slot import Crew, Slot
from vidcls.sweep.space import overrides
from vidcls.sweep.supply import Supply
from vidcls.sweep.trials import Lease, Trial
from vidcls.sweep.workers import Watch, Worker, Workers

POLL_S = 1.0
"""How often a busy worker looks for a word from the person, and an idle one for a trial."""
LAST_S = 5.0
"""So long before the end of its allocation it gives up children that do not save."""
CHECK_S = 10.0
"""How often it makes sure that its leases still count, or twice a lease if that is shorter."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs.

    Attributes:
        job: Task in the queue, None outside of one.
        num_gpus: GPUs that it has for itself.
        device: Name of the device, None for the best there is.
        threads: CPU threads of each trial.
        ends_at: When the allocation ends, on this process's monotonic clock; None if it does not.
    """

    job: str | None
    num_gpus: int
    device: str | None
    threads: int
    ends_at: float | None


@dataclass(frozen=True)
class Leaving:
    """Why a worker ends, in words and as an exit code."""

    reason: str
    exit_code: ExitCode


class SweepWorker:
    """Trains trials until there are none, or until it has to go."""

    def __init__(self, folder: SweepFolder, place: Place, *, crew: Crew | None = None) -> None:
        self._folder, self._place = folder, place
        options = folder.options()
        self._me = Worker(folder.shelf, num_gpus=place.num_gpus, job=place.job)
        self._watch = Watch(folder.shelf, lease_s=options.lease_s)
        self._workers = Workers(folder.shelf)
        self._supply = Supply(
            folder, worker=self._me.id, is_dead=self._watch.is_dead, epoch_of=self._workers.epoch_of
        )
        self._referee = Referee(self._supply)
        self._control = folder.control()
        self._budget = Budget(options, self._control, self._workers, place, folder.base())
        self._keeper = Keeper(folder, keep=options.keep, goal=self._supply.goal, repeats=options.repeats)
        self._crew = crew or Crew()
        self._slots: list[Slot] = []
        self._num_slots = options.per_gpu
        self._lease_s = options.lease_s
        self._checked = time.monotonic()
        self._failing: float | None = None
        self._num_started = 0
        self._leaving: Leaving | None = None

    def run(self) -> Leaving:
        """Work.

        Returns:
            Why it ended: exit code 75 where the queue should start it again.

        Raises:
            OSError: If the disk failed for a lease; others take this worker for dead by then.
            EOFError: If no child could be started for so long.
        """
        with Signals() as signals, self._me.beating(self._lease_s / 6):
            while (leaving := self._patiently(lambda: self._work(signals))) is None:
                pass
            for slot in self._slots:
                slot.ask_to_save()
            while self._slots:
                self._patiently(self._wind_down)
        self._me.leave(leaving.reason)
        return leaving

    def _patiently(self, step: Callable[[], Leaving | None]) -> Leaving | None:
        """Take a step; one that the disk refused, or a dying forkserver, is taken again as it was."""
        try:
            leaving = step()
        except (OSError, EOFError):
            self._failing = self._failing or time.monotonic()
            if time.monotonic() - self._failing > self._lease_s:
                raise
            time.sleep(POLL_S)
            return None
        self._failing = None
        return leaving

    def _work(self, signals: Signals) -> Leaving | None:
        if (leaving := self._why_leave(signals)) is not None:
            return leaving
        starved = not self._fill()
        if starved and not self._slots and not self._stands_by():
            return Leaving("no trial is left for this worker", ExitCode.DONE)
        self._tell("waiting" if not self._slots else "training")
        self._listen(POLL_S)
        self._check_leases()
        return None

    def _why_leave(self, signals: Signals) -> Leaving | None:
        if signals.received in (signal.SIGUSR1, signal.SIGUSR2):
            return Leaving(f"{signals.received.name}: saved; wants to go on later", ExitCode.REQUEUE)
        if signals.received is not None:
            return Leaving(f"{signals.received.name}: saved", ExitCode.FAILED)
        state = self._control.current().state
        if state != "running":
            return Leaving(f"the sweep is {state}", ExitCode.DONE)
        if (over := self._budget.is_over()) is not None:
            return Leaving(over, ExitCode.DONE)
        return self._leaving

    def _fill(self) -> bool:
        """Give every free slot a trial; False where there was none."""
        while len(self._slots) < self._num_slots:
            # What is started first is started however short the time: the next allocation has no more.
            if self._num_started >= self._num_slots and not self._budget.can_start(self._supply.trials):
                if not self._slots:
                    self._leaving = Leaving("too little time is left for a checkpoint", ExitCode.REQUEUE)
                return True
            taken = self._supply.take({slot.trial.number for slot in self._slots})
            if taken is None:
                return False
            self._start(*taken)
        return True

    def _start(self, trial: Trial, lease: Lease) -> None:
        at_rung = trial.rungs.get(lease.until_epoch) if lease.until_epoch is not None else None
        if at_rung is not None:
            # It got as far as its rung before; only the end of its lease is missing.
            self._supply.trials.end(lease, "paused", epoch=lease.until_epoch, value=at_rung)
            return
        log_file = self._folder.trial_log(trial.number)
        order = Order(
            spec_file=self._folder.base_file,
            overrides=(*overrides(dict(trial.point)), f"seed={trial.seed}", self._folder.runs_setting),
            known_epochs=lease.epoch,
            device=self._place.device,
            threads=self._place.threads,
            log_file=log_file,
            patience_s=self._lease_s,
        )
        self._slots.append(self._crew.start(trial, lease, order))
        self._num_started += 1

    def _stands_by(self) -> bool:
        """Whether an idle worker stays: one does, to take over should the last busy ones die."""
        trials = self._supply.trials.refresh()
        if not any(trial.state in ("running", "waiting") for trial in trials):
            return False
        if self._supply.rungs is not None:
            return True  # whatever reaches a rung now may be promoted
        idle = sorted(r.id for r in self._workers.refresh() if r.state == "waiting" and r.id != self._me.id)
        return not any(other < self._me.id for other in idle if not self._watch.is_dead(other))

    def _listen(self, timeout_s: float) -> None:
        """Answer children until nothing is to be said, waiting for the first word at most so long."""
        if not self._slots:
            time.sleep(timeout_s)
        elif all(slot.heard is None for slot in self._slots):
            wait(
                [end for slot in self._slots for end in (slot.pipe, slot.process.sentinel)], timeout=timeout_s
            )
        for slot in list(self._slots):
            message = slot.listen()
            if isinstance(message, Epoch):
                self._answer(slot, message)
            elif isinstance(message, Outcome):
                self._conclude(slot, message)

    def _answer(self, slot: Slot, message: Epoch) -> None:
        values = self._values(message.history)
        slot.count_epoch(message.number, values)
        slot.ending = self._referee.verdict(slot.trial, slot.lease, epoch=message.number, values=values)
        slot.answer(slot.ending[1] if slot.ending else None)
        self._tell("training")

    def _conclude(self, slot: Slot, outcome: Outcome) -> None:
        """End the lease of a child that has ended, and publish what came of it."""
        slot.close()
        facts = dict(outcome.facts)
        values = self._values(facts.pop("history", [])) or slot.values
        kind = slot.ending[0] if outcome.kind == "stopped" and slot.ending else outcome.kind
        message = outcome.message
        if kind == "finished" and not values:
            kind, message = "refused", f"{self._metric} was never logged"
        content: dict[str, Any] = {
            **facts,
            "message": message,
            "value": best(values, goal=self._supply.goal) if values else None,
            "latest": values[-1] if values else None,
            "seconds": time.monotonic() - slot.begun,
            "epoch_s": slot.epoch_s,
        }
        if "run" in facts:
            content["run"] = self._folder.run_name(Path(facts["run"]))
        epoch = content.pop("epoch", slot.epoch)
        if kind == "disk full":
            # Every other trial would meet the same disk: this one is not to blame.
            self._leaving = Leaving(message, ExitCode.FAILED)
            kind = "released"
        published = self._supply.trials.end(slot.lease, kind, epoch=epoch, **content)  # type: ignore[arg-type]
        self._slots.remove(slot)
        if published and kind in ("finished", "stopped"):
            self._keeper.prune(self._supply.trials.refresh())

    @property
    def _metric(self) -> str:
        return self._supply.sweep.objective.name

    def _values(self, history: Any) -> list[float]:
        return metric_values(history, self._metric)

    def _check_leases(self) -> None:
        if time.monotonic() - self._checked < min(CHECK_S, self._lease_s / 2):
            return
        self._checked = time.monotonic()
        for slot in self._slots:
            if not self._supply.trials.is_open(slot.lease):
                # This worker was given up for dead: another one trains the trial, nothing here counts.
                slot.kill("its lease was lost")

    def _wind_down(self) -> None:
        """Hear the children save, and give their leases back."""
        self._tell("saving")
        if self._place.ends_at is not None and time.monotonic() > self._place.ends_at - LAST_S:
            for slot in self._slots:
                if slot.heard is None:
                    slot.kill("it did not save before the time limit")
        self._listen(POLL_S)
        self._check_leases()

    def _tell(self, state: str) -> None:
        self._me.tell(state, {slot.trial.number: slot.epoch for slot in self._slots})


def place_of(*, num_gpus: int, num_cpus: int | None, device: str | None, per_gpu: int) -> Place:
    """Where this process runs, from its command and the environment that the queue's script sets."""
    start, length = os.environ.get("VIDCLS_JOB_START"), os.environ.get("VIDCLS_JOB_TIME_S")
    ends_at = None
    if start and length:
        ends_at = time.monotonic() + float(start) + float(length) - time.time()
    cores = num_cpus or len(os.sched_getaffinity(0))
    return Place(
        job=os.environ.get("VIDCLS_JOB"),
        num_gpus=num_gpus,
        device=device,
        threads=max(1, cores // per_gpu),
        ends_at=ends_at,
    )
