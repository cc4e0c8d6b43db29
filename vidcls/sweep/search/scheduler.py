"""What a free worker does next. There is no controller: every worker asks this of the folder by itself.

First what a dead worker left, then what waits, then (under ASHA) what has earned its next rung, then a new
trial. Whatever two workers decide at once, one of them gets the trial. The other looks again after a moment
that differs by worker: numbers have no gaps, so those who come together can only be served one by one.
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
from vidcls.sweep.search.build import open_searcher
from vidcls.sweep.search.rungs import Rungs
from vidcls.sweep.search.searcher import Observation
from vidcls.sweep.storage.folder import SweepFolder, SweepOptions
from vidcls.sweep.storage.trials import Lease, Trial

_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0
"""The most that a worker waits before it looks again, doubled each time that another was first."""


class Scheduler:
    """Hands out leases to one worker.

    Args:
        folder: The sweep.
        worker: Id of the worker.
        is_dead: Whether another worker, by its id, is dead.
        epoch_of: Finished epochs of a trial under another worker, as far as that worker told.
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
        self._searcher = open_searcher(self.sweep, seed=self.options.seed)
        self.rungs = Rungs.of(self.sweep, num_epochs=base.train.epochs) if self.options.asha else None
        self._observations = Observations(self.options.repeats)
        self._random = random.Random(worker)

    @property
    def goal(self) -> Goal:
        """Where better is."""
        return self.sweep.objective.goal

    def take(self, busy: Collection[int] = ()) -> tuple[Trial, Lease] | None:
        """A trial for this worker beside those it is busy with, or None while there is none."""
        trials, losses = self._free_the_dead(self.trials.refresh()), 0
        while True:
            if free := [trial for trial in trials if self._is_free(trial, busy)]:
                # Who lost the first to others does not run against the same ones for the second.
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
        """Whether the search has another trial."""
        most = self.num_trials()
        return (most is None or len(trials) < most) and not self._has_reached_target(trials)

    def num_trials(self) -> int | None:
        """How many trials there will be, None if only a budget ends the search."""
        return planned_trials(
            self.sweep, self.options, self._searcher.num_configurations, self._control.current().extra_trials
        )

    def _is_free(self, trial: Trial, busy: Collection[int]) -> bool:
        # A claim whose answer the disk lost shows as a trial that runs in this worker's name.
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
        """The point of a configuration, from its repeats so far.

        Raises:
            VidclsError: If the files of all of them are damaged.
        """
        for trial in group:
            if trial.point:
                return trial.point
        raise VidclsError(group[0].damage or f"trial {group[0].number} has no point")


def planned_trials(
    sweep: SweepFile, options: SweepOptions, num_configurations: int | None, extra_trials: int
) -> int | None:
    """How many trials a search comes to: its space or its cap, None if neither bounds it.

    A grid ends with its last point; a cap, which counts runs, may be extended.
    """
    space = None if num_configurations is None else num_configurations * options.repeats
    cap = None if sweep.run_cap is None else sweep.run_cap + extra_trials
    return min((bound for bound in (space, cap) if bound is not None), default=None)


class Observations:
    """What a searcher is told of each configuration: the mean over its repeats, once all have ended."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._groups: list[Sequence[Trial]] = []
        self._seen: list[Observation] = []

    def __call__(self, trials: Sequence[Trial]) -> list[Observation]:
        """One for each configuration; what has not changed since the last call is not worked out again."""
        for number, first in enumerate(range(0, len(trials), self._repeats)):
            group = trials[first : first + self._repeats]
            if number == len(self._groups):
                self._groups.append(group)
                self._seen.append(_seen(group, self._repeats))
            elif group != self._groups[number]:
                self._groups[number], self._seen[number] = group, _seen(group, self._repeats)
        # Of a trial whose file is damaged the point is not known.
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
