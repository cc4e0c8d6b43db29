"""Decides whether a trial continues after an epoch: Hyperband bands, ASHA rungs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vidcls.sweep.config.hyperband import bands, should_stop_at
from vidcls.sweep.search.scheduler import Scheduler
from vidcls.sweep.storage.trials import Lease, Trial


class Pruner:
    """Decides on the trials of one worker."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        section = scheduler.sweep.early_terminate
        self._bands = bands(section) if section and scheduler.rungs is None else []

    def verdict(
        self, trial: Trial, lease: Lease, *, epoch: int, values: Sequence[float]
    ) -> tuple[str, str] | None:
        """Decide on a trial after an epoch.

        Args:
            trial: Trial that is trained.
            lease: Lease of the worker.
            epoch: Number of finished epochs.
            values: Metric after each epoch that logged a value, latest last.

        Returns:
            Kind of end and its reason; None to continue.
        """
        trials = self._scheduler.trials
        if self._scheduler.rungs is not None:
            if epoch in self._scheduler.rungs.of_point(trial.point) and values:
                trials.rung(lease, epoch, best(values, goal=self._scheduler.goal))
            if lease.until_epoch is not None and epoch >= lease.until_epoch:
                return "paused", f"waits at the rung of {epoch} epochs"
            return None
        section, reached = self._scheduler.sweep.early_terminate, len(values)
        if section is None or not values:
            return None
        if reached in self._bands:
            trials.rung(lease, reached, values[-1])
        others: dict[int, list[float]] = {band: [] for band in self._bands}
        for other in trials.refresh():
            if other.number != lease.number:
                for band, value in other.rungs.items():
                    others[band].append(value)
        if should_stop_at(values, others, section=section, goal=self._scheduler.goal):
            return "stopped", f"hyperband: not among the best 1/{section.eta:g} at its band"
        return None


def best(values: Sequence[float], *, goal: str) -> float:
    """Best of some values; W&B's own search also takes the extremum over the history of a run."""
    return max(values) if goal == "maximize" else min(values)


def metric_values(history: Sequence[Mapping[str, object]], name: str) -> list[float]:
    """Finite values of a metric, in the order in which they were logged."""
    found = [row.get(name) for row in history]
    return [float(v) for v in found if isinstance(v, int | float) and math.isfinite(v)]
