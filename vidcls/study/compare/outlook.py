"""What would be enough evidence to tell a difference apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import nctdtr, stdtrit

from vidcls.statistics.crossed_effects import CrossedEffects, combined

POWER = 0.8
"""Chance of a clear verdict that counts as enough."""
RECOMMENDED_SEEDS = 5
_MAX_SEEDS = 100
_SEEDS = (5, 10, 20, 50, 100)
_FINER = 1.02
_MOST_GROUPS = 20
"""Groups that are thought of, as a multiple of those that there are."""


def outlook(effects: CrossedEffects, first: int, second: int, *, difference: float, alpha: float) -> str:
    """How many seeds, or groups, would tell a difference of two configurations apart in 80 % of studies.

    Args:
        effects: Means and variances.
        first: Number of the first configuration.
        second: Number of the second configuration.
        difference: Difference to tell apart, as a share.
        alpha: P-value below which a verdict is clear.
    """
    apart = f"tell {100 * difference:g} points apart"
    seeds = effects.num_seeds[[first, second]]
    if min(seeds) < 2:
        return f"{RECOMMENDED_SEEDS} seeds each would show what training varies by"
    group_part = effects.within[first] + effects.within[second] - 2 * effects.between[first, second]
    parts = _Parts(
        float(effects.seed_variance[first]),
        float(effects.seed_variance[second]),
        max(0.0, float(group_part)),
        effects.num_groups,
    )
    for num_seeds in range(2, _MAX_SEEDS + 1):
        if parts.power(num_seeds, effects.num_groups, difference, alpha) >= POWER:
            return f"{num_seeds} seeds each would {apart}"
    enough = f"no number of seeds would {apart} on these videos"
    for num_seeds in _SEEDS:
        num_groups = effects.num_groups
        while parts.power(num_seeds, num_groups, difference, alpha) < POWER:
            num_groups = math.ceil(_FINER * num_groups)
            if num_groups > _MOST_GROUPS * effects.num_groups:
                break
        else:
            return f"{enough}; {num_seeds} seeds each and {num_groups} groups would"
    return enough


@dataclass(frozen=True)
class _Parts:
    """Variances of one seed of either configuration, and that of the difference by G groups."""

    first: float
    second: float
    groups: float
    num_groups: int

    def power(self, num_seeds: int, num_groups: int, difference: float, alpha: float) -> float:
        """Chance of a p-value below alpha, by the noncentral t distribution."""
        found = combined(
            difference,
            [
                (self.first / num_seeds, num_seeds - 1),
                (self.second / num_seeds, num_seeds - 1),
                (self.groups * self.num_groups / num_groups, num_groups - 1),
            ],
        )
        if not found.std_error:
            return 1.0
        shift, limit = difference / found.std_error, float(stdtrit(found.dof, 1 - alpha / 2))
        missed = float(nctdtr(found.dof, shift, limit) - nctdtr(found.dof, shift, -limit))
        return 1.0 if math.isnan(missed) else 1.0 - missed
