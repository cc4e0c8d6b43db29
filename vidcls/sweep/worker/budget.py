"""Remaining budget of a worker: its allocation, the GPU hours of the sweep, and the end time of the sweep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vidcls.spec.experiment import Spec
from vidcls.sweep.storage.control import Control
from vidcls.sweep.storage.folder import SweepOptions
from vidcls.sweep.storage.trials import Trials
from vidcls.sweep.storage.worker_heartbeat import Workers

if TYPE_CHECKING:
    from vidcls.sweep.worker.allocation import Allocation

SAVING_S = 10.0
"""Seconds to save a checkpoint and end a process, with a margin."""
_LOOK_EVERY_S = 10.0


class Budget:
    """Enforces the limits of a sweep without a controller: every worker computes the totals by itself."""

    def __init__(
        self, options: SweepOptions, control: Control, workers: Workers, allocation: Allocation, spec: Spec
    ) -> None:
        self._options, self._control, self._workers, self._allocation = options, control, workers, allocation
        self._checkpoint_every_s = spec.train.checkpoint_every_s
        self._spent_gpu_s = 0.0
        self._looked: float | None = None

    def is_over(self) -> str | None:
        """Reason why every worker must end now; None while work may continue."""
        said = self._control.current()
        until = self._options.until
        if until is not None and time.time() >= until + said.extra_hours * 3600:
            return "the time for the sweep is over"
        if self._options.gpu_hours is None:
            return None
        if self._looked is None or time.monotonic() - self._looked >= _LOOK_EVERY_S:
            self._looked = time.monotonic()
            self._spent_gpu_s = self._workers.totals().gpu_s
        hours = self._options.gpu_hours + said.extra_gpu_hours
        return f"{hours:g} GPU hours are used up" if self._spent_gpu_s >= hours * 3600 else None

    def can_start(self, trials: Trials) -> bool:
        """Whether a trial that starts now reaches a checkpoint before the allocation ends."""
        if self._allocation.ends_at is None:
            return True
        left_s = self._allocation.ends_at - time.monotonic()
        return left_s >= self._needed_s(trials) + SAVING_S

    def _needed_s(self, trials: Trials) -> float:
        """Seconds from the start of a trial to its first checkpoint, by ended trials; 0 if there are none."""
        ends = [trial.end for trial in trials.refresh() if trial.end and trial.end.get("epoch_s")]
        if not ends:
            return 0.0
        epoch_s = max(end["epoch_s"] for end in ends)
        startup_s = max(end.get("startup_s", 0.0) for end in ends)
        return float(startup_s + min(epoch_s, self._checkpoint_every_s))
