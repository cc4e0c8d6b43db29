"""Comparisons that are repeated while seeds are trained, with one error rate over all looks.

Who looks after each seed and stops at the first p-value below 5 % is wrong far more often than in 5 % of the
cases. Here each look has a level of its own, and the levels add up to 5 %: by the union bound, the chance of
any wrong verdict at any look is at most their sum, however the looks depend on each other. Early looks get
little, since few seeds show little (alpha spending: Lan and DeMets 1983, Biometrika 70:659). At one look,
Holm's correction covers all pairs of contenders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from vidcls.statistics.corrections import holm
from vidcls.statistics.crossed_effects import CrossedEffects

TOTAL_ALPHA = 0.05
"""Chance of any wrong verdict at any look."""


@dataclass(frozen=True)
class Look:
    """One comparison of all contenders.

    Attributes:
        num_seeds: Seeds of each contender at this look.
        alpha: Chance of a wrong verdict at this look, over all its pairs.
    """

    num_seeds: int
    alpha: float


LOOKS = (Look(2, 0.002), Look(3, 0.004), Look(5, 0.009), Look(8, 0.015), Look(10, 0.020))
"""Looks of up to ten seeds."""


def looks_up_to(max_seeds: int) -> tuple[Look, ...]:
    """Looks whose last one is at `max_seeds`; together they spend `TOTAL_ALPHA`.

    The looks before the last one are at 2, 3, 5, 8, 13, ... seeds. What has been spent after a share of the
    seeds is that of `LOOKS`, linear between them.

    Args:
        max_seeds: Largest number of seeds of a contender, 2 or more.
    """
    assert max_seeds >= 2, max_seeds
    seeds, following = [2], 3
    while seeds[-1] < max_seeds:
        seeds.append(min(following, max_seeds))
        following += seeds[-2]
    shares = [0.0, *(look.num_seeds / LOOKS[-1].num_seeds for look in LOOKS)]
    spent = [0.0, *np.cumsum([look.alpha for look in LOOKS])]
    at_looks = np.interp([0.0, *(num / max_seeds for num in seeds)], shares, spent)
    levels = [round(float(after - before), 9) for before, after in pairwise(at_looks)]
    return tuple(Look(num, level) for num, level in zip(seeds, levels, strict=True))


def beaten(effects: CrossedEffects, *, contenders: Sequence[int], alpha: float) -> dict[int, int]:
    """Contenders that are clearly worse than another contender, and by which one they are beaten.

    Args:
        effects: Means and variances at this look, of the contenders and perhaps of others.
        contenders: Numbers of the configurations that are still in the race.
        alpha: Level of this look.

    Returns:
        For each beaten contender, the one with the highest mean of those that beat it; none if no verdict is
        clear. The verdict of a race is clear once one contender is left.
    """
    pairs = list(combinations(contenders, 2))
    differences = [effects.difference(first, second) for first, second in pairs]
    corrected = holm([difference.p_value for difference in differences])
    winners: dict[int, int] = {}
    for (first, second), difference, p_value in zip(pairs, differences, corrected, strict=True):
        if p_value > alpha:
            continue
        winner, loser = (second, first) if difference.value > 0 else (first, second)
        best = winners.get(loser)
        if best is None or effects.means[winner] > effects.means[best]:
            winners[loser] = winner
    return winners
