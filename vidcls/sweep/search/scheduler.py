"""Chooses the next trial of a free worker, from the folder alone: there is no controller.

The order is: trials of a dead worker, then waiting trials, then (under ASHA) trials to promote to the next
rung, then a new trial. If two workers choose the same trial, one of them gets it. The other one tries again
after a random delay: trial numbers have no gaps, so workers that arrive together are served one by one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from vidcls.errors import VidclsError
from vidcls.sweep.config.file import SweepFile, load_sweep
from vidcls.sweep.config.hyperband import Goal
from vidcls.sweep.search.build import searcher_of
from vidcls.sweep.search.rungs import Rungs
from vidcls.sweep.search.searcher import Observation
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.storage.trials import Lease, Trial

_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0
"""First and largest bound of the random delay before a new attempt; it doubles after each lost attempt."""


class Scheduler:
    """Hands out leases to one worker.

    Args:
        folder: Folder of the sweep.
        worker: Id of the worker.
        is_dead: Returns whether another worker, given by its id, is dead.
        epoch_of: Returns the number of finished epochs that another worker has reported for a trial.
    """

    def __init__(
        self,
        folder: SweepFolder,
        *,
        worker: str,
        is_dead: Callable[[str], bool],
        epoch_of: Callable[[str, int], int | None],
    ) -> None:
        self.sweep = load_sweep(folder.sweep_file)
        self.options = folder.options()
        self.trials = folder.trials()
        self._control = folder.control()
        base = folder.base()
        self._seed, self._worker = base.seed, worker
        self._is_dead, self._epoch_of = is_dead, epoch_of
        self._searcher = searcher_of(folder)
        self.rungs = Rungs.of(self.sweep, num_epochs=base.train.epochs) if self.options.asha else None
        self._observations = Observations(self.options.repeats)
        self._random = random.Random(worker)

    @property
    def goal(self) -> Goal:
        """Whether the metric is minimised or maximised."""
        return self.sweep.objective.goal

    def take(self, busy: Collection[int] = ()) -> tuple[Trial, Lease] | None:
        """Take a trial for this worker besides those it already trains; None while there is none."""
        trials, losses = self._free_the_dead(self.trials.refresh()), 0
        while True:
            if free := [trial for trial in trials if self._is_free(trial, busy)]:
                # After a lost attempt, choose at random, to avoid the same competitors again.
                trial = self._random.choice(free) if losses else free[0]
                if lease := self._claim(trial, trial.until_epoch):
                    return trial, lease
            elif self.rungs is not None and (next_up := self.rungs.next_promotion(trials)) is not None:
                if lease := self._claim(trials[next_up[0]], next_up[1]):
                    return trials[next_up[0]], lease
            elif not self.may_add(trials):
                return None
            elif self._add(trials):
                trials = self.trials.refresh()
                continue
            losses += 1
            time.sleep(self._random.uniform(0, min(_PAUSE_S * 2**losses, _LONGEST_PAUSE_S)))
            trials = self.trials.refresh()

    def may_add(self, trials: Sequence[Trial]) -> bool:
        """Whether the search has another trial to add now."""
        most = self.num_trials()
        if most is not None and len(trials) >= most:
            return False
        return self._searcher.can_ask(len(trials) // self.options.repeats) and not self._has_reached_target(
            trials
        )

    @property
    def may_grow(self) -> bool:
        """Whether trials that run now may lead to further trials: promotions under ASHA, rounds of a race."""
        return self.rungs is not None or bool(self.options.looks)

    def num_trials(self) -> int | None:
        """Number of trials of the whole search; None if only a budget ends it."""
        return planned_trials(
            self.sweep, self.options, self._searcher.num_configurations, self._control.current().extra_trials
        )

    def _is_free(self, trial: Trial, busy: Collection[int]) -> bool:
        # If the disk failed after a claim was written, the trial already runs under this worker's id.
        mine = trial.lease is not None and trial.lease.worker == self._worker
        return trial.state == "waiting" or (mine and trial.number not in busy)

    def _claim(self, trial: Trial, until_epoch: int | None) -> Lease | None:
        if self.rungs is not None and until_epoch is None:
            until_epoch = self.rungs.of_point(trial.point)[0]
        return self.trials.claim(trial, worker=self._worker, until_epoch=until_epoch)

    def _free_the_dead(self, trials: list[Trial]) -> list[Trial]:
        freed = False
        for trial in trials:
            lease = trial.lease
            if lease is not None and lease.worker != self._worker and self._is_dead(lease.worker):
                epoch = self._epoch_of(lease.worker, trial.number)
                freed |= self.trials.expire(trial, by=self._worker, epoch=epoch)
        return self.trials.refresh() if freed else trials

    def _has_reached_target(self, trials: Sequence[Trial]) -> bool:
        target = self.sweep.metric.target if self.sweep.metric else None
        if target is None:
            return False
        sign = 1 if self.goal == "maximize" else -1
        return any(t.value is not None and sign * t.value >= sign * target for t in trials)

    def _add(self, trials: Sequence[Trial]) -> bool:
        number, repeats = len(trials), self.options.repeats
        configuration, repeat = divmod(number, repeats)
        if repeat:
            point = self._repeated(trials[number - repeat :])
        else:
            point = self._searcher.ask(configuration, self._observations(trials))
        return self.trials.add(
            number,
            configuration=configuration,
            repeat=repeat,
            point=point,
            seed=int(point.get("seed", self._seed)) + repeat,
        )

    def _repeated(self, group: Sequence[Trial]) -> Mapping[str, Any]:
        """Point of a configuration, taken from its repeats so far.

        Raises:
            VidclsError: If the files of all repeats are damaged.
        """
        for trial in group:
            if trial.point:
                return trial.point
        raise VidclsError(group[0].damage or f"trial {group[0].number} has no point")


def planned_trials(
    sweep: SweepFile, options: SweepOptions, num_configurations: int | None, extra_trials: int
) -> int | None:
    """Number of trials of a search, bounded by its space or by its cap; None if neither bounds it.

    A grid ends with its last point; a cap, which counts runs, can be extended.
    """
    space = None if num_configurations is None else num_configurations * options.repeats
    cap = None if sweep.run_cap is None else sweep.run_cap + extra_trials
    return min((bound for bound in (space, cap) if bound is not None), default=None)


class Observations:
    """Observations for a searcher: for each configuration the mean over its repeats, once all have ended."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._groups: list[Sequence[Trial]] = []
        self._seen: list[Observation] = []

    def __call__(self, trials: Sequence[Trial]) -> list[Observation]:
        """One observation per configuration; those unchanged since the last call are not recomputed."""
        for number, first in enumerate(range(0, len(trials), self._repeats)):
            group = trials[first : first + self._repeats]
            if number == len(self._groups):
                self._groups.append(group)
                self._seen.append(_seen(group, self._repeats))
            elif group != self._groups[number]:
                self._groups[number], self._seen[number] = group, _seen(group, self._repeats)
        # The point of a trial is unknown if its file is damaged.
        return [seen for seen in self._seen if seen.point]


def _seen(group: Sequence[Trial], repeats: int) -> Observation:
    states = {trial.state for trial in group}
    state: Literal["running", "finished", "stopped", "failed"]
    if len(group) < repeats or states & {"waiting", "running"}:
        state = "running"
    elif states & {"finished", "paused"}:
        state = "finished"
    else:
        state = "stopped" if "stopped" in states else "failed"
    known = next((trial for trial in group if trial.point), group[0])
    return Observation(
        known.configuration,
        dict(known.point),
        state,
        value=_mean([trial.value for trial in group]),
        latest=_mean([trial.end.get("latest") if trial.end else None for trial in group]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
