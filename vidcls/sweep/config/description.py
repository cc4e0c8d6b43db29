"""Size of a sweep: points, trials, hours."""

from __future__ import annotations

from dataclasses import dataclass

from vidcls.sweep.config.file import SweepFile


@dataclass(frozen=True)
class Description:
    """Size of a sweep.

    Attributes:
        num_points: Number of different points; None if the space is continuous.
        num_configurations: Number of points that will be tried; None if only a budget ends the sweep.
        num_trials: `num_configurations` times the repeats, at most `run_cap`.
        hours: Hours of all trials in sequence; None until the time of one trial is known.
        notes: Facts that the user might not expect.
    """

    num_points: int | None
    num_configurations: int | None
    num_trials: int | None
    hours: float | None
    notes: tuple[str, ...]


def describe(sweep: SweepFile, *, repeats: int = 1, trial_s: float | None = None) -> Description:
    """Compute the size of a sweep; `trial_s` is the mean duration of its trials so far."""
    num_points = sweep.space.num_points
    num_trials = num_points * repeats if sweep.method == "grid" and num_points is not None else None
    if sweep.run_cap is not None:
        num_trials = sweep.run_cap if num_trials is None else min(num_trials, sweep.run_cap)
    num_configurations = None if num_trials is None else -(-num_trials // repeats)
    notes = []
    if num_trials is None:
        notes.append("without run_cap, the sweep continues until a budget or `vidcls sweep cancel` ends it")
    if num_points is not None and num_configurations is not None:
        if sweep.method != "grid" and num_configurations > num_points:
            notes.append(
                f"there are only {num_points} points, so some are drawn again; method: grid tries each "
                "point once"
            )
        if sweep.method == "grid" and num_configurations < num_points:
            notes.append(f"run_cap leaves out {num_points - num_configurations} of {num_points} points")
    hours = None if trial_s is None or num_trials is None else num_trials * trial_s / 3600
    return Description(num_points, num_configurations, num_trials, hours, tuple(notes))
