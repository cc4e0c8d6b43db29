"""What choosing the best trial of a sweep on val flatters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vidcls.errors import VidclsError, reason_of
from vidcls.run.folder import Run
from vidcls.statistics.scores import SCORES
from vidcls.statistics.selection import Selection
from vidcls.study.compare.results import METRIC_WORDS
from vidcls.study.selection import as_dict, selection_among
from vidcls.sweep.config.file import load_sweep
from vidcls.sweep.storage.folder import SweepFolder
from vidcls.sweep.storage.trials import Trial

_MOST = 100
"""Number of configurations from which the spread is computed; more would not change it."""


@dataclass(frozen=True)
class BestOf:
    """Choice of the best configuration of a sweep.

    Attributes:
        num_configurations: Number of configurations that have a result.
        metric: Metric by which it was made.
        selection: What the choice flatters; None if that is not known.
        why_unknown: Why it is not known; empty if it is.
    """

    num_configurations: int
    metric: str
    selection: Selection | None
    why_unknown: str = ""

    @property
    def sentence(self) -> str:
        """What the choice flatters, in words."""
        head = (
            f"the best of {self.num_configurations} configurations: choosing it on these val videos flatters"
        )
        if self.selection is None:
            return f"{head} it; by how much is not known: {self.why_unknown}"
        flattery = self.selection.flattery
        is_share = self.metric.removeprefix("val/") in METRIC_WORDS
        amount = f"{100 * flattery:.1f} points" if is_share else f"{flattery:.3g} of {self.metric}"
        found = f"{amount} even if all were equal"
        if self.selection.num_single:
            how = f"by {found}, and more, as one seed does not show how much seeds differ"
        else:
            how = f"by about {found}"
        return (
            f"{head} {how}; vidcls evaluate --split test, or vidcls compare with new seeds, says what it is "
            "worth"
        )

    def as_dict(self) -> dict[str, Any]:
        """Choice as plain values for JSON."""
        known = {} if self.selection is None else as_dict(self.selection)
        return {"num_configurations": self.num_configurations, **known, "why_unknown": self.why_unknown}


def best_of(folder: SweepFolder, trials: Sequence[Trial]) -> BestOf | None:
    """What choosing the best configuration of a sweep flatters; None if there was no choice.

    Configurations that were stopped early were among those to choose from, too.

    Args:
        folder: Folder of the sweep.
        trials: Its trials.
    """
    with_value = [trial for trial in trials if trial.value is not None and trial.state != "failed"]
    num = len({trial.configuration for trial in with_value})
    if num < 2 or folder.options().looks:  # a race corrects for its choice by itself
        return None
    metric = load_sweep(folder.sweep_file).objective.name
    score = metric.removeprefix("val/")
    if score not in SCORES:
        return BestOf(num, metric, None, f"it is computed for val/{', val/'.join(SCORES)}, not for {metric}")
    groups: dict[int, list[Run]] = {}
    seen: set[Run] = set()
    for trial in with_value:
        run = folder.run_of(trial) if trial.state == "finished" else None
        if run is not None and run not in seen:  # two trials with the same settings share a run
            seen.add(run)
            groups.setdefault(trial.configuration, []).append(run)
    chosen = list(groups.values())
    chosen = chosen[:: -(-len(chosen) // _MOST)] if chosen else []
    try:
        found = selection_among(chosen, "val", checkpoint="best", score=score, num=num)
    except VidclsError as error:
        return BestOf(num, metric, None, reason_of(error))
    return BestOf(num, metric, found)
