"""Mean difference of pairs of trainings that are scored on different splits of the same videos.

Each pair has one seed: one run is scored on one split, the other on another one, and the splits may be drawn
anew for each seed or stay the same. A difference of a pair varies with the seed, which draws trainings and
splits, and with the groups that are scored; the difference of another pair on the same groups varies with
them too. So the pairs are the seeds of one configuration in `CrossedEffects`:

    D_j = first_j - second_j,    V = s_D^2 / J + max(0, Cov2_D)

Without the second part, ten pairs on one val split look like ten val splits. The jackknife leaves each group
out of all runs that scored it. The groups count by their effective number, which is that of the run with
fewer: a split that is scored again and again does not grow.

Axes: J pairs, N videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidcls.arrays import Floats
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.jackknife import Jackknife, effective_groups, group_sums, jackknife_of_means


def mean_difference_of_pairs(first: Floats, second: Floats, groups: Sequence[str]) -> Estimate:
    """Mean over pairs of the first run's mean minus that of the second.

    Args:
        first: Value of each video for the first run of each pair, `[J, N]`, with J of 2 or more; NaN where
            the run did not score the video. Each run scores videos of two groups or more.
        second: The same for the second run.
        groups: Group of each of the N videos.
    """
    one, two = jackknife_of_means(first, groups), jackknife_of_means(second, groups)
    differences = Jackknife(one.values - two.values, one.without - two.without)
    effects = CrossedEffects.of(differences, [0] * len(first))
    num_groups = min(_effective(first, groups), _effective(second, groups))
    return replace(effects, num_groups=num_groups).mean(0)


def _effective(values: Floats, groups: Sequence[str]) -> int:
    """Effective number of groups in the mean over runs of their means."""
    known = (~np.isnan(values)).astype(np.float64)
    shares = known / known.sum(axis=1, keepdims=True)
    return max(2, round(effective_groups(group_sums(shares[..., None], groups).sum(axis=(1, 2)))))
