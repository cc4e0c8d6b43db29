"""Which weights of a sweep are kept: those of the best configurations. All of them would fill a quota."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from vidcls.errors import VidclsError
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.trials import FINAL, Trial

_ENDED = (*FINAL, "failed")
"""A failed trial may be tried again, but nobody waits for that."""


def ranked(trials: Sequence[Trial], *, goal: str) -> list[Trial]:
    """Trials with a result, the best first; of equal ones the earlier first."""
    return _by_value([trial for trial in trials if trial.state == "finished"], goal)


def best_so_far(trials: Sequence[Trial], *, goal: str) -> list[Trial]:
    """What `ranked` gives; where no trial is finished, those at the highest rung, the best first."""
    finished = ranked(trials, goal=goal)
    if finished:
        return finished
    paused = [trial for trial in trials if trial.state == "paused"]
    highest = max((trial.epoch for trial in paused), default=0)
    return _by_value([trial for trial in paused if trial.epoch == highest], goal)


def best_configurations(trials: Sequence[Trial], *, goal: str, repeats: int) -> list[list[Trial]]:
    """The repeats of every configuration that has finished all of them, by their mean, the best first."""
    groups: dict[int, list[Trial]] = {}
    for trial in ranked(trials, goal=goal):
        groups.setdefault(trial.configuration, []).append(trial)
    full = [group for group in groups.values() if len(group) == repeats]
    sign = -1.0 if goal == "maximize" else 1.0

    def rank(group: list[Trial]) -> tuple[float, int]:
        return sign * fmean(trial.value or 0.0 for trial in group), group[0].configuration

    return sorted(full, key=rank)


def rule(keep: int) -> str:
    """Why weights are removed, in words."""
    whose = "its best configuration" if keep == 1 else f"its best {keep} configurations"
    return f"the sweep keeps the weights of {whose} (--keep {keep})"


def _by_value(trials: Sequence[Trial], goal: str) -> list[Trial]:
    sign = -1.0 if goal == "maximize" else 1.0
    scored = [trial for trial in trials if trial.value is not None]
    return sorted(scored, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


class Retention:
    """Removes the checkpoints of trials whose configuration can no longer be among the best.

    A configuration counts once all of its repeats have ended, from when on its mean stays. What is not among
    the best of the results seen here will not be among the best of all, so workers that see different results
    never disagree on what may go.
    """

    def __init__(self, folder: SweepFolder, *, keep: int, goal: str, repeats: int) -> None:
        self._folder, self._keep, self._goal, self._repeats = folder, keep, goal, repeats
        self._settled: set[int] = set()

    def prune(self, trials: Sequence[Trial]) -> None:
        """Look at what has ended since the last call."""
        run_of = self._folder.run_of
        best = best_configurations(trials, goal=self._goal, repeats=self._repeats)[: self._keep]
        kept = {run_of(trial) for group in best for trial in group}
        ended = Counter(trial.configuration for trial in trials if trial.state in _ENDED)
        kept |= {
            run_of(trial)
            for trial in trials
            if trial.state not in FINAL or ended[trial.configuration] < self._repeats
        }
        for trial in trials:
            run = run_of(trial)
            if run is None or trial.number in self._settled or run in kept:
                continue
            self._settled.add(trial.number)
            if run.checkpoint_file("best").parent.is_dir():
                # A twin of this point may be training it just now: its worker will come here itself.
                with contextlib.suppress(VidclsError), run.hold(lambda _: None):
                    run.remove_checkpoints(why=rule(self._keep))
