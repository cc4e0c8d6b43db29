"""Power: how often a difference between two configurations would be found, with so many seeds and videos.

The test is that of `CrossedEffects.difference`. Its variance is made of three components:

    V = 2 (seed + video / N) / J + group / G

The usual power by the noncentral t distribution takes the degrees of freedom as known. With two or three
seeds they vary much from study to study. So the variances are integrated out: they are drawn from their
chi-squared distributions, on a lattice that fills their space evenly, and each gives the power of a normal
difference against its own threshold. With one seed each, this is the power by the noncentral t distribution
with G - 1 degrees of freedom.

Axes: P points of the lattice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import chdtri, ndtr, stdtrit

from vidcls.arrays import Floats
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.degrees_of_freedom import crossed_dof

POWER = 0.8
"""Power that a study is planned for."""
MAX_SEEDS, MAX_GROUPS = 100, 100_000
_BOUND = 0.8
_NUM_POINTS = 1024
# Multiples of powers of the inverse of the root of x^4 = x + 1 fill the unit cube evenly (Roberts 2018, "The
# unreasonable effectiveness of quasirandom sequences"; for one axis, the root is the golden ratio).
_ROOT = 1.2207440846057596
_CUBE = (0.5 + np.arange(1, _NUM_POINTS + 1)[:, None] * _ROOT ** -np.arange(1.0, 4.0)) % 1


@dataclass(frozen=True)
class Plan:
    """Size of a study.

    Attributes:
        num_seeds: Seeds of each configuration, J; 1: the claim is about two checkpoints.
        num_groups: Groups of videos, G.
        num_videos: Videos in them, N.
    """

    num_seeds: int
    num_groups: int
    num_videos: int


@dataclass(frozen=True)
class VarianceComponents:
    """Where the variance of a difference between two configurations comes from.

    Attributes:
        seed: Variance over seeds of the expected value of a run; the mean of both configurations.
        video: Noise of one run on one video: variance that other seeds of its configuration do not share.
        group: Variance over groups of the difference between the configurations, of whatever size they are.
    """

    seed: float
    video: float
    group: float

    def power(self, difference: float, plan: Plan, *, alpha: float = 0.05) -> float:
        """Probability that the two-sided test finds a true difference.

        Args:
            difference: True difference, in the unit of the components' roots.
            plan: Size of the study.
            alpha: Level of the test; after a Bonferroni correction, that of each comparison.
        """
        num_seeds, dof = plan.num_seeds, plan.num_groups - 1
        group, noise = self.group / plan.num_groups, self.video / plan.num_videos
        if num_seeds > 1:
            first, second = (
                (self.seed + noise) / num_seeds * _quantiles(axis, num_seeds - 1) for axis in (0, 1)
            )
            seeds, shared = [first, second], 2 * noise / num_seeds
        else:
            seeds, shared = [], 0.0
            group += 2 * noise
        groups = np.maximum((group + shared) * _quantiles(2, dof) - shared, 0)
        dofs = crossed_dof(
            seeds, [num_seeds] * len(seeds), group_part=groups, noise=shared, num_groups=plan.num_groups
        )
        threshold = stdtrit(dofs, 1 - alpha / 2) * np.sqrt(sum(seeds) + groups)
        std_error = np.sqrt(self.std_error_squared(plan))
        if not std_error:
            return float(difference != 0)
        above, below = (difference - threshold) / std_error, (-difference - threshold) / std_error
        return float(np.mean(ndtr(above) + ndtr(below)))

    def std_error_squared(self, plan: Plan) -> float:
        """True variance of the difference; with one seed each, of that between the two checkpoints."""
        noise = self.video / plan.num_videos
        seed = self.seed if plan.num_seeds > 1 else 0.0
        return 2 * (seed + noise) / plan.num_seeds + self.group / plan.num_groups

    def seeds_needed(
        self, difference: float, plan: Plan, *, alpha: float = 0.05, power: float = POWER
    ) -> int | None:
        """Smallest number of seeds of each configuration, 2 or more, that reaches a power.

        Returns:
            None if `MAX_SEEDS` do not reach it.
        """

        def reaches(num: int) -> bool:
            sized = Plan(num, plan.num_groups, plan.num_videos)
            return self.power(difference, sized, alpha=alpha) >= power

        return _smallest(reaches, 2, MAX_SEEDS)

    def groups_needed(
        self, difference: float, plan: Plan, *, alpha: float = 0.05, power: float = POWER
    ) -> int | None:
        """Smallest number of groups that reaches a power, with as many videos in each as in the plan.

        Returns:
            None if `MAX_GROUPS` do not reach it.
        """

        def reaches(num: int) -> bool:
            sized = Plan(plan.num_seeds, num, max(num, round(num * plan.num_videos / plan.num_groups)))
            return self.power(difference, sized, alpha=alpha) >= power

        return _smallest(reaches, 2, MAX_GROUPS)


def components_of(
    effects: CrossedEffects, *, num_videos: int, configurations: Sequence[int] | None = None
) -> VarianceComponents:
    """Components as measured: means over configurations, and over all their pairs.

    The noise of the runs is that of the jackknife, but at most the upper confidence bound of 80 % of what the
    seeds really vary by: where the groups of one class gain what those of another one lose, as when a seed
    prefers a class, the jackknife sees noise that is not in the accuracy.

    Args:
        effects: Means and variances of the configurations.
        num_videos: Number of videos that the runs were scored on.
        configurations: Numbers of two or more configurations with two or more seeds each; None: all.
    """
    chosen = list(range(len(effects.means)) if configurations is None else configurations)
    assert len(chosen) > 1, chosen
    assert (effects.num_seeds[chosen] > 1).all(), effects.num_seeds
    over_seeds = float(effects.seed_variance[chosen].mean())
    dof = int((effects.num_seeds[chosen] - 1).sum())
    at_most = over_seeds * dof / float(chdtri(dof, _BOUND))
    noise = min(float(effects.noises[chosen].mean()), at_most)
    first, second = np.array(list(combinations(chosen, 2))).T
    return VarianceComponents(
        seed=max(0.0, over_seeds - noise),
        video=noise * num_videos,
        group=max(0.0, float(effects.group_parts(first, second).mean())) * effects.num_groups,
    )


def _quantiles(axis: int, dof: int) -> Floats:
    """Quantiles `[P]` of chi-squared over its degrees of freedom, along an axis of the lattice."""
    return np.asarray(chdtri(dof, 1 - _CUBE[:, axis]) / dof)


def _smallest(reaches: Callable[[int], bool], least: int, most: int) -> int | None:
    """Smallest number that reaches what larger ones reach too."""
    if not reaches(most):
        return None
    low, high = least - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
