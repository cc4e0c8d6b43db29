"""Means of configurations and their differences: seeds and groups of videos are crossed random effects.

Runs of a configuration differ by their seed, and all runs are scored on the same videos, which come in
groups. Both are samples: another seed and other groups would give another result, and the interval covers
both. The design is that of reader studies in radiology, multi-reader multi-case: readers (seeds) are nested
in configurations, and cases (videos in groups) are crossed with everything. The estimator is that of
Obuchowski and Rockette (1995, Commun. Stat. Simul. Comput. 24:285) with degrees of freedom in the manner of
Hillis (2007, Statist. Med. 26:596), where those of the groups join by Satterthwaite's rule:

    V_seed  = s_A^2 / J_A + s_B^2 / J_B                        s: standard deviation over the J seeds
    V_group = max(0, Cov2_A + Cov2_B - 2 Cov3)                 Cov2: covariance of different seeds of one
    V       = V_seed + V_group                                 configuration; Cov3: across configurations;
                                                               both by the jackknife over groups

The degrees of freedom of V are those of `vidcls/statistics/degrees_of_freedom.py`. A configuration with one
seed has no s; then its part of V_group is the variance of that run, and the estimate is about this run only,
not about its configuration.

With few videos, seeds often agree by chance and V_group is often below zero, so that V would be zero and the
difference certain. Then V is the whole variance of the jackknife, with the noise of the runs, and G - 1
degrees of freedom. Where that is zero too, all groups agree, and there is no interval but a sign test.

Axes: R runs, C configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidcls.arrays import Floats, Ints
from vidcls.statistics.degrees_of_freedom import crossed_dof
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.estimates import Estimates
from vidcls.statistics.jackknife import Jackknife

ROUNDING = 1e-18
"""Variance, and square of a difference, below which it is nothing but rounding."""


@dataclass(frozen=True, eq=False)
class CrossedEffects:
    """Means and variance components of configurations.

    Attributes:
        means: Mean over the seeds of each configuration, `[C]`.
        num_seeds: Number of seeds of each configuration, `[C]`.
        seed_variance: Variance over seeds, s^2, `[C]`; zero for a single seed.
        run_variance: Mean variance of one run over a new draw of groups, `[C]`.
        within: Cov2: mean covariance of two seeds of a configuration, `[C]`; the variance of a single run.
        between: Cov3: mean covariance of runs of two configurations, `[C, C]`; on the diagonal, variance of
            the configuration's mean over a new draw of groups, with the noise of its runs.
        num_groups: Number of groups.
    """

    means: Floats
    num_seeds: Ints
    seed_variance: Floats
    run_variance: Floats
    within: Floats
    between: Floats
    num_groups: int

    @classmethod
    def of(cls, statistic: Jackknife, configurations: Sequence[int]) -> CrossedEffects:
        """Estimate from the runs.

        Args:
            statistic: Statistic of R runs.
            configurations: Number of the configuration of each run, from 0 without gaps.
        """
        member = np.asarray(configurations)
        belongs = (member == np.arange(member.max() + 1)[:, None]).astype(np.float64)
        num_seeds = belongs.sum(axis=1).astype(np.int64)
        weights = belongs / num_seeds[:, None]
        means = weights @ statistic.values
        residuals = statistic.values - means[member]
        several = np.maximum(num_seeds - 1, 1)
        between = weights @ statistic.covariance @ weights.T
        run_variance = weights @ np.diag(statistic.covariance)
        # The mean over all pairs of runs of a configuration counts each run with itself once.
        pairs = (num_seeds * np.diag(between) - run_variance) / several
        return cls(
            means=means,
            num_seeds=num_seeds,
            seed_variance=belongs @ residuals**2 / several,
            run_variance=run_variance,
            within=np.where(num_seeds > 1, pairs, run_variance),
            between=between,
            num_groups=statistic.num_groups,
        )

    def mean(self, configuration: int) -> Estimate:
        """Mean of a configuration."""
        return self.all_means()[configuration]

    def difference(self, first: int, second: int) -> Estimate:
        """Mean of the second configuration minus that of the first."""
        return self.differences(np.array([first]), np.array([second]))[0]

    def all_means(self) -> Estimates:
        """Mean of each configuration, C at once."""
        whole = np.diag(self.between)
        return self._estimates(self.means, [np.arange(len(self.means))], np.maximum(0.0, self.within), whole)

    def differences(self, first: Ints, second: Ints) -> Estimates:
        """Mean of a second configuration minus that of a first one, for P pairs at once.

        Args:
            first: Numbers of the first configurations, `[P]`.
            second: Numbers of the second configurations, `[P]`.
        """
        values = self.means[second] - self.means[first]
        group_parts = np.maximum(0.0, self.group_parts(first, second))
        whole = self.between[first, first] + self.between[second, second] - 2 * self.between[first, second]
        return self._estimates(values, [first, second], group_parts, whole)

    def group_parts(self, first: Ints, second: Ints) -> Floats:
        """Parts of the groups in the variances of P differences, by chance perhaps below zero, `[P]`.

        Args:
            first: Numbers of the first configurations, `[P]`.
            second: Numbers of the second configurations, `[P]`.
        """
        return np.asarray(self.within[first] + self.within[second] - 2 * self.between[first, second])

    @property
    def noises(self) -> Floats:
        """Variance of one run that its configuration's other seeds do not share, `[C]`; zero for one seed.

        It is noise of the videos: each run answers the uncertain ones differently. s^2 contains it too.
        """
        return np.maximum(0.0, self.run_variance - self.within)

    def _estimates(
        self, values: Floats, members: Sequence[Ints], group_parts: Floats, whole: Floats
    ) -> Estimates:
        """E estimates from their values, the one or two configurations in each, and the parts of the groups.

        `whole` are the variances of the jackknife, which stand in where all parts are zero by chance.

        Degrees of freedom depend on the numbers of seeds, of which there are few: those with equal numbers
        are computed at once.
        """
        noises = self.noises
        variances, dofs = np.empty((2, len(values)))
        num_seeds = np.stack([self.num_seeds[each] for each in members])
        _, case_of = np.unique(num_seeds.T @ (10_000 ** np.arange(len(members))), return_inverse=True)
        for case in range(int(case_of.max()) + 1):
            chosen = np.flatnonzero(case_of == case)
            repeated = [
                (each[chosen], int(num))
                for each, num in zip(members, num_seeds[:, chosen[0]], strict=True)
                if num > 1
            ]
            nums = [num for _, num in repeated]
            parts = [self.seed_variance[its] / num for its, num in repeated]
            noise = sum((noises[its] / num for its, num in repeated), start=np.zeros(len(chosen)))
            group_part = group_parts[chosen]
            variances[chosen] = sum(parts, start=group_part)
            dofs[chosen] = crossed_dof(
                parts, nums, group_part=group_part, noise=noise, num_groups=self.num_groups
            )
        is_zero = variances < ROUNDING
        variances = np.where(is_zero, whole, variances)
        dofs = np.where(is_zero, self.num_groups - 1.0, dofs)
        values = np.where(values**2 < ROUNDING, 0.0, values)
        return Estimates(values, np.sqrt(np.where(variances < ROUNDING, 0.0, variances)), dofs)
