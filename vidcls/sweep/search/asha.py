"""Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, algorithm 2), as pure functions.

A trial trains to the next rung and pauses. A free worker promotes a paused trial that is among the best 1/eta
of its rung, from the top rung down, and starts a new trial only if no trial can be promoted. No rung waits
until it is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from vidcls.sweep.config.hyperband import Goal


def rungs(min_epochs: int, eta: int, max_epochs: int) -> list[int]:
    """Epochs at which trials pause, ascending; the last is `max_epochs`, at which a trial is finished.

    Raises:
        ValueError: If min_epochs is not in 1..max_epochs, or eta is below 2.
    """
    if not 1 <= min_epochs <= max_epochs:
        raise ValueError(f"the first rung must be 1 to {max_epochs} epochs, got {min_epochs}")
    if eta < 2:
        raise ValueError(f"eta must be 2 or more, got {eta}")
    epochs = []
    epoch = min_epochs
    while epoch < max_epochs:
        epochs.append(epoch)
        epoch *= eta
    return [*epochs, max_epochs]


def promotable(
    at_rung: Mapping[int, Mapping[int, float]],
    promoted: Mapping[int, AbstractSet[int]],
    *,
    eta: int,
    goal: Goal,
) -> tuple[int, int] | None:
    """Trial to promote next and the rung that it leaves, or None.

    Args:
        at_rung: For each rung, the value of each trial that paused there, by trial number. A trial is still
            listed at the rungs that it has left.
        promoted: For each rung, the trials that have left it. A trial that failed later counts as promoted.
        eta: The best 1/eta of the trials at a rung continue.
        goal: Whether the metric is minimised or maximised. For equal values the lower number comes first.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    for rung in sorted(at_rung, reverse=True):
        ranked = sorted((sign * value, number) for number, value in at_rung[rung].items())
        left = promoted.get(rung, frozenset())
        for _, number in ranked[: len(ranked) // eta]:
            if number not in left:
                return number, rung
    return None
