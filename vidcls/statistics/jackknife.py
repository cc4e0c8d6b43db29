"""Delete-a-group jackknife of statistics of several runs on the same videos.

Videos of one group resemble each other, so groups are what is independent. Each group is left out in turn;
how the statistics of all runs change together gives their covariance over a new draw of groups (Efron 1982,
The Jackknife, the Bootstrap and Other Resampling Plans; for readers and cases Obuchowski and Rockette 1995,
Commun. Stat. Simul. Comput. 24:285).

Axes: R runs, G groups, N videos, S sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vidcls.arrays import Floats


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Statistic of each run, and its values without each group.

    Attributes:
        values: Statistic of each run on all videos, `[R]`.
        without: Statistic without each group, `[G, R]`.
    """

    values: Floats
    without: Floats

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(self.without)

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of the runs' statistics over a new draw of groups, `[R, R]`.

        (G - 1)/G times the sum of products of deviations from the mean over the groups that were left out.
        """
        deviations = self.without - self.without.mean(axis=0)
        num = self.num_groups
        return np.asarray((num - 1) / num * deviations.T @ deviations)


def jackknife(sums: Floats, statistic: Callable[[Floats], Floats]) -> Jackknife:
    """Jackknife of a statistic that is a function of sums over videos.

    Args:
        sums: Sums over the videos of each group, `[G, R, S]`, with G of 2 or more.
        statistic: Statistic of sums, `[..., S]` to `[...]`.
    """
    total = sums.sum(axis=0)
    return Jackknife(statistic(total), statistic(total - sums))


def group_sums(values: Floats, groups: Sequence[str]) -> Floats:
    """Sums over the videos of each group, in the order of the groups' names.

    Args:
        values: Values of each video, `[R, N, S]`.
        groups: Group of each of the N videos.

    Returns:
        Sums `[G, R, S]`.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    sums = np.zeros((len(names), values.shape[0], values.shape[2]))
    np.add.at(sums, member, values.transpose(1, 0, 2))
    return sums


def jackknife_of_means(values: Floats, groups: Sequence[str]) -> Jackknife:
    """Jackknife of the mean over videos, such as top-1 from 0 and 1.

    Args:
        values: Value of each video for each run, `[R, N]`; NaN where a run has no value for a video.
        groups: Group of each of the N videos.
    """
    known = ~np.isnan(values)
    both = np.stack([np.where(known, values, 0.0), known.astype(np.float64)], axis=2)
    return jackknife(group_sums(both, groups), lambda sums: sums[..., 0] / sums[..., 1])


def effective_groups(weights: Floats) -> float:
    """Number of equal groups that would tell as much as groups of these weights (Kish 1965, Survey Sampling).

    It takes the place of the number of groups in degrees of freedom; for clusters of unequal size Carter,
    Schnepel and Steigerwald (2017, Rev. Econ. Stat. 99:698) show why. It counts a group as one video with a
    large weight, which is in between: groups whose videos all agree would count for less.

    Args:
        weights: Weight of each group, such as its number of videos, `[G]`, none below zero.
    """
    return float(weights.sum() ** 2 / (weights**2).sum())
