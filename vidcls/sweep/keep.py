"""Which weights of a sweep are kept: those of the best trials. Two hundred trials would fill a quota."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from vidcls.errors import VidclsError
from vidcls.runs import Run
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

    def __init__(self, *, keep: int, goal: str) -> None:
        self._keep, self._goal = keep, goal
        self._settled: set[int] = set()

    def prune(self, trials: Sequence[Trial]) -> None:
        """Look at what has ended since the last call."""
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


def run_of(trial: Trial) -> Run | None:
    """The run of a trial that has ended, None where it never began one."""
    folder = trial.end.get("run") if trial.end else None
    return Run(Path(folder)) if folder else None
