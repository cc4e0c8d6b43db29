"""Rungs of a sweep under `--asha`: at which epochs trials pause, and which trial is promoted next.

The last rung of a trial is the end of its training; a sweep may set or search `train.epochs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidcls.sweep.config.file import SweepFile
from vidcls.sweep.config.hyperband import Goal
from vidcls.sweep.search import asha
from vidcls.sweep.storage.trials import Trial

FIRST_RUNG = 1
ETA = 3
"""Value of eta under `--asha` if the file has no `early_terminate`."""


@dataclass(frozen=True)
class Rungs:
    """Rungs of a sweep: the bands of `early_terminate`, or 1, 3, 9, ... epochs.

    Attributes:
        first: Epoch of the first rung.
        eta: Ratio of two consecutive rungs; the best 1/eta of the trials at a rung continue.
        num_epochs: Epochs of a trial whose point does not set them.
        goal: Whether the metric is minimised or maximised.
    """

    first: int
    eta: int
    num_epochs: int
    goal: Goal

    @classmethod
    def of(cls, sweep: SweepFile, *, num_epochs: int) -> Rungs:
        """Rungs that a sweep file asks for; `num_epochs` is the number of epochs of its experiment."""
        section = sweep.early_terminate
        first = section.min_iter if section and section.min_iter else FIRST_RUNG
        eta = max(2, round(section.eta)) if section else ETA
        return cls(first, eta, num_epochs, sweep.objective.goal)

    def of_point(self, point: Mapping[str, Any]) -> list[int]:
        """Epochs at which a trial pauses, ascending; at the last epoch it is finished."""
        num_epochs = int(point.get("train.epochs", self.num_epochs))
        return asha.rungs(min(self.first, num_epochs), self.eta, num_epochs)

    def next_promotion(self, trials: Sequence[Trial]) -> tuple[int, int] | None:
        """Number of the trial to promote next and the epoch up to which it trains, or None."""
        at_rung: dict[int, dict[int, float]] = {}
        promoted: dict[int, set[int]] = {}
        for trial in trials:
            for rung, value in trial.rungs.items():
                at_rung.setdefault(rung, {})[trial.number] = value
                if not (trial.state == "paused" and trial.until_epoch == rung):
                    promoted.setdefault(rung, set()).add(trial.number)
        found = asha.promotable(at_rung, promoted, eta=self.eta, goal=self.goal)
        if found is None:
            return None
        number, rung = found
        by_number = {trial.number: trial for trial in trials}
        return number, next(epoch for epoch in self.of_point(by_number[number].point) if epoch > rung)
