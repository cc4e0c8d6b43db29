"""Retention of weights: a sweep keeps those of the best configurations; all of them would fill a quota."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from vidcls.errors import VidclsError
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.trials import FINAL, Trial

_ENDED = (*FINAL, "failed")
"""Ended states; a failed trial may be retried, but retention does not wait for that."""


def ranked(trials: Sequence[Trial], *, goal: str) -> list[Trial]:
    """Trials with a result, best first; for equal values the earlier trial comes first."""
    return _by_value([trial for trial in trials if trial.state == "finished"], goal)


def best_so_far(trials: Sequence[Trial], *, goal: str) -> list[Trial]:
    """Same as `ranked`; if no trial is finished, the trials at the highest rung, best first."""
    finished = ranked(trials, goal=goal)
    if finished:
        return finished
    paused = [trial for trial in trials if trial.state == "paused"]
    highest = max((trial.epoch for trial in paused), default=0)
    return _by_value([trial for trial in paused if trial.epoch == highest], goal)


def best_configurations(trials: Sequence[Trial], *, goal: str, repeats: int) -> list[list[Trial]]:
    """Repeats of each configuration with all repeats finished, sorted by their mean, best first."""
    groups: dict[int, list[Trial]] = {}
    for trial in ranked(trials, goal=goal):
        groups.setdefault(trial.configuration, []).append(trial)
    full = [group for group in groups.values() if len(group) == repeats]
    sign = -1.0 if goal == "maximize" else 1.0

    def rank(group: list[Trial]) -> tuple[float, int]:
        return sign * fmean(trial.value or 0.0 for trial in group), group[0].configuration

    return sorted(full, key=rank)


def rule(keep: int) -> str:
    """Text of the rule by which weights are removed."""
    whose = "its best configuration" if keep == 1 else f"its best {keep} configurations"
    return f"the sweep keeps the weights of {whose} (--keep {keep})"


def _by_value(trials: Sequence[Trial], goal: str) -> list[Trial]:
    sign = -1.0 if goal == "maximize" else 1.0
    scored = [trial for trial in trials if trial.value is not None]
    return sorted(scored, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


class Retention:
    """Removes the checkpoints of trials whose configuration can no longer be among the best.

    A configuration counts once all of its repeats have ended, because its mean is then final. A configuration
    that is not among the best of the results seen here cannot be among the best of all results, so workers
    that see different results never disagree on what may be removed.
    """

    def __init__(self, folder: SweepFolder, *, keep: int, goal: str, repeats: int) -> None:
        self._folder, self._keep, self._goal, self._repeats = folder, keep, goal, repeats
        self._settled: set[int] = set()

    def prune(self, trials: Sequence[Trial]) -> None:
        """Check the trials that have ended since the last call."""
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
                # A trial with the same point may be training this run now: its own worker will prune it.
                with contextlib.suppress(VidclsError), run.hold(lambda _: None):
                    run.remove_checkpoints(why=rule(self._keep))
