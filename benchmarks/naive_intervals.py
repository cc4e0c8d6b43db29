"""Naive 95 % intervals of the difference between two configurations, to show what they cost.

Each leaves out a source of chance, or counts it in a way that is common: videos as if no two came from one
source, groups or seeds as if there were nothing else, and a bootstrap that draws groups and seeds (Owen 2007,
Ann. Appl. Stat. 1:386, "The pigeonhole bootstrap").

Axes: S studies, J seeds, G groups, N videos, B bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import stdtrit

from benchmarks.simulated_studies import Studies
from vidcls.arrays import Floats

_DRAWS = 200
_BOOTSTRAPPED = 20
"""Studies of a batch that are bootstrapped: it is the slowest."""


def naive_intervals(studies: Studies, num_groups: int, *, rng: np.random.Generator) -> Mapping[str, Floats]:
    """Lower and upper ends by each method, `[S, 2]`, of the last configuration minus the first."""
    of_videos = (studies.correct[:, -1] - studies.correct[:, 0]).mean(axis=1)
    of_seeds = studies.correct.mean(axis=3)
    sums, sizes = studies.group_sums(num_groups)
    value = of_videos.mean(axis=1)
    num_videos, num_seeds = of_videos.shape[1], of_seeds.shape[2]
    videos = _interval(value, of_videos.var(axis=1, ddof=1) / num_videos, num_videos - 1)

    gains = (sums[:, :, -1] - sums[:, :, 0]).mean(axis=2)
    without = (gains.sum(axis=1, keepdims=True) - gains) / (num_videos - sizes)
    groups = _interval(value, (num_groups - 1) * without.var(axis=1), num_groups - 1)

    first, last = (of_seeds[:, one].var(axis=1, ddof=1) / num_seeds for one in (0, -1))
    spread = np.maximum(first**2 + last**2, 1e-30)
    seeds = _interval(value, first + last, (first + last) ** 2 * (num_seeds - 1) / spread)
    both = [_bootstrap(sums[one], sizes[one], rng) for one in range(min(len(sums), _BOOTSTRAPPED))]
    return {"videos": videos, "groups": groups, "seeds": seeds, "bootstrap": np.array(both)}


def _interval(value: Floats, variance: Floats, dof: Floats | int) -> Floats:
    half = stdtrit(np.maximum(dof, 1), 0.975) * np.sqrt(variance)
    return np.stack([value - half, value + half], axis=1)


def _bootstrap(sums: Floats, sizes: Floats, rng: np.random.Generator) -> Floats:
    """Percentiles over draws of groups and of each configuration's seeds; `sums` is `[G, C, J]`."""
    num_groups, _, num_seeds = sums.shape
    weights = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=_DRAWS)
    accuracy = weights @ np.concatenate([sums[:, 0], sums[:, -1]], axis=1) / (weights @ sizes)[:, None]
    drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=(2, _DRAWS)) / num_seeds
    first, last = accuracy[:, :num_seeds], accuracy[:, num_seeds:]
    differences = (drawn[1] * last).sum(axis=1) - (drawn[0] * first).sum(axis=1)
    return np.asarray(np.percentile(differences, [2.5, 97.5]))
