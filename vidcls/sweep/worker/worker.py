"""Worker: one process of one allocation that trains one trial after another in child processes.

The worker loads no torch and computes nothing, so a crash or an out-of-memory kill ends one trial, never the
worker. The worker may die at any moment: its children end with it, its leases expire, and other workers
resume from the checkpoints.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from vidcls.choices import LITE, SMALL
from vidcls.errors import ExitCode
from vidcls.process.signals import Signals
from vidcls.spec.experiment import Spec
from vidcls.sweep.search.scheduler import Scheduler
from vidcls.sweep.space.space import Space
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.retention import Retention
from vidcls.sweep.storage.trials import Lease, Trial
from vidcls.sweep.storage.worker_heartbeat import LivenessMonitor, Worker, Workers
from vidcls.sweep.worker.allocation import Allocation
from vidcls.sweep.worker.budget import Budget
from vidcls.sweep.worker.messages import Epoch, TrialOutcome, TrialRequest
from vidcls.sweep.worker.pruner import Pruner, best, metric_values
from vidcls.sweep.worker.trial_process import TrialLauncher, TrialProcess

POLL_S = 1.0
"""Interval at which a busy worker checks for control events, and an idle worker for a trial."""
LAST_S = 5.0
"""Time before the end of the allocation at which children that have not saved are given up."""
CHECK_S = 10.0
"""Interval between two checks that the leases are still open; half a lease if that is shorter."""


@dataclass(frozen=True)
class WorkerExit:
    """Reason why a worker ends, as text and as an exit code."""

    reason: str
    exit_code: ExitCode


class SweepWorker:
    """Trains trials until there are none left, or until it must exit.

    Args:
        folder: Folder of the sweep.
        allocation: Resources of the worker.
        launcher: Starts the children; None for the usual ones.
        when_idle: Called while no trial is free; returns whether there may be further trials now.
    """

    def __init__(
        self,
        folder: SweepFolder,
        allocation: Allocation,
        *,
        launcher: TrialLauncher | None = None,
        when_idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folder, self._allocation = folder, allocation
        options = folder.options()
        self._me = Worker(folder.storage, num_gpus=allocation.num_gpus, job=allocation.job)
        self._liveness = LivenessMonitor(folder.storage, lease_s=options.lease_s)
        self._workers = Workers(folder.storage)
        self._scheduler = Scheduler(
            folder, worker=self._me.id, is_dead=self._liveness.is_dead, epoch_of=self._workers.epoch_of
        )
        self._pruner = Pruner(self._scheduler)
        self._control = folder.control()
        self._budget = Budget(options, self._control, self._workers, allocation, folder.base())
        self._retention = Retention(
            folder, keep=options.keep, goal=self._scheduler.goal, repeats=options.repeats
        )
        self._launcher = launcher or TrialLauncher(
            preload=_preload(folder.base(), self._scheduler.sweep.space)
        )
        self._when_idle = when_idle
        self._children: list[TrialProcess] = []
        self._max_children = options.per_gpu
        self._lease_s = options.lease_s
        self._checked = time.monotonic()
        self._failing: float | None = None
        self._num_started = 0
        self._exit: WorkerExit | None = None

    def run(self) -> WorkerExit:
        """Train trials until the worker must exit.

        Returns:
            Reason of the exit; exit code 75 if the queue should start the worker again.

        Raises:
            OSError: If the disk failed for the length of a lease; others consider this worker dead by then.
            EOFError: If no child could be started for the length of a lease.
        """
        with Signals() as signals, self._me.beating(self._lease_s / 6):
            try:
                while (worker_exit := self._patiently(lambda: self._work(signals))) is None:
                    pass
                for child in self._children:
                    child.ask_to_save()
                while self._children:
                    self._patiently(self._wind_down)
            finally:
                self._launcher.close()
        self._me.leave(worker_exit.reason)
        return worker_exit

    def _patiently(self, step: Callable[[], WorkerExit | None]) -> WorkerExit | None:
        """Run a step; if the disk or a dying forkserver made it fail, repeat the same step."""
        try:
            worker_exit = step()
        except (OSError, EOFError):
            self._failing = self._failing or time.monotonic()
            if time.monotonic() - self._failing > self._lease_s:
                raise
            time.sleep(POLL_S)
            return None
        self._failing = None
        return worker_exit

    def _work(self, signals: Signals) -> WorkerExit | None:
        if (worker_exit := self._why_leave(signals)) is not None:
            return worker_exit
        starved = not self._fill()
        if starved and self._when_idle():
            return None
        if starved and not self._children and not self._stands_by():
            return WorkerExit("no trial is left for this worker", ExitCode.DONE)
        self._tell("waiting" if not self._children else "training")
        self._listen(POLL_S)
        self._check_leases()
        return None

    def _why_leave(self, signals: Signals) -> WorkerExit | None:
        if signals.received in (signal.SIGUSR1, signal.SIGUSR2):
            return WorkerExit(f"{signals.received.name}: saved; to be continued later", ExitCode.REQUEUE)
        if signals.received is not None:
            return WorkerExit(f"{signals.received.name}: saved", ExitCode.FAILED)
        state = self._control.current().state
        if state != "running":
            return WorkerExit(f"the sweep is {state}", ExitCode.DONE)
        if (over := self._budget.is_over()) is not None:
            return WorkerExit(over, ExitCode.DONE)
        return self._exit

    def _fill(self) -> bool:
        """Start a child for every free slot; False if there was no trial."""
        while len(self._children) < self._max_children:
            # The first trials start even if time is short: the next allocation would not be longer.
            if self._num_started >= self._max_children and not self._budget.can_start(self._scheduler.trials):
                if not self._children:
                    self._exit = WorkerExit("too little time is left for a checkpoint", ExitCode.REQUEUE)
                return True
            taken = self._scheduler.take({child.trial.number for child in self._children})
            if taken is None:
                return False
            self._start(*taken)
        return True

    def _start(self, trial: Trial, lease: Lease) -> None:
        at_rung = trial.rungs.get(lease.until_epoch) if lease.until_epoch is not None else None
        if at_rung is not None:
            # The trial had already reached its rung; only the end of its lease is missing.
            self._scheduler.trials.end(lease, "paused", epoch=lease.until_epoch, value=at_rung)
            return
        log_file = self._folder.trial_log(trial.number)
        spec_file, settings = self._folder.experiment_of(trial.point)
        request = TrialRequest(
            spec_file=spec_file,
            overrides=(*settings, f"seed={trial.seed}", self._folder.runs_setting),
            known_epochs=lease.epoch,
            device=self._allocation.device,
            threads=self._allocation.threads,
            log_file=log_file,
            gpu_share=1 / self._max_children,
            patience_s=self._lease_s,
        )
        self._children.append(self._launcher.start(trial, lease, request))
        self._num_started += 1

    def _stands_by(self) -> bool:
        """Whether this idle worker stays: one idle worker does, to take over if the last busy workers die."""
        trials = self._scheduler.trials.refresh()
        if not any(trial.state in ("running", "waiting") for trial in trials):
            return False
        if self._scheduler.may_grow:
            return True
        idle = sorted(r.id for r in self._workers.refresh() if r.state == "waiting" and r.id != self._me.id)
        return not any(other < self._me.id for other in idle if not self._liveness.is_dead(other))

    def _listen(self, timeout_s: float) -> None:
        """Answer children until no message is left; wait for the first message at most `timeout_s`."""
        if not self._children:
            time.sleep(timeout_s)
        elif all(child.heard is None for child in self._children):
            wait(
                [end for child in self._children for end in (child.pipe, child.process.sentinel)],
                timeout=timeout_s,
            )
        for child in list(self._children):
            message = child.listen()
            if isinstance(message, Epoch):
                self._answer(child, message)
            elif isinstance(message, TrialOutcome):
                self._conclude(child, message)

    def _answer(self, child: TrialProcess, message: Epoch) -> None:
        values = self._values(message.history)
        child.count_epoch(message.number, values)
        child.ending = self._pruner.verdict(child.trial, child.lease, epoch=message.number, values=values)
        child.answer(child.ending[1] if child.ending else None)
        self._tell("training")

    def _conclude(self, child: TrialProcess, outcome: TrialOutcome) -> None:
        """End the lease of a child that has ended, and publish the result."""
        self._launcher.end(child, outcome)
        facts = dict(outcome.facts)
        values = self._values(facts.pop("history", [])) or child.values
        kind = child.ending[0] if outcome.kind == "stopped" and child.ending else outcome.kind
        message = outcome.message
        if kind == "finished" and not values:
            kind, message = "refused", f"{self._metric} was never logged"
        content: dict[str, Any] = {
            **facts,
            "message": message,
            "value": best(values, goal=self._scheduler.goal) if values else None,
            "latest": values[-1] if values else None,
            "seconds": time.monotonic() - child.begun,
            "epoch_s": child.epoch_s,
        }
        if "run" in facts:
            content["run"] = self._folder.run_name(Path(facts["run"]))
        epoch = content.pop("epoch", child.epoch)
        if kind == "disk full":
            # Every other trial would meet the same full disk: this one is released, not failed.
            self._exit = WorkerExit(message, ExitCode.FAILED)
            kind = "released"
        published = self._scheduler.trials.end(child.lease, kind, epoch=epoch, **content)  # type: ignore[arg-type]
        self._children.remove(child)
        if published and kind in ("finished", "stopped"):
            self._retention.prune(self._scheduler.trials.refresh())

    @property
    def _metric(self) -> str:
        return self._scheduler.sweep.objective.name

    def _values(self, history: Any) -> list[float]:
        return metric_values(history, self._metric)

    def _check_leases(self) -> None:
        if time.monotonic() - self._checked < min(CHECK_S, self._lease_s / 2):
            return
        self._checked = time.monotonic()
        for child in self._children:
            if not self._scheduler.trials.is_open(child.lease):
                # Other workers consider this one dead and train the trial: discard this child.
                child.kill("its lease was lost: another worker took it over")

    def _wind_down(self) -> None:
        """Wait until the children have saved, and release their leases."""
        self._tell("saving")
        if self._allocation.ends_at is not None and time.monotonic() > self._allocation.ends_at - LAST_S:
            for child in self._children:
                if child.heard is None:
                    child.kill("it did not save before the time limit")
        self._listen(POLL_S)
        self._check_leases()

    def _tell(self, state: str) -> None:
        self._me.tell(state, {child.trial.number: child.epoch for child in self._children})


def _preload(spec: Spec, space: Space) -> list[str]:
    """Modules that every trial needs, and that take long to load."""
    modules = []
    networks = {single.backbone for single in spec.model.singles()}
    if not networks <= {SMALL, LITE} or any("backbone" in name for name in space.names):
        modules.append("torchvision")
    if spec.tracking.mode == "online":  # trials start the client only then
        modules.append("vidcls.tracking.preloaded")
    return modules
