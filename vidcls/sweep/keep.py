"""Which weights of a sweep are kept: those of the best trials. Two hundred trials would fill a quota."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from vidcls.errors import VidclsError
from vidcls.sweep.folder import SweepFolder
from vidcls.sweep.trials import Trial


def ranked(trials: Sequence[Trial], *, goal: str) -> list[Trial]:
    """Trials with a result, the best first; of equal ones the earlier first."""
    sign = -1.0 if goal == "maximize" else 1.0
    scored = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    return sorted(scored, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


class Keeper:
    """Removes the checkpoints of trials that can no longer be among the best.

    What is not among the best of the results seen here will not be among the best of all, so workers that
    see different results never disagree on what may go.
    """

    def __init__(self, folder: SweepFolder, *, keep: int, goal: str) -> None:
        self._folder, self._keep, self._goal = folder, keep, goal
        self._settled: set[int] = set()

    def prune(self, trials: Sequence[Trial]) -> None:
        """Look at what has ended since the last call."""
        run_of = self._folder.run_of
        best = {run_of(trial) for trial in ranked(trials, goal=self._goal)[: self._keep]}
        in_use = {run_of(trial) for trial in trials if trial.state not in ("finished", "stopped")}
        for trial in trials:
            run = run_of(trial)
            if run is None or trial.number in self._settled or run in best | in_use:
                continue
            self._settled.add(trial.number)
            if run.checkpoint_file("best").parent.is_dir():
                # A twin of this point may be training it just now: its worker will come here itself.
                with contextlib.suppress(VidclsError), run.hold(lambda _: None):
                    run.remove_checkpoints()
